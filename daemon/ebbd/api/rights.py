"""Which right each call of ebb.v1 needs, and whether a certificate has it.

Pure. Rights are ordered: who may change may also use, who may use may also look. A call that is
not in the table is nobody's over TLS, so that a new one is closed until somebody decides.
"""

from collections.abc import Iterable
from enum import IntEnum
from types import MappingProxyType

from ebb_pb.identities import RIGHTS_URI

from ebbd.errors import NotPermitted


class Right(IntEnum):
    """What a client may do; a greater one contains the lesser."""

    STATS = 1  # look: nodes, pools, volumes, snapshots, figures
    USE = 2  # attach, stage, publish, trim: nothing is made, nothing is lost
    CHANGE = 3  # make, grow, change and delete

    def __str__(self) -> str:
        return self.name.lower()


NEEDED = MappingProxyType(
    {
        "Node": {
            "GetNode": Right.STATS,
            "ListPools": Right.STATS,
            "GetCapacity": Right.STATS,
            "Diagnose": Right.STATS,
            "ListOrphans": Right.STATS,
            "RemoveOrphan": Right.CHANGE,
        },
        "Volumes": {
            "CreateVolume": Right.CHANGE,
            "DeleteVolume": Right.CHANGE,
            "AdoptVolume": Right.CHANGE,
            "ReleaseVolume": Right.CHANGE,
            "GetVolume": Right.STATS,
            "ListVolumes": Right.STATS,
            "ExpandVolume": Right.CHANGE,
            "ModifyVolume": Right.CHANGE,
            "AttachVolume": Right.USE,
            "DetachVolume": Right.USE,
            "StageVolume": Right.USE,
            "UnstageVolume": Right.USE,
            "PublishVolume": Right.USE,
            "UnpublishVolume": Right.USE,
            "GetVolumeStats": Right.STATS,
            "TrimVolume": Right.USE,
        },
        "Snapshots": {
            "CreateSnapshot": Right.CHANGE,
            "DeleteSnapshot": Right.CHANGE,
            "GetSnapshot": Right.STATS,
            "ListSnapshots": Right.STATS,
            "CreateSnapshotGroup": Right.CHANGE,
            "DeleteSnapshotGroup": Right.CHANGE,
            "GetSnapshotGroup": Right.STATS,
        },
        "Timeline": {
            "RewindVolume": Right.CHANGE,
            "UndoRewind": Right.CHANGE,
        },
    }
)


def needed(path: str) -> Right | None:
    """The right for a method as gRPC names it, `/ebb.v1.Volumes/CreateVolume`; None: no right."""
    _, service, method = path.split("/")
    return NEEDED.get(service.removeprefix("ebb.v1."), {}).get(method)


def granted(names: Iterable[str]) -> Right | None:
    """The right that a certificate's alternative names carry.

    None: no right, an unknown one, or several, which nobody can have meant.
    """
    told = {name.removeprefix(RIGHTS_URI) for name in names if name.startswith(RIGHTS_URI)}
    found = [right for right in Right if told == {str(right)}]
    return found[0] if found else None


def admit(path: str, names: Iterable[str]) -> None:
    """Raises NotPermitted unless a certificate with these names may make this call."""
    has, needs = granted(names), needed(path)
    if has is not None and needs is not None and has >= needs:
        return
    method = path.rpartition("/")[2]
    if needs is None:
        raise NotPermitted(f"{method} cannot be called over TLS", "use ebbd's socket on its node")
    raise NotPermitted(
        f"{method} needs the right '{needs}', the client's certificate has "
        + (f"'{has}'" if has else "no right"),
        f"use a certificate with the URI {RIGHTS_URI}{needs} ('ebb certs init' makes them)",
    )
