"""Times of one thing done over and over, and the ratio of two such things. Pure."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Series:
    """Seconds, in the order they were taken; at least one."""

    took_s: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.took_s:
            raise ValueError("a series of no times has no median; measure it at least once")

    @property
    def median_s(self) -> float:
        return statistics.median(self.took_s)

    @property
    def least_s(self) -> float:
        return min(self.took_s)

    @property
    def most_s(self) -> float:
        return max(self.took_s)


@dataclass(frozen=True, slots=True)
class Compared:
    """The same work over CSI and by hand, alternated: the n-th times were taken in one round."""

    over_csi: Series
    bare: Series

    @property
    def ratio(self) -> float:
        """Median over median: one slow round on a busy machine does not move it."""
        return self.over_csi.median_s / self.bare.median_s

    @property
    def ratios(self) -> tuple[float, ...]:
        """Round by round: how far the ratio strays."""
        pairs = zip(self.over_csi.took_s, self.bare.took_s, strict=True)
        return tuple(csi_s / bare_s for csi_s, bare_s in pairs)


def compare(over_csi_s: Sequence[float], bare_s: Sequence[float]) -> Compared:
    return Compared(Series(tuple(over_csi_s)), Series(tuple(bare_s)))
