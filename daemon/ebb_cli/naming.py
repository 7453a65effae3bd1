"""Arguments that name things: their types, their help, and what Tab offers for them.

Completion asks the daemon, briefly, and says nothing at all when it is not there.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, TypeAlias

import typer
from ebb_units import quantity

from ebb_cli import tables
from ebb_cli.client import Daemon
from ebb_cli.failures import CliError
from ebb_cli.options import Globals

COMPLETION_TIMEOUT_S = 1.0
Offer: TypeAlias = tuple[str, str]


def _offer(
    ctx: typer.Context, incomplete: str, ask: Callable[[Daemon], Iterable[Offer]]
) -> list[Offer]:
    """Names that begin with what is typed, each with a word of help."""
    options = Globals(socket=_socket(ctx)).over(ctx.find_root().obj or Globals())
    err = tables.console(stderr=True, color=False)
    try:
        with Daemon(options.socket_path, COMPLETION_TIMEOUT_S, err) as daemon:
            offers = list(ask(daemon))
    except CliError:  # nobody wants an error between two key presses
        return []
    return [offer for offer in offers if offer[0].startswith(incomplete)]


def _socket(ctx: typer.Context) -> Path | None:
    """--socket as far as it was typed: after the verb, else before the noun."""
    return ctx.params.get("socket") or ctx.find_root().params.get("socket")


def complete_volume(ctx: typer.Context, incomplete: str) -> list[Offer]:
    return _offer(
        ctx,
        incomplete,
        lambda daemon: (
            (it.name, f"{it.filesystem or 'block'} in {it.pool}") for it in daemon.list_volumes()
        ),
    )


def complete_snapshot(ctx: typer.Context, incomplete: str) -> list[Offer]:
    return _offer(
        ctx,
        incomplete,
        lambda daemon: ((it.name, f"of {it.volume_name}") for it in daemon.list_snapshots()),
    )


def complete_group(ctx: typer.Context, incomplete: str) -> list[Offer]:
    return _offer(
        ctx,
        incomplete,
        lambda daemon: sorted(
            {(it.group_id, "snapshot group") for it in daemon.list_snapshots() if it.group_id}
        ),
    )


def complete_pool(ctx: typer.Context, incomplete: str) -> list[Offer]:
    return _offer(ctx, incomplete, lambda daemon: ((it.name, "pool") for it in daemon.list_pools()))


def _size(text: str) -> int:
    try:
        return quantity.parse_whole(text)
    except quantity.InvalidQuantity as error:
        raise typer.BadParameter(str(error)) from None


def setting(text: str) -> tuple[str, str]:
    """`KEY=VALUE` as a pair; BadParameter when it is none."""
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise typer.BadParameter(f'"{text}" is not of the form KEY=VALUE')
    return key, value


def settings(texts: Iterable[str]) -> dict[str, str]:
    """`KEY=VALUE` texts as a mapping; a key given twice is BadParameter."""
    found: dict[str, str] = {}
    for key, value in map(setting, texts):
        if key in found:
            raise typer.BadParameter(f'"{key}" is given twice; give it once')
        found[key] = value
    return found


def with_pool(parameters: dict[str, str], pool: str | None) -> dict[str, str]:
    """The parameters with --pool among them; naming two pools is BadParameter."""
    if pool is None:
        return parameters
    if parameters.get("pool", pool) != pool:
        raise typer.BadParameter("--pool and --parameter pool= name different pools; give one")
    return {**parameters, "pool": pool}


VolumeArgument = Annotated[
    str,
    typer.Argument(metavar="VOLUME", help="A volume's name or id.", autocompletion=complete_volume),
]
VolumesArgument = Annotated[
    list[str],
    typer.Argument(metavar="VOLUME...", help="Names or ids.", autocompletion=complete_volume),
]
SnapshotArgument = Annotated[
    str,
    typer.Argument(
        metavar="SNAPSHOT", help="A snapshot's name or id.", autocompletion=complete_snapshot
    ),
]
SnapshotsArgument = Annotated[
    list[str],
    typer.Argument(metavar="SNAPSHOT...", help="Names or ids.", autocompletion=complete_snapshot),
]
GroupArgument = Annotated[
    str, typer.Argument(metavar="GROUP", help="A group's id.", autocompletion=complete_group)
]
PoolArgument = Annotated[
    str,
    typer.Argument(metavar="POOL", help="A pool's name, VG/POOL.", autocompletion=complete_pool),
]
PoolOption = Annotated[
    str | None,
    typer.Option(
        "--pool",
        metavar="POOL",
        help="The pool, VG/POOL; else the daemon's default.",
        autocompletion=complete_pool,
    ),
]
SizeOption = Annotated[
    int | None,
    typer.Option(
        "--size", "-s", metavar="SIZE", parser=_size, help="Bytes, or a quantity such as 10Gi."
    ),
]
SizeArgument = Annotated[
    int,
    typer.Argument(metavar="SIZE", parser=_size, help="The new size, a quantity such as 20Gi."),
]
ParametersOption = Annotated[
    list[str] | None,
    typer.Option(
        "--parameter",
        "-p",
        metavar="KEY=VALUE",
        help="A StorageClass parameter, such as priority=gold or mkfs-options=-N 4096; repeatable.",
    ),
]
YesOption = Annotated[
    bool,
    typer.Option("--yes", "-y", help="Do not ask. Needed where there is no terminal to ask on."),
]
MissingOkOption = Annotated[
    bool, typer.Option("--missing-ok", help="Nothing there to delete is fine (exit code 0).")
]
