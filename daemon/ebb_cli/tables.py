"""Tables for people: columns of text, aligned, never cut; for a pipe as wide as they need be.

Names come from users and from other systems, so nothing here is ever read as markup and control
characters are shown as escapes: a volume's name cannot move the cursor.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

T = TypeVar("T")
PIPE_WIDTH = 10_000


@dataclass(frozen=True, slots=True)
class Column(Generic[T]):
    """`cell` makes the text; `wide` columns are shown with `--output wide` only; `style` may
    colour a cell by its text; `exact` replaces `cell` in wide tables.
    """

    title: str
    cell: Callable[[T], str]
    wide: bool = False
    right: bool = False
    style: Callable[[str], str] | None = None
    exact: Callable[[T], str] | None = None


def printable(text: str) -> str:
    """The text with control and other invisible characters as escapes."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def table(columns: Sequence[Column[T]], rows: Iterable[T], *, wide: bool) -> Table:
    shown = [column for column in columns if wide or not column.wide]
    made = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for column in shown:
        made.add_column(column.title, justify="right" if column.right else "left", overflow="fold")
    for row in rows:
        made.add_row(*(_cell(column, row, wide=wide) for column in shown))
    return made


def _cell(column: Column[T], row: T, *, wide: bool) -> Text:
    make = column.exact if wide and column.exact else column.cell
    text = printable(make(row)) or "-"
    return Text(text, style=column.style(text) if column.style else "")


def facts(pairs: Iterable[tuple[str, str]]) -> Table:
    """One thing, a fact a line; facts without a value are left out."""
    made = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), show_header=False)
    made.add_column(style="bold", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in pairs:
        if value:
            lines = [printable(line) for line in value.splitlines()]
            made.add_row(Text(name), Text("\n".join(lines)))
    return made


def console(*, stderr: bool, color: bool) -> Console:
    """A console that never wraps what goes into a pipe or a file."""
    made = Console(
        stderr=stderr, no_color=None if color else True, highlight=False, markup=False, emoji=False
    )
    if not made.is_terminal:
        made.width = PIPE_WIDTH
    return made


@dataclass(frozen=True, slots=True)
class Unfolded:
    """Rendered as wide as it needs to be, whatever the terminal's width."""

    it: RenderableType

    def __rich_console__(self, to: Console, options: ConsoleOptions) -> RenderResult:
        yield from to.render(self.it, options.update(width=PIPE_WIDTH))


def print_bare(to: Console, renderable: RenderableType, *, fold: bool) -> None:
    """Print; into a pipe without the blanks that pad the last column.

    On a terminal `fold` keeps columns within its width; without it the terminal itself breaks the
    lines, so that what is copied from it is whole.
    """
    if to.is_terminal:
        to.print(renderable if fold else Unfolded(renderable), soft_wrap=not fold)
        return
    with to.capture() as captured:
        to.print(renderable)
    for line in captured.get().splitlines():
        to.file.write(line.rstrip() + "\n")
