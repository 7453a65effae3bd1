"""The findings of a run as tables for people and as a flat JSON object. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from ebb_bench.bars import Figure, Verdict
from ebb_bench.series import Compared

_DIGITS = 4


@dataclass(frozen=True, slots=True)
class Origin:
    """Where figures come from: without it they cannot be compared with others."""

    host: str
    kernel: str
    lvm: str
    cpu: str
    commit: str
    date: str


def flat(
    figures: Mapping[str, Figure], compared: Mapping[str, Compared], origin: Origin
) -> dict[str, Figure]:
    """All of it in one object without nesting; the times of X are X_csi_…_s and X_bare_…_s."""
    told = dict(figures)
    for name, pair in compared.items():
        for side, series in (("csi", pair.over_csi), ("bare", pair.bare)):
            told[f"{name}_{side}_median_s"] = series.median_s
            told[f"{name}_{side}_least_s"] = series.least_s
            told[f"{name}_{side}_most_s"] = series.most_s
        told[f"{name}_rounds"] = len(pair.ratios)
    told |= asdict(origin)
    return {
        key: round(figure, _DIGITS) if isinstance(figure, float) else figure
        for key, figure in told.items()
    }


def to_json(told: Mapping[str, Figure]) -> str:
    return json.dumps(told, indent=2) + "\n"


def times_table(compared: Mapping[str, Compared]) -> str:
    """Medians and the spread, both sides, and the ratio with the spread of the rounds' ratios."""
    rows: list[tuple[str, ...]] = [
        ("seconds", "over CSI", "by hand", "ratio", "rounds' ratios", "rounds")
    ]
    for name, pair in compared.items():
        sides = [
            f"{side.median_s:.2f} ({side.least_s:.2f} to {side.most_s:.2f})"
            for side in (pair.over_csi, pair.bare)
        ]
        spread = f"{min(pair.ratios):.2f} to {max(pair.ratios):.2f}"
        rows.append((name, *sides, f"{pair.ratio:.2f}", spread, str(len(pair.ratios))))
    return _columns(rows)


def bars_table(verdicts: Sequence[Verdict]) -> str:
    rows = [("figure", "measured", "at most", "")]
    rows += [
        (v.bar.key, f"{v.figure:.4g}", f"{v.bar.at_most:g}", "met" if v.met else "MISSED")
        for v in verdicts
    ]
    met = sum(verdict.met for verdict in verdicts)
    return f"{_columns(rows)}\n{met} of {len(verdicts)} bars met"


def others_table(told: Mapping[str, Figure], verdicts: Sequence[Verdict]) -> str:
    """The figures that have no bar."""
    barred = {verdict.bar.key for verdict in verdicts}
    rows = [(key, str(figure)) for key, figure in told.items() if key not in barred]
    return _columns([("beside them", ""), *rows])


def _columns(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
    return "\n".join(lines)
