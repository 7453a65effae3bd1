"""`ebb group`: snapshots of several volumes at one instant."""

from typing import Annotated

import typer
from ebb_pb import ebb_pb2 as pb

from ebb_cli import naming, views
from ebb_cli.failures import CliError, ExitCode
from ebb_cli.plain import plain
from ebb_cli.session import Session, with_session

app = typer.Typer(help="Snapshot groups: several volumes, one instant.", no_args_is_help=True)


@app.command("create")
@with_session
def create(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The group's name.")],
    volumes: naming.VolumesArgument,
) -> None:
    """Snapshot several volumes at one instant: all of them or none.

    What writes to the volumes is stopped for the moment it takes. Refused where that cannot be.
    """
    ids = [session.daemon.volume(it).id for it in volumes]
    answer = session.daemon.ask(
        session.daemon.snapshots.CreateSnapshotGroup,
        pb.CreateSnapshotGroupRequest(name=name, volume_ids=ids),
        f"Taking snapshot group {name}",
        look="ebb snapshot list --output wide",
    )
    group = answer.group
    session.done(
        f"Took snapshot group {name} ({group.id}) of {len(group.snapshots)} volumes"
        if answer.created
        else f"Snapshot group {name} is there already ({group.id})",
        ids=[group.id],
        document=plain(answer),
    )


@app.command("show")
@with_session
def show(session: Session, group: naming.GroupArgument) -> None:
    """Show a group and its snapshots."""
    found = session.daemon.group(group)
    session.fact_sheet(views.group_facts(found, session.now), ids=[found.id], document=plain(found))


@app.command("delete")
@with_session
def delete(
    session: Session,
    group: naming.GroupArgument,
    yes: naming.YesOption = False,
    missing_ok: naming.MissingOkOption = False,
) -> None:
    """Delete a group with all its snapshots. Cannot be undone.

    Asks first on a terminal; elsewhere --yes is required.
    """
    try:
        found = session.daemon.group(group)
    except CliError as error:
        if not (missing_ok and error.exit_code is ExitCode.NOT_FOUND):
            raise
        session.done(
            "Nothing was there to delete", ids=[], document={"id": group, "deleted": False}
        )
        return
    session.ask_first(
        f"Delete group {found.name} and its {len(found.snapshots)} snapshots?", yes=yes
    )
    answer = session.daemon.ask(
        session.daemon.snapshots.DeleteSnapshotGroup,
        pb.DeleteSnapshotGroupRequest(group_id=found.id),
        f"Deleting group {found.name}",
        look="ebb snapshot list --output wide",
    )
    session.done(
        f"Deleted group {found.name} and its {len(found.snapshots)} snapshots",
        ids=[found.id],
        document={"id": found.id, "deleted": answer.deleted},
    )
