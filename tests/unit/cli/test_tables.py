"""Tables: nothing cut in a pipe, nothing that moves the cursor on a terminal."""

import io

import pytest
from ebb_cli.tables import Column, console, facts, print_bare, printable, table
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

COLUMNS: list[Column[str]] = [
    Column("NAME", lambda it: it),
    Column("LENGTH", lambda it: str(len(it)), right=True, exact=lambda it: f"{len(it):04}"),
    Column("BACKWARDS", lambda it: it[::-1], wide=True),
]


def written(
    rows: list[str], *, wide: bool = False, terminal: bool = False, width: int = 200
) -> str:
    out = io.StringIO()
    to = Console(file=out, force_terminal=terminal, width=width, markup=False, highlight=False)
    print_bare(to, table(COLUMNS, rows, wide=wide), fold=not wide)
    return out.getvalue()


def test_columns_line_up() -> None:
    assert written(["a", "bcd"]) == "NAME   LENGTH\na           1\nbcd         3\n"


def test_wide_has_every_column_and_exact_numbers() -> None:
    assert written(["bcd"], wide=True) == "NAME   LENGTH   BACKWARDS\nbcd      0003   dcb\n"


def test_an_empty_cell_is_a_dash_so_that_columns_can_be_counted() -> None:
    assert written([""]).splitlines()[1].split() == ["-", "0"]


def test_a_pipe_gets_long_names_whole(capsys: pytest.CaptureFixture[str]) -> None:
    name = "n" * 500
    print_bare(console(stderr=False, color=True), table(COLUMNS, [name], wide=True), fold=True)
    assert capsys.readouterr().out.splitlines()[1].split() == [name, "0500", name]


def test_a_narrow_terminal_folds_and_loses_nothing() -> None:
    text = written(["n" * 100], terminal=True, width=40)
    assert text.count("n") == 100
    assert all(len(line) <= 40 for line in text.splitlines()[1:])


def test_a_wide_table_is_left_to_the_terminal_to_break() -> None:
    lines = written(["n" * 100], wide=True, terminal=True, width=40).splitlines()
    assert len(lines) == 2
    assert "n" * 100 in lines[1]


def test_names_are_not_markup() -> None:
    assert "[red]x[/red]" in written(["[red]x[/red]"])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", "\\x1b[2J"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("\u202edb", "\\u202edb"),
        ("\u0085", "\\x85"),
        ("größe 大小", "größe 大小"),
    ],
)
def test_invisible_characters_are_shown(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text())
def test_whatever_the_name_the_table_keeps_its_rows(name: str) -> None:
    assert len(written([name, "x"]).splitlines()) == 3
    assert printable(name).isprintable()


def test_facts_without_a_value_are_left_out() -> None:
    out = io.StringIO()
    pairs = [("Id", "7"), ("Claim", ""), ("Paths", "/a\n/b")]
    print_bare(Console(file=out, width=80), facts(pairs), fold=True)
    assert out.getvalue() == "Id      7\nPaths   /a\n        /b\n"


def test_colour_is_for_terminals_and_can_be_switched_off() -> None:
    colored: list[Column[str]] = [Column("STATE", lambda it: it, style=lambda _: "red")]

    def shown(*, no_color: bool | None) -> str:
        out = io.StringIO()
        to = Console(file=out, force_terminal=True, no_color=no_color, color_system="standard")
        print_bare(to, table(colored, ["x"], wide=False), fold=True)
        return out.getvalue()

    assert "\x1b[31m" in shown(no_color=None)
    assert "\x1b[31m" not in shown(no_color=True)
