"""How the story is told: chapters, checks, measurements. A failed check is said and remembered."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table


@dataclass(slots=True)
class Telling:
    """Prints as it goes; `failed` is what did not check out, `took_s` the time of each call."""

    console: Console
    passed: int = 0
    failed: list[str] = field(default_factory=list)
    took_s: dict[str, list[float]] = field(default_factory=dict)

    def chapter(self, title: str) -> None:
        self.console.print()
        self.console.rule(f"[bold]{title}", align="left")

    def say(self, text: str) -> None:
        self.console.print(text, highlight=False)

    def check(self, what: str, holds: bool, found: object = "") -> None:
        """One claim about the machine, with what was found."""
        mark = "[green]ok[/]  " if holds else "[red]FAIL[/]"
        tail = f"  ({found})" if found != "" else ""
        self.console.print(f"  {mark} {what}{tail}", highlight=False)
        if holds:
            self.passed += 1
        else:
            self.failed.append(what)

    @contextmanager
    def measured(self, call: str) -> Iterator[None]:
        """Time one call and say so."""
        began = time.monotonic()
        yield
        took_s = time.monotonic() - began
        self.took_s.setdefault(call, []).append(took_s)
        self.console.print(f"  [cyan]{call}[/]  {took_s * 1000:.0f} ms", highlight=False)

    def summary(self) -> Table:
        """Every measured call: how often, the median and the longest."""
        table = Table("call", "times", "median ms", "longest ms", box=None)
        for call, times in self.took_s.items():
            ordered = sorted(times)
            median = ordered[len(ordered) // 2]
            table.add_row(
                call, str(len(times)), f"{median * 1000:.0f}", f"{ordered[-1] * 1000:.0f}"
            )
        return table
