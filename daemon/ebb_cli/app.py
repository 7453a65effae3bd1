"""The command line: nouns, verbs, and the options that all of them share."""

import sys
from typing import Annotated

import typer

from ebb_cli import options
from ebb_cli.commands import (
    certs,
    completion,
    doctor,
    gc,
    group,
    node,
    pool,
    snapshot,
    timeline,
    volume,
)
from ebb_cli.options import Globals

EPILOG = (
    "Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 exists differently, 5 ebbd not "
    "available, 6 no room, 7 wrong state or in use, 8 busy, 9 timeout, 10 not permitted, "
    "130 interrupted."
)


def print_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"ebb {version()}\n")
        raise typer.Exit


def version() -> str:
    from importlib import metadata  # noqa: PLC0415 - 50 ms that only --version shall pay

    try:
        return metadata.version("ebb")
    except metadata.PackageNotFoundError:
        return "unknown"  # run from a source tree that was never installed


def root(
    ctx: typer.Context,
    socket: options.SocketOption = None,
    timeout: options.TimeoutOption = None,
    output: options.OutputOption = None,
    quiet: options.QuietOption = False,
    no_color: options.NoColorOption = False,
    version: Annotated[  # noqa: ARG001 - its callback does all there is to do
        bool,
        typer.Option(
            "--version", is_eager=True, callback=print_version, help="Print ebb's version."
        ),
    ] = False,
) -> None:
    """ebb: local block volumes on LVM thin pools.

    A client of the daemon ebbd. Volumes and snapshots are given by name or id, sizes as Kubernetes
    writes them (10Gi). What cannot be undone asks first on a terminal and needs --yes elsewhere.
    """
    ctx.obj = Globals(socket, timeout, output, quiet, no_color)


def build() -> typer.Typer:
    """The whole command tree."""
    app = typer.Typer(
        name="ebb",
        callback=root,
        epilog=EPILOG,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for name, noun in (
        ("volume", volume.app),
        ("snapshot", snapshot.app),
        ("group", group.app),
        ("pool", pool.app),
        ("node", node.app),
        ("certs", certs.app),
    ):
        app.add_typer(noun, name=name)
    app.command("rewind")(timeline.rewind)
    app.command("undo")(timeline.undo)
    app.command("doctor")(doctor.doctor)
    app.command("gc")(gc.gc)
    app.command("completion")(completion.completion)
    return app


def main() -> None:
    build()(prog_name="ebb")
