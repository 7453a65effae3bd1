import json
import re

import pytest
from ebb_bench import bars
from ebb_bench.bars import Bar, Figure, judge
from ebb_bench.report import Origin, bars_table, flat, others_table, times_table, to_json
from ebb_bench.series import compare
from ebb_bench.volumes import Plan, ratios

ORIGIN = Origin("lab", "6.1.0", "2.03.16(2)", "TCG", "2d76d9c", "2026-11-25T13:00:00Z")
NAMES = ("create", "snapshot", "snapshot_active", "delete", "delete_snapshot", "ready", "burst_32")


def test_a_figure_at_its_bar_meets_it() -> None:
    verdicts = judge([Bar("a", 1), Bar("b", 0.35)], {"a": 1, "b": 0.36})
    assert [verdict.met for verdict in verdicts] == [True, False]


def test_a_bar_without_its_figure_is_an_error_and_not_met() -> None:
    with pytest.raises(KeyError, match="rss_mib"):
        judge([Bar("rss_mib", 120)], {})


def test_the_bars_table_says_which_are_met_and_how_many() -> None:
    verdicts = judge([Bar("a", 1), Bar("b", 0.35)], {"a": 1, "b": 0.36})
    lines = bars_table(verdicts).splitlines()
    assert [line.split() for line in lines[1:3]] == [
        ["a", "1", "1", "met"],
        ["b", "0.36", "0.35", "MISSED"],
    ]
    assert lines[-1] == "1 of 2 bars met"


def test_the_json_is_one_flat_object_that_says_where_it_comes_from() -> None:
    pair = compare([0.25, 0.75, 0.5], [1.0, 3.0, 2.0])
    told = json.loads(to_json(flat({"create_lvm_calls": 1}, {"create": pair}, ORIGIN)))
    assert told == {
        "create_lvm_calls": 1,
        "create_csi_median_s": 0.5,
        "create_csi_least_s": 0.25,
        "create_csi_most_s": 0.75,
        "create_bare_median_s": 2.0,
        "create_bare_least_s": 1.0,
        "create_bare_most_s": 3.0,
        "create_rounds": 3,
        "host": "lab",
        "kernel": "6.1.0",
        "lvm": "2.03.16(2)",
        "cpu": "TCG",
        "commit": "2d76d9c",
        "date": "2026-11-25T13:00:00Z",
    }


def test_figures_are_rounded_in_the_json() -> None:
    assert flat({"x": 1 / 3}, {}, ORIGIN)["x"] == 0.3333


def test_every_ratio_is_csi_over_bare_or_many_over_few() -> None:
    compared = {
        name: compare([float(number)], [10.0]) for number, name in enumerate(NAMES, start=1)
    }
    compared["create_at_500"] = compare([3.0], [40.0])
    assert ratios(compared, "create_at_500", Plan()) == {
        "create_over_bare": 0.1,
        "snapshot_over_bare": 0.2,
        "snapshot_active_over_bare": 0.3,
        "delete_over_bare": 0.4,
        "delete_snapshot_over_bare": 0.5,
        "ready_over_bare": 0.6,
        "burst_32_over_serial": 0.7,
        "create_at_500_over_10": 3.0,
        "bare_at_500_over_10": 4.0,
    }


def test_every_bar_is_of_another_figure() -> None:
    assert len({bar.key for bar in bars.VOLUMES}) == len(bars.VOLUMES)


def test_the_times_table_shows_both_sides_with_their_spread() -> None:
    _, line = times_table({"create": compare([0.25, 0.5], [1.0, 1.0])}).splitlines()
    assert re.split(r"  +", line) == [
        "create",
        "0.38 (0.25 to 0.50)",
        "1.00 (1.00 to 1.00)",
        "0.38",
        "0.25 to 0.50",
        "2",
    ]


def test_figures_without_a_bar_are_shown_beside_the_others() -> None:
    told: dict[str, Figure] = {"a": 1, "kernel": "6.1.0"}
    assert "kernel" in others_table(told, judge([Bar("a", 1)], {"a": 1}))
    assert len(others_table(told, judge([Bar("a", 1)], {"a": 1})).splitlines()) == 2
