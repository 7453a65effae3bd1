"""`ebb snapshot`: points on a volume's timeline, and volumes made from them."""

from typing import Annotated

import typer
from ebb_pb import ebb_pb2 as pb

from ebb_cli import naming, views
from ebb_cli.commands import deleting
from ebb_cli.commands.volume import NameArgument, create_volume
from ebb_cli.plain import plain
from ebb_cli.session import Session, with_session

app = typer.Typer(help="Snapshots: read-only points on a timeline.", no_args_is_help=True)


@app.command("create")
@with_session
def create(
    session: Session,
    volume: naming.VolumeArgument,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The snapshot's name.")],
) -> None:
    """Take a snapshot; a mounted filesystem is consistent in it. Repeating it changes nothing."""
    source = session.daemon.volume(volume)
    answer = session.daemon.ask(
        session.daemon.snapshots.CreateSnapshot,
        pb.CreateSnapshotRequest(name=name, volume_id=source.id),
        f"Taking snapshot {name} of volume {source.name}",
        look=f"ebb snapshot show {name}",
    )
    session.done(
        f"Took snapshot {name} ({answer.snapshot.id}) of volume {source.name}"
        if answer.created
        else f"Snapshot {name} is there already ({answer.snapshot.id})",
        ids=[answer.snapshot.id],
        document=plain(answer),
    )


@app.command("list")
@with_session
def list_snapshots(
    session: Session,
    volume: Annotated[
        str | None,
        typer.Argument(
            metavar="[VOLUME]",
            help="Only those of this volume (name or id).",
            autocompletion=naming.complete_volume,
        ),
    ] = None,
) -> None:
    """List snapshots, oldest first."""
    volume_id = session.daemon.volume(volume).id if volume else ""
    snapshots = session.daemon.list_snapshots(volume_id)
    snapshots.sort(key=lambda it: (it.created.seconds, it.created.nanos, it.id))
    session.rows(
        views.snapshot_columns(session.now),
        snapshots,
        ids=lambda it: it.id,
        document={"snapshots": [plain(it) for it in snapshots]},
        none="There is no snapshot; take one with `ebb snapshot create VOLUME NAME`.",
    )


@app.command("show")
@with_session
def show(session: Session, snapshot: naming.SnapshotArgument) -> None:
    """Show one snapshot in full."""
    found = session.daemon.snapshot(snapshot)
    session.fact_sheet(
        views.snapshot_facts(found, session.now), ids=[found.id], document=plain(found)
    )


@app.command("restore")
@with_session
def restore(
    session: Session,
    snapshot: naming.SnapshotArgument,
    name: NameArgument,
    size: naming.SizeOption = None,
) -> None:
    """Make a new volume from a snapshot; it may be larger. The source is not touched."""
    source = session.daemon.snapshot(snapshot)
    request = pb.CreateVolumeRequest(
        name=name,
        required_bytes=size or 0,
        filesystem=source.filesystem,
        block=not source.filesystem,
        source_snapshot_id=source.id,
    )
    create_volume(session, request)


@app.command("delete")
@with_session
def delete(
    session: Session,
    snapshots: naming.SnapshotsArgument,
    yes: naming.YesOption = False,
    missing_ok: naming.MissingOkOption = False,
) -> None:
    """Delete snapshots. Volumes made from them stay. Cannot be undone.

    Asks first on a terminal; elsewhere --yes is required.
    """
    deleting.delete_each(
        session,
        deleting.Noun(
            "snapshots",
            session.daemon.snapshot,
            lambda activity, snapshot_id: (
                activity.ask(
                    session.daemon.snapshots.DeleteSnapshot,
                    pb.DeleteSnapshotRequest(snapshot_id=snapshot_id),
                ).deleted
            ),
            question="Delete {names}?",
        ),
        snapshots,
        yes=yes,
        missing_ok=missing_ok,
    )
