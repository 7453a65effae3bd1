"""`ebb completion SHELL`: the script that makes Tab complete commands, options and names."""

from enum import StrEnum
from typing import Annotated

import typer
from typer.completion import shell_complete


class Shell(StrEnum):
    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(
    ctx: typer.Context,
    shell: Annotated[Shell, typer.Argument(help="The shell to complete in.")],
) -> None:
    """Print a completion script.

    bash and zsh: source <(ebb completion bash). fish: ebb completion fish | source. Put the line
    into your shell's start-up file to have it always.
    """
    root = ctx.find_root().command
    # What click's own _EBB_COMPLETE=source_bash prints, without having to know of it.
    raise typer.Exit(shell_complete(root, {}, "ebb", "_EBB_COMPLETE", f"source_{shell}"))
