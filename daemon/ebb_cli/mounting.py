"""Using a volume without an orchestrator: staged at a place of ebb's own, published at the user's.

The staging place is how `unmount` knows a mount of the CLI's from one of kubelet's: it never takes
a volume away from a pod unless the very path is named.
"""

from pathlib import Path
from typing import Annotated

import typer
from ebb_pb import ebb_pb2 as pb

from ebb_cli.client import Activity, Daemon
from ebb_cli.failures import CliError, ExitCode
from ebb_cli.session import Session

STAGING = Path("/run/ebb/mounts")

PathArgument = Annotated[
    Path, typer.Argument(metavar="PATH", resolve_path=True, help="Where to have it.")
]
OptionalPathArgument = Annotated[
    Path | None, typer.Argument(metavar="[PATH]", resolve_path=True, help="Where it is mounted.")
]
StagingOption = Annotated[
    Path,
    typer.Option(
        "--staging",
        metavar="DIRECTORY",
        envvar="EBB_STAGING",
        resolve_path=True,
        help="Where ebb keeps its own mounts; a directory that ebbd's configuration allows.",
    ),
]


def mount(
    session: Session,
    volume: pb.Volume,
    path: Path,
    *,
    staging: Path,
    read_only: bool,
    block: bool,
) -> None:
    """Stage below `staging`, then publish; what nothing else uses is unstaged if that fails."""
    _check_shape(volume, block=block)
    daemon = session.daemon
    access = pb.Access(mode=pb.SINGLE_NODE_MULTI_WRITER, block=block)
    stage = pb.StageVolumeRequest(
        volume_id=volume.id, staging_path=str(staging / volume.id), access=access
    )
    publish = pb.PublishVolumeRequest(
        volume_id=volume.id,
        staging_path=stage.staging_path,
        target_path=str(path),
        access=access,
        read_only=read_only,
    )
    with daemon.activity(
        f"Mounting volume {volume.name}", steps=2, look=f"ebb volume show {volume.name}"
    ) as activity:
        activity.ask(daemon.volumes.StageVolume, stage)
        try:
            activity.ask(daemon.volumes.PublishVolume, publish)
        except CliError as error:
            if not volume.mount_paths:
                _undo_staging(session, activity, stage, error)
            raise


def unmount(session: Session, volume: pb.Volume, path: Path | None, *, staging: Path) -> list[str]:
    """Unpublish from `path` or everywhere, then unstage when nothing is left; the paths freed."""
    daemon = session.daemon
    staged = str(staging / volume.id)
    published = [it for it in volume.mount_paths if it != staged]
    if path is None and volume.mount_paths and staged not in volume.mount_paths:
        raise _not_ours(volume)
    targets = published if path is None else [str(path)]
    with daemon.activity(
        f"Unmounting volume {volume.name}",
        steps=len(targets) + 1,
        look=f"ebb volume show {volume.name}",
    ) as activity:
        for target in targets:
            activity.ask(
                daemon.volumes.UnpublishVolume,
                pb.UnpublishVolumeRequest(volume_id=volume.id, target_path=target),
            )
        if set(published) <= set(targets):
            _unstage(daemon, activity, volume.id, staged)
    return [it for it in targets if it in published]


def _not_ours(volume: pb.Volume) -> CliError:
    """Without a staged mount nothing tells the CLI's use from a pod's."""
    paths = ", ".join(volume.mount_paths)
    if volume.filesystem:
        what = f"volume {volume.name} was mounted by somebody else, at {paths}"
        remedy = "have them unmount it (kubelet: delete the pod), or name the PATH to insist"
    else:
        what = (
            f"volume {volume.name} is a raw block volume, so ebb cannot tell who put it at {paths}"
        )
        remedy = "name the PATH to take it away from"
    return CliError(what, remedy, ExitCode.WRONG_STATE)


def _check_shape(volume: pb.Volume, *, block: bool) -> None:
    if block and volume.filesystem:
        raise CliError(
            f"volume {volume.name} has a filesystem ({volume.filesystem})",
            "mount it without --block",
            ExitCode.USAGE,
        )
    if not block and not volume.filesystem:
        raise CliError(
            f"volume {volume.name} is a raw block volume",
            "add --block to have its device at PATH",
            ExitCode.USAGE,
        )


def _undo_staging(
    session: Session, activity: Activity, stage: pb.StageVolumeRequest, error: CliError
) -> None:
    try:
        _unstage(session.daemon, activity, stage.volume_id, stage.staging_path)
    except CliError as second:
        raise CliError(
            f"{error.what}; and it stays staged at {stage.staging_path}: {second.what}",
            error.remedy,
            error.exit_code,
        ) from second


def _unstage(daemon: Daemon, activity: Activity, volume_id: str, path: str) -> None:
    activity.ask(
        daemon.volumes.UnstageVolume,
        pb.UnstageVolumeRequest(volume_id=volume_id, staging_path=path),
    )
