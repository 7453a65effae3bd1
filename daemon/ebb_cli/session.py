"""What every command gets: the global options, a connection, and a way to show its result.

`with_session` adds the options to a command's own parameters, so that its help and its completion
know them too.
"""

import functools
import inspect
import json
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import typer
from rich.console import Console
from rich.text import Text

from ebb_cli.client import Daemon
from ebb_cli.failures import CliError, ExitCode
from ebb_cli.options import (
    Globals,
    NoColorOption,
    Output,
    OutputOption,
    QuietOption,
    SocketOption,
    TimeoutOption,
)
from ebb_cli.plain import Plain
from ebb_cli.tables import Column, console, facts, print_bare, printable, table

P = ParamSpec("P")
T = TypeVar("T")


class Session:
    """One command's run: where it asks (`daemon`) and where it prints."""

    def __init__(self, options: Globals, daemon: Daemon, out: Console, err: Console) -> None:
        self.options = options
        self.daemon = daemon
        self.now = datetime.now(UTC)
        self._out = out
        self._err = err

    @property
    def output(self) -> Output:
        return self.options.output or Output.TABLE

    @property
    def interactive(self) -> bool:
        """Somebody can be asked: answers are read from stdin and questions go to stderr."""
        return sys.stdin.isatty() and self._err.is_terminal

    def rows(
        self,
        columns: Sequence[Column[T]],
        rows: Sequence[T],
        *,
        ids: Callable[[T], str],
        document: dict[str, Plain],
        none: str,
    ) -> None:
        """A list: ids, one JSON document, or a table; `none` goes to stderr when it is empty."""
        if not self._machine([ids(row) for row in rows], document):
            if rows:
                wide = self.output is Output.WIDE
                print_bare(self._out, table(columns, rows, wide=wide), fold=not wide)
            else:
                self._err.print(Text(none), soft_wrap=True)

    def fact_sheet(
        self, lines: Sequence[tuple[str, str]], *, ids: Sequence[str], document: dict[str, Plain]
    ) -> None:
        """One thing in full."""
        if not self._machine(ids, document):
            print_bare(self._out, facts(lines), fold=True)

    def done(self, sentence: str, *, ids: Sequence[str], document: dict[str, Plain]) -> None:
        """A mutation's outcome in one sentence."""
        if not self._machine(ids, document):
            print_bare(self._out, Text(printable(sentence)), fold=False)

    def note(self, sentence: str) -> None:
        """A remark on stderr for people; never in the way of a script."""
        if not self.options.quiet:
            self._err.print(Text(printable(sentence)), soft_wrap=True)

    def ask_first(self, question: str, *, yes: bool) -> None:
        """Go on only with consent: --yes, or a yes typed on a terminal."""
        if yes:
            return
        if not self.interactive:
            raise CliError(
                "nothing was done: this cannot be undone and nobody can be asked (no terminal)",
                "add --yes to go ahead",
                ExitCode.USAGE,
            )
        typer.confirm(printable(question), abort=True, err=True)

    def _machine(self, ids: Sequence[str], document: dict[str, Plain]) -> bool:
        """Print for a program if that is what was asked for."""
        if self.output is Output.JSON:
            sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
            return True
        if self.options.quiet:
            sys.stdout.write("".join(f"{one}\n" for one in ids))
            return True
        return False


def with_session(command: Callable[Concatenate[Session, P], None]) -> Callable[..., None]:
    """A typer command out of a function whose first parameter is the Session."""

    @functools.wraps(command)
    def run(
        ctx: typer.Context,
        *,
        socket: Path | None,
        timeout: float | None,
        output: Output | None,
        quiet: bool,
        no_color: bool,
        **arguments: Any,  # noqa: ANN401 - whatever the command's own parameters are
    ) -> None:
        given = Globals(socket, timeout, output, quiet, no_color)
        options = given.over(ctx.find_root().obj or Globals())
        err = console(stderr=True, color=not options.no_color)
        out = console(stderr=False, color=not options.no_color)
        try:
            with Daemon(options.socket_path, options.timeout_s, err) as daemon:
                command(Session(options, daemon, out, err), **arguments)  # type: ignore[call-arg]  # a ParamSpec cannot say "by keyword"
        except CliError as error:
            complain(err, error)
            raise typer.Exit(error.exit_code) from None

    own = list(inspect.signature(command).parameters.values())[1:]
    added = [
        inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context),
        *(
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind
            )
            for name, kind, default in (
                ("socket", SocketOption, None),
                ("timeout", TimeoutOption, None),
                ("output", OutputOption, None),
                ("quiet", QuietOption, False),
                ("no_color", NoColorOption, False),
            )
        ),
    ]
    # typer reads both: the signature for order and defaults, the annotations for types.
    parameters = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own] + added
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # inspect's documented override
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    del run.__wrapped__  # else inspect would look through to the original
    return run


def complain(err: Console, error: CliError) -> None:
    """What happened, then what to do next."""
    err.print(Text.assemble(("Error: ", "bold red"), printable(error.what)), soft_wrap=True)
    if error.remedy:
        err.print(Text.assemble(("Next:  ", "bold"), printable(error.remedy)), soft_wrap=True)
