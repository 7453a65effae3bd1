"""A Ctrl-C never takes effect inside of gRPC, and is never lost."""

import io
import signal
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from ebb_cli.client import Activity
from ebb_cli.interruption import held_back
from ebb_cli.progress import Progress
from rich.console import Console


@pytest.fixture(autouse=True)
def as_on_a_terminal() -> Iterator[None]:
    """What runs in the background of a shell inherits that SIGINT is ignored."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


class Call:
    """A call during whose sending, or first wait, somebody presses Ctrl-C."""

    def __init__(self, *, pressed_while: str, answers: bool = False) -> None:
        self.pressed_while = pressed_while
        self.answers = answers
        self.sent = self.cancelled = False

    def future(self, _request: object, *, timeout: float | None) -> "Call":  # noqa: ARG002 - gRPC's signature
        self._press("sending")
        self.sent = True
        return self

    def result(self, timeout: float | None = None) -> str:
        assert timeout is not None, "a wait without end would not see a Ctrl-C"
        self._press("waiting")
        if self.answers:
            return "done"
        raise grpc.FutureTimeoutError

    def cancel(self) -> None:
        self.cancelled = True

    def _press(self, moment: str) -> None:
        if moment == self.pressed_while:
            signal.raise_signal(signal.SIGINT)


def ask(call: Call) -> str:
    progress = Progress(Console(file=io.StringIO()), "Looking")
    return Activity(progress, Path("socket"), None).ask(call, None)  # type: ignore[arg-type] # as much of a stub as is used


@pytest.mark.parametrize("moment", ["sending", "waiting"])
def test_a_call_is_sent_whole_and_then_cancelled(moment: str) -> None:
    call = Call(pressed_while=moment)
    with pytest.raises(KeyboardInterrupt):
        ask(call)
    assert (call.sent, call.cancelled) == (True, True)


def test_it_is_not_lost_where_the_answer_came_at_the_same_moment() -> None:
    with pytest.raises(KeyboardInterrupt):
        ask(Call(pressed_while="waiting", answers=True))


def test_what_stood_before_stands_again() -> None:
    former = signal.getsignal(signal.SIGINT)
    with held_back() as pressed:
        assert not pressed()
    assert signal.getsignal(signal.SIGINT) is former
    assert ask(Call(pressed_while="never", answers=True)) == "done"


def test_where_it_is_ignored_it_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with held_back() as pressed:
        signal.raise_signal(signal.SIGINT)
        assert not pressed()
