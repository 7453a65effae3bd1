"""The options that every command has, and which of two given ones holds.

They may stand before the noun or after the verb; the later one wins.
"""

import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ebb_cli import connection

PANEL = "Global options"
DEFAULT_TIMEOUT_S = 120.0


class Output(StrEnum):
    TABLE = "table"
    WIDE = "wide"
    JSON = "json"


SocketOption = Annotated[
    Path | None,
    typer.Option(
        "--socket",
        metavar="PATH",
        help=f"ebbd's socket (EBB_SOCKET, else {connection.DEFAULT_SOCKET}).",
        rich_help_panel=PANEL,
    ),
]
TimeoutOption = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        metavar="SECONDS",
        min=0,
        help=f"Longest wait for one answer; 0 waits for ever (default {DEFAULT_TIMEOUT_S:g}).",
        rich_help_panel=PANEL,
    ),
]
OutputOption = Annotated[
    Output | None,
    typer.Option("--output", "-o", help="Default: table.", rich_help_panel=PANEL),
]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print ids only.", rich_help_panel=PANEL)
]
NoColorOption = Annotated[
    bool,
    typer.Option("--no-color", help="No colours (as with NO_COLOR set).", rich_help_panel=PANEL),
]


@dataclass(frozen=True, slots=True)
class Globals:
    """The global options as one place of the command line gave them; None: not given there."""

    socket: Path | None = None
    timeout: float | None = None
    output: Output | None = None
    quiet: bool = False
    no_color: bool = False

    def over(self, earlier: "Globals") -> "Globals":
        """These options, with those given earlier on the line where these are silent."""
        return Globals(
            self.socket or earlier.socket,
            earlier.timeout if self.timeout is None else self.timeout,
            self.output or earlier.output,
            self.quiet or earlier.quiet,
            self.no_color or earlier.no_color,
        )

    @property
    def socket_path(self) -> Path:
        return self.socket or Path(os.environ.get("EBB_SOCKET") or connection.DEFAULT_SOCKET)

    @property
    def timeout_s(self) -> float | None:
        """As gRPC has it: None waits for ever."""
        return (DEFAULT_TIMEOUT_S if self.timeout is None else self.timeout) or None
