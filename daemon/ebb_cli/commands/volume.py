"""`ebb volume`: create, look at, copy, grow, tune, delete."""

from typing import Annotated

import typer
from ebb_pb import ebb_pb2 as pb
from ebb_units.quantity import exact

from ebb_cli import mounting, naming, views
from ebb_cli.commands import deleting
from ebb_cli.failures import CliError, ExitCode
from ebb_cli.plain import Plain, plain
from ebb_cli.session import Session, with_session

app = typer.Typer(help="Volumes: named timelines in a thin pool.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The new volume's name.")]


def create_volume(session: Session, request: pb.CreateVolumeRequest) -> None:
    """Ask for a volume, new or a copy, and say what became of it."""
    name = request.name
    answer = session.daemon.ask(
        session.daemon.volumes.CreateVolume,
        request,
        f"Creating volume {name}",
        look=f"ebb volume show {name}",
    )
    volume = answer.volume
    what = f"{exact(volume.size_bytes)} {volume.filesystem or 'raw block'} in {volume.pool}"
    session.done(
        f"Created volume {name} ({volume.id}): {what}"
        if answer.created
        else f"Volume {name} is there already ({volume.id}): {what}",
        ids=[volume.id],
        document=plain(answer),
    )


@app.command("create")
@with_session
def create(
    session: Session,
    name: NameArgument,
    size: naming.SizeOption = None,
    pool: naming.PoolOption = None,
    filesystem: Annotated[
        str | None,
        typer.Option("--filesystem", "-f", metavar="TYPE", help="ext4 (default), xfs or btrfs."),
    ] = None,
    block: Annotated[
        bool, typer.Option("--block", "-b", help="A raw block volume, no filesystem.")
    ] = False,
    parameter: naming.ParametersOption = None,
) -> None:
    """Create a volume. Repeating it with the same arguments changes nothing."""
    if block and filesystem:
        raise CliError(
            "a raw block volume has no filesystem",
            "give either --block or --filesystem",
            ExitCode.USAGE,
        )
    parameters = naming.with_pool(naming.settings(parameter or ()), pool)
    request = pb.CreateVolumeRequest(
        name=name,
        required_bytes=size or 0,
        filesystem=filesystem or "",
        block=block,
        parameters=parameters,
    )
    create_volume(session, request)


@app.command("clone")
@with_session
def clone(
    session: Session,
    volume: naming.VolumeArgument,
    name: NameArgument,
    size: naming.SizeOption = None,
) -> None:
    """Copy a volume as it is now; the copy may be larger than its source."""
    source = session.daemon.volume(volume)
    request = pb.CreateVolumeRequest(
        name=name,
        required_bytes=size or 0,
        filesystem=source.filesystem,
        block=not source.filesystem,
        source_volume_id=source.id,
    )
    create_volume(session, request)


@app.command("list")
@with_session
def list_volumes(session: Session, pool: naming.PoolOption = None) -> None:
    """List volumes, ordered by name."""
    volumes = [it for it in session.daemon.list_volumes() if pool in (None, it.pool)]
    volumes.sort(key=lambda it: (it.name, it.id))
    session.rows(
        views.volume_columns(session.now),
        volumes,
        ids=lambda it: it.id,
        document={"volumes": [plain(it) for it in volumes]},
        none="There is no volume yet; make one with `ebb volume create NAME --size 10Gi`.",
    )


@app.command("show")
@with_session
def show(session: Session, volume: naming.VolumeArgument) -> None:
    """Show one volume in full."""
    found = session.daemon.volume(volume)
    session.fact_sheet(
        views.volume_facts(found, session.now), ids=[found.id], document=plain(found)
    )


@app.command("grow")
@with_session
def grow(session: Session, volume: naming.VolumeArgument, size: naming.SizeArgument) -> None:
    """Grow a volume, and its filesystem where it is mounted. Volumes never shrink."""
    found = session.daemon.volume(volume)
    answer = session.daemon.ask(
        session.daemon.volumes.ExpandVolume,
        pb.ExpandVolumeRequest(volume_id=found.id, required_bytes=size),
        f"Growing volume {found.name}",
        look=f"ebb volume show {found.name}",
    )
    now = exact(answer.volume.size_bytes)
    session.done(
        f"Volume {found.name} has grown from {exact(found.size_bytes)} to {now}"
        if answer.expanded
        else f"Volume {found.name} already has {now}",
        ids=[found.id],
        document=plain(answer),
    )


@app.command("modify")
@with_session
def modify(
    session: Session,
    volume: naming.VolumeArgument,
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="IO intent, such as priority=gold."),
    ] = None,
    clear: Annotated[
        bool, typer.Option("--clear", help="Drop what was set this way; the class rules again.")
    ] = False,
) -> None:
    """Set a volume's IO intent, in place of all that was set this way before.

    The settings are those of a VolumeAttributesClass and replace its whole layer: a key that is
    not named goes back to what the StorageClass said.
    """
    wanted = naming.settings(settings or ())
    if bool(wanted) == clear:
        raise CliError(
            "say what the intent shall be",
            "give KEY=VALUE settings, or --clear to drop them all",
            ExitCode.USAGE,
        )
    found = session.daemon.volume(volume)
    answer = session.daemon.ask(
        session.daemon.volumes.ModifyVolume,
        pb.ModifyVolumeRequest(volume_id=found.id, mutable_parameters=wanted),
        f"Modifying volume {found.name}",
        look=f"ebb volume show {found.name}",
    )
    intent = views.pairs(answer.volume.intent) or "none"
    session.done(
        f"Volume {found.name}: intent {'is now' if answer.changed else 'was already'} {intent}",
        ids=[found.id],
        document=plain(answer),
    )


