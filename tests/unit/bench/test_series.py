import pytest
from ebb_bench.series import Series, compare


def test_a_series_has_a_median_and_a_spread() -> None:
    series = Series((3.0, 1.0, 9.0, 2.0))
    assert (series.least_s, series.median_s, series.most_s) == (1.0, 2.5, 9.0)


def test_a_series_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no median"):
        Series(())


def test_the_ratio_is_of_medians_and_one_slow_round_does_not_move_it() -> None:
    assert compare([1.0, 1.0, 50.0], [4.0, 4.0, 4.0]).ratio == 0.25


def test_the_rounds_ratios_pair_what_was_timed_together() -> None:
    assert compare([1.0, 6.0], [2.0, 3.0]).ratios == (0.5, 2.0)


def test_rounds_that_lack_a_side_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        _ = compare([1.0, 2.0], [1.0]).ratios
