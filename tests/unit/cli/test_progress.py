"""A bar after a second, on a terminal only."""

import io

import grpc
import pytest
from ebb_cli.progress import Progress
from rich.console import Console


class Clock:
    """Time that passes only while somebody waits."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Taking:
    """An answer that takes so long, by the clock."""

    def __init__(self, clock: Clock, seconds: float, answer: str = "done") -> None:
        self.clock = clock
        self.left = seconds
        self.answer = answer

    def result(self, timeout: float | None = None) -> str:
        waited = self.left if timeout is None else min(timeout, self.left)
        self.clock.now += waited
        self.left -= waited
        if self.left > 0:
            raise grpc.FutureTimeoutError
        return self.answer


def drawn(*seconds: float, terminal: bool = True) -> str:
    clock, out = Clock(), io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=100, color_system=None)
    with Progress(console, "Growing [db]", steps=len(seconds), clock=clock) as progress:
        for step in seconds:
            assert progress.wait(Taking(clock, step)) == "done"
    return out.getvalue()


@pytest.mark.parametrize("seconds", [(0,), (0.9,), (0.3, 0.3, 0.3), (1.0,)])
def test_nothing_is_drawn_for_what_is_quick(seconds: tuple[float, ...]) -> None:
    assert drawn(*seconds) == ""


def test_one_long_step_is_a_spinner_that_says_what_goes_on() -> None:
    text = drawn(1.5)
    assert "Growing [db]" in text
    assert "0:00:" in text
    assert "/1" not in text


def test_many_quick_steps_that_take_long_together_are_a_bar() -> None:
    text = drawn(0.6, 0.6, 0.6, 0.6)
    assert "1/4" in text
    assert "4/4" in text


def test_what_was_drawn_is_taken_away_again() -> None:
    assert drawn(1.5).endswith("\x1b[1A\x1b[2K")


def test_nothing_is_drawn_where_nobody_looks() -> None:
    assert drawn(5, 5, terminal=False) == ""


def test_a_failure_takes_the_bar_away_too() -> None:
    clock, out = Clock(), io.StringIO()
    console = Console(file=out, force_terminal=True, width=100, color_system=None)

    class Failing(Taking):
        def result(self, timeout: float | None = None) -> str:
            super().result(timeout)
            raise ConnectionError

    progress = Progress(console, "Growing", clock=clock)
    with pytest.raises(ConnectionError), progress:
        progress.wait(Failing(clock, 2))
    assert out.getvalue().endswith("\x1b[1A\x1b[2K")