@app.command("mount")
@with_session
def mount(
    session: Session,
    volume: naming.VolumeArgument,
    path: mounting.PathArgument,
    read_only: Annotated[bool, typer.Option("--read-only", "-r", help="Mount read-only.")] = False,
    block: Annotated[
        bool, typer.Option("--block", "-b", help="Have a raw block volume's device at PATH.")
    ] = False,
    staging: mounting.StagingOption = mounting.STAGING,
) -> None:
    """Mount a volume at a path; a new volume gets its filesystem first.

    PATH must lie below a directory that ebbd's configuration allows.
    """
    found = session.daemon.volume(volume)
    mounting.mount(session, found, path, staging=staging, read_only=read_only, block=block)
    session.done(
        f"Volume {found.name} is {'at' if block else 'mounted on'} {path}",
        ids=[found.id],
        document={"volume_id": found.id, "path": str(path), "read_only": read_only, "block": block},
    )


@app.command("unmount")
@with_session
def unmount(
    session: Session,
    volume: naming.VolumeArgument,
    path: mounting.OptionalPathArgument = None,
    staging: mounting.StagingOption = mounting.STAGING,
) -> None:
    """Unmount a volume: from PATH, or from everywhere that `ebb volume mount` put it.

    The directory or file at PATH, made by mounting, is removed if it is empty.
    """
    found = session.daemon.volume(volume)
    gone = mounting.unmount(session, found, path, staging=staging)
    session.done(
        f"Volume {found.name} is unmounted from {', '.join(gone)}"
        if gone
        else f"Volume {found.name} was not mounted",
        ids=[found.id],
        document={"volume_id": found.id, "paths": list[Plain](gone)},
    )


@app.command("trim")
@with_session
def trim(session: Session, volume: naming.VolumeArgument) -> None:
    """Give blocks that a mounted filesystem no longer uses back to the pool."""
    found = session.daemon.volume(volume)
    answer = session.daemon.ask(
        session.daemon.volumes.TrimVolume,
        pb.TrimVolumeRequest(volume_id=found.id),
        f"Trimming volume {found.name}",
        look=f"ebb volume show {found.name}",
    )
    session.done(
        f"Volume {found.name} gave back {views.both(answer.trimmed_bytes)}",
        ids=[found.id],
        document={"volume_id": found.id, **plain(answer)},
    )


@app.command("stats")
@with_session
def stats(
    session: Session, volume: naming.VolumeArgument, path: mounting.OptionalPathArgument = None
) -> None:
    """Show how full a mounted volume is."""
    found = session.daemon.volume(volume)
    where = str(path) if path else next(iter(found.mount_paths), "")
    if not where:
        raise CliError(
            f"volume {found.name} is not mounted, so nobody knows how full it is",
            f"mount it with `ebb volume mount {found.name} PATH`",
            ExitCode.WRONG_STATE,
        )
    answer = session.daemon.ask(
        session.daemon.volumes.GetVolumeStats,
        pb.GetVolumeStatsRequest(volume_id=found.id, volume_path=where),
        "Asking for statistics",
    )
    session.fact_sheet(
        views.stats_facts(where, answer),
        ids=[found.id],
        document={"volume_id": found.id, "path": where, **plain(answer)},
    )


@app.command("adopt")
@with_session
def adopt(
    session: Session,
    lv: Annotated[str, typer.Argument(metavar="VG/LV", help="A thin LV in one of ebb's pools.")],
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="The volume's name.")],
    block: Annotated[
        bool, typer.Option("--block", "-b", help="As a raw block volume, whatever is on it.")
    ] = False,
) -> None:
    """Take in a thin LV that somebody else made, as it is: its name and its data stay."""
    answer = session.daemon.ask(
        session.daemon.volumes.AdoptVolume,
        pb.AdoptVolumeRequest(lv=lv, name=name, block=block),
        f"Adopting {lv}",
        look=f"ebb volume show {name}",
    )
    volume = answer.volume
    what = f"{exact(volume.size_bytes)} {volume.filesystem or 'raw block'}"
    session.done(
        f"LV {lv} is now volume {name} ({volume.id}): {what}"
        if answer.adopted
        else f"LV {lv} is volume {name} already ({volume.id}): {what}",
        ids=[volume.id],
        document=plain(answer),
    )


@app.command("release")
@with_session
def release(session: Session, volume: naming.VolumeArgument) -> None:
    """Give an adopted LV back: ebb forgets it, the LV and its data stay."""
    found = session.daemon.volume(volume)
    answer = session.daemon.ask(
        session.daemon.volumes.ReleaseVolume,
        pb.ReleaseVolumeRequest(volume_id=found.id),
        f"Releasing volume {found.name}",
        look="ebb volume list",
    )
    session.done(
        f"Volume {found.name} is an LV without ebb again"
        if answer.released
        else f"Volume {found.name} was gone already",
        ids=[found.id],
        document={"volume_id": found.id, **plain(answer)},
    )


@app.command("delete")
@with_session
def delete(
    session: Session,
    volumes: naming.VolumesArgument,
    yes: naming.YesOption = False,
    missing_ok: naming.MissingOkOption = False,
) -> None:
    """Delete volumes with all their data. Their snapshots stay. Cannot be undone.

    Asks first on a terminal; elsewhere --yes is required.
    """
    deleting.delete_each(
        session,
        deleting.Noun(
            "volumes",
            session.daemon.volume,
            lambda activity, volume_id: (
                activity.ask(
                    session.daemon.volumes.DeleteVolume, pb.DeleteVolumeRequest(volume_id=volume_id)
                ).deleted
            ),
            question="Delete {names} and all data there?",
        ),
        volumes,
        yes=yes,
        missing_ok=missing_ok,
    )
