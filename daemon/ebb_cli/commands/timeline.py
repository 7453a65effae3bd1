"""`ebb rewind` and `ebb undo`: a volume moved along its own past."""

from ebb_pb import ebb_pb2 as pb

from ebb_cli import naming
from ebb_cli.plain import plain
from ebb_cli.session import Session, with_session


@with_session
def rewind(
    session: Session, volume: naming.VolumeArgument, snapshot: naming.SnapshotArgument
) -> None:
    """Go on from a snapshot of this volume. Nothing is lost: `ebb undo` leads back.

    The volume must not be in use; one that is only staged is remounted.
    """
    found = session.daemon.volume(volume)
    point = session.daemon.snapshot(snapshot)
    answer = session.daemon.ask(
        session.daemon.timeline.RewindVolume,
        pb.RewindVolumeRequest(
            volume_id=found.id, snapshot_id=point.id, from_generation=found.generation
        ),
        f"Rewinding volume {found.name}",
        look=f"ebb volume show {found.name}",
    )
    session.done(
        f"Volume {found.name} is rewound to snapshot {point.name} "
        f"(generation {answer.volume.generation}); back with: ebb undo {found.name}",
        ids=[found.id],
        document=plain(answer),
    )


@with_session
def undo(session: Session, volume: naming.VolumeArgument) -> None:
    """Take the last rewind back. Again: take that back too."""
    found = session.daemon.volume(volume)
    answer = session.daemon.ask(
        session.daemon.timeline.UndoRewind,
        pb.UndoRewindRequest(volume_id=found.id, from_generation=found.generation),
        f"Taking back the last rewind of volume {found.name}",
        look=f"ebb volume show {found.name}",
    )
    session.done(
        f"Volume {found.name} is what it was as generation {answer.volume.head_of} "
        f"(generation {answer.volume.generation} now)",
        ids=[found.id],
        document=plain(answer),
    )
