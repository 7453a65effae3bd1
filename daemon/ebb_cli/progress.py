"""A bar on stderr for whatever takes longer than a second; nothing for anything quicker.

One step of unknown length is a spinner with the time elapsed; several steps are a bar. Where
stderr is no terminal nothing is ever drawn.
"""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self, TypeVar

import grpc
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import Progress as Bar

R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")
PATIENCE_S = 1.0
SLICE_S = 0.1  # how long a Ctrl-C may go unnoticed


class Pending(Protocol[R_co]):
    """The part of grpc.Future that waiting needs."""

    def result(self, timeout: float | None = None) -> R_co: ...


class Progress:
    """One activity of `steps` steps; `wait` for each, inside a `with`."""

    def __init__(
        self,
        console: Console,
        doing: str,
        steps: int = 1,
        *,
        patience_s: float = PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console
        self._doing = doing
        self._steps = steps
        self._done = 0
        self._clock = clock
        self._show_at = clock() + patience_s
        self._bar: Bar | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def wait(self, pending: Pending[R], interrupted: Callable[[], bool] = lambda: False) -> R:
        """The step's result; the bar appears when the activity has lasted a second.

        Raises KeyboardInterrupt soon after `interrupted` has become true.
        """
        while True:
            try:
                return self._advance(pending.result(self._slice_s()))
            except grpc.FutureTimeoutError:
                if interrupted():
                    raise KeyboardInterrupt from None
                if self._awaits_bar() and self._clock() >= self._show_at:
                    self._show()

    def _awaits_bar(self) -> bool:
        return self._bar is None and self._console.is_terminal

    def _slice_s(self) -> float:
        if not self._awaits_bar():
            return SLICE_S
        return min(SLICE_S, max(0.0, self._show_at - self._clock()))

    def _advance(self, result: R) -> R:
        self._done += 1
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=self._done)
        return result

    def _show(self) -> None:
        counted: tuple[ProgressColumn, ...] = (BarColumn(bar_width=24), MofNCompleteColumn())
        self._bar = Bar(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            *(counted if self._steps > 1 else ()),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
        )
        self._bar.add_task(escape(self._doing), total=self._steps, completed=self._done)
        self._bar.start()
