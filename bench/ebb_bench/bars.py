"""What we want of each figure, and whether it is so. Said, never asserted. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Figure = float | int | str


@dataclass(frozen=True, slots=True)
class Bar:
    """A figure's `key` and the most it should be."""

    key: str
    at_most: float


@dataclass(frozen=True, slots=True)
class Verdict:
    bar: Bar
    figure: float

    @property
    def met(self) -> bool:
        return self.figure <= self.bar.at_most


VOLUMES = (
    # Every command line given to LVM, by process or by shell, refreshes included.
    Bar("create_lvm_calls", 1),
    Bar("snapshot_lvm_calls", 1),
    Bar("delete_lvm_calls", 1),
    Bar("expand_lvm_calls", 1),
    Bar("stage_lvm_calls", 1),
    Bar("publish_lvm_calls", 0),
    Bar("stats_lvm_calls", 0),
    Bar("list_lvm_calls", 0),
    Bar("capacity_lvm_calls", 0),
    # Over CSI ÷ the command that an administrator would type.
    Bar("create_over_bare", 0.35),
    Bar("snapshot_over_bare", 0.4),
    Bar("delete_over_bare", 0.6),
    Bar("burst_32_over_serial", 0.3),
    Bar("ready_over_bare", 0.9),
    # Growth with the number of volumes, and what the daemons take.
    Bar("create_at_500_over_10", 2.5),
    Bar("rss_mib", 120),
    Bar("idle_cpu_pct", 1),
)


def judge(bars: Sequence[Bar], figures: Mapping[str, Figure]) -> list[Verdict]:
    """One verdict a bar. Raises KeyError for a bar whose figure was not taken."""
    return [Verdict(bar, float(figures[bar.key])) for bar in bars]
