"""Which of many points a run takes: all of them, or the same few each time."""

from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

T = TypeVar("T")


class Sample:
    """Every `every`-th of what it is offered, counted over the whole run, and the first of each
    kind. 1: all.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self._offered = 0
        self._kinds: set[Hashable] = set()

    def of(self, points: Iterable[T], kind: Callable[[T], Hashable]) -> list[T]:
        taken = []
        for point in points:
            new = kind(point) not in self._kinds
            if new or self._offered % self.every == 0:
                taken.append(point)
            self._kinds.add(kind(point))
            self._offered += 1
        return taken


def distinct(points: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Without the points before a call that follows another: nothing has happened since that one
    ended.
    """
    return [
        (number, what)
        for (number, what), (_, earlier) in zip(points, [(0, ""), *points], strict=False)
        if not (what.endswith(" before") and earlier.endswith(" after"))
    ]
