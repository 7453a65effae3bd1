"""`ebb pool`: how full the pools are and what they can still promise."""

import typer

from ebb_cli import views
from ebb_cli.failures import CliError, ExitCode
from ebb_cli.naming import PoolArgument
from ebb_cli.plain import plain
from ebb_cli.session import Session, with_session

app = typer.Typer(help="Thin pools: fill, promises, room.", no_args_is_help=True)


@app.command("list")
@with_session
def list_pools(session: Session) -> None:
    """List the pools with their fill, promises and room."""
    pools = session.daemon.list_pools()
    session.rows(
        views.pool_columns(),
        pools,
        ids=lambda it: it.name,
        document={"pools": [plain(it) for it in pools]},
        none="There is no pool; `ebb doctor` says why.",
    )


@app.command("show")
@with_session
def show(session: Session, pool: PoolArgument) -> None:
    """Show one pool in full."""
    pools = session.daemon.list_pools()
    # LVM's own short form, the pool without its VG, is understood while it is unambiguous.
    found = [it for it in pools if it.name == pool] or [
        it for it in pools if it.name.partition("/")[2] == pool
    ]
    if len(found) > 1:
        names = ", ".join(it.name for it in found)
        raise CliError(f"several pools are called {pool}", f"choose one of {names}", ExitCode.USAGE)
    if not found:
        names = ", ".join(it.name for it in pools) or "none at all"
        raise CliError(f"there is no pool {pool}", f"there is: {names}", ExitCode.NOT_FOUND)
    session.fact_sheet(views.pool_facts(found[0]), ids=[found[0].name], document=plain(found[0]))
