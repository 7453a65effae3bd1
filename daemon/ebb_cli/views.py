"""What a person wants to see of each thing, and in which order. Pure: `now` is a parameter."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from ebb_pb import ebb_pb2 as pb
from ebb_units.quantity import exact, short
from google.protobuf.timestamp_pb2 import Timestamp

from ebb_cli.tables import Column

KIB = 1024
Facts = list[tuple[str, str]]
_AGES = ((86_400 * 365, "y"), (86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))
_STYLES = {
    "mounted": "green",
    "in use": "green",
    "ok": "green",
    "problem": "bold red",
    "failed": "bold red",
    "warning": "yellow",
}


def style(text: str) -> str:
    return _STYLES.get(text, "")


def age(created: Timestamp, now: datetime) -> str:
    """How long ago, in one unit: `45s`, `12m`, `3h`, `8d`, `2y`."""
    seconds = max(0, int(now.timestamp() - created.seconds))
    for length_s, unit in _AGES:
        if seconds >= length_s:
            return f"{seconds // length_s}{unit}"
    return "0s"


def share(used: int, total: int) -> str:
    return f"{100 * used / total:.1f}%" if total else ""


def pairs(values: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={values[key]}" for key in sorted(values))


def both(value: int) -> str:
    """A size for people, with the number of bytes beside it where it is another."""
    return f"{short(value)} ({value} bytes)" if value >= KIB else f"{value} bytes"


def condition(it: pb.Condition) -> str:
    return (it.message or "abnormal") if it.abnormal else "ok"


def state(volume: pb.Volume) -> str:
    """One word: problem, mounted, in use, active, new (never used) or idle."""
    if volume.condition.abnormal:
        return "problem"
    if volume.mount_paths:
        return "mounted"
    if volume.open_count:
        return "in use"
    if volume.active:
        return "active"
    return "new" if volume.blank else "idle"


def source(volume: pb.Volume) -> str:
    if volume.source_snapshot_id:
        return f"snapshot {volume.source_snapshot_id}"
    return f"volume {volume.source_volume_id}" if volume.source_volume_id else ""


def head_of(volume: pb.Volume) -> str:
    """What a rewind or an undo made the head from; empty for a volume that was never moved."""
    if not volume.head_of:
        return ""
    return f"generation {volume.head_of}" if volume.head_of.isdigit() else volume.head_of


def claim(volume: pb.Volume) -> str:
    return f"{volume.claim_namespace}/{volume.claim_name}" if volume.claim_name else ""


def volume_columns(now: datetime) -> list[Column[pb.Volume]]:
    return [
        Column("NAME", lambda it: it.name),
        Column("ID", lambda it: it.id, wide=True),
        Column("POOL", lambda it: it.pool),
        Column(
            "SIZE",
            lambda it: short(it.size_bytes),
            right=True,
            exact=lambda it: exact(it.size_bytes),
        ),
        Column(
            "ALLOCATED",
            lambda it: short(it.allocated_bytes) if it.active else "",
            right=True,
            exact=lambda it: exact(it.allocated_bytes) if it.active else "",
        ),
        Column("TYPE", lambda it: it.filesystem or "block"),
        Column("STATE", state, style=style),
        Column("AGE", lambda it: age(it.created, now), right=True),
        Column("GEN", lambda it: str(it.generation), wide=True, right=True),
        Column("DEVICE", lambda it: it.device, wide=True),
        Column("OPEN", lambda it: str(it.open_count) if it.active else "", wide=True, right=True),
        Column("SOURCE", source, wide=True),
        Column("CLAIM", claim, wide=True),
        Column("INTENT", lambda it: pairs(it.intent), wide=True),
        Column("PATHS", lambda it: " ".join(it.mount_paths), wide=True),
        Column(
            "PROBLEM", lambda it: it.condition.message if it.condition.abnormal else "", wide=True
        ),
    ]


def volume_facts(it: pb.Volume, now: datetime) -> Facts:
    return [
        ("Name", it.name),
        ("Id", it.id),
        ("State", state(it)),
        ("Condition", condition(it.condition)),
        ("Pool", it.pool),
        ("Size", both(it.size_bytes)),
        (
            "Allocated",
            both(it.allocated_bytes) if it.active else "known while the volume is active",
        ),
        ("Type", it.filesystem or "raw block"),
        ("Created", f"{it.created.ToJsonString()} ({age(it.created, now)} ago)"),
        ("Generation", str(it.generation)),
        ("Incarnation", it.incarnation),
        ("Head of", head_of(it)),
        ("Source", source(it)),
        ("Claim", claim(it)),
        ("Intent", pairs(it.intent)),
        ("Device", f"{it.device} (open count {it.open_count})" if it.active else ""),
        ("Attached", ("read-only" if it.attached_read_only else "yes") if it.attached else "no"),
        ("Paths", "\n".join(it.mount_paths)),
        ("Mkfs options", " ".join(it.mkfs_options)),
        ("Mount options", ",".join(it.mount_options)),
    ]


def snapshot_columns(now: datetime) -> list[Column[pb.Snapshot]]:
    return [
        Column("NAME", lambda it: it.name),
        Column("ID", lambda it: it.id, wide=True),
        Column("VOLUME", lambda it: it.volume_name or it.volume_id),
        Column("POOL", lambda it: it.pool),
        Column(
            "SIZE",
            lambda it: short(it.size_bytes),
            right=True,
            exact=lambda it: exact(it.size_bytes),
        ),
        Column("TYPE", lambda it: it.filesystem or "block"),
        Column("READY", lambda it: "yes" if it.ready else "no"),
        Column("AGE", lambda it: age(it.created, now), right=True),
        Column("VOLUME ID", lambda it: it.volume_id, wide=True),
        Column("GROUP", lambda it: it.group_id, wide=True),
    ]


def snapshot_facts(it: pb.Snapshot, now: datetime) -> Facts:
    return [
        ("Name", it.name),
        ("Id", it.id),
        ("Volume", f"{it.volume_name} ({it.volume_id})"),
        ("Pool", it.pool),
        ("Size", both(it.size_bytes)),
        ("Type", it.filesystem or "raw block"),
        ("Created", f"{it.created.ToJsonString()} ({age(it.created, now)} ago)"),
        ("Ready", "yes" if it.ready else "no"),
        ("Group", it.group_id),
    ]


def group_facts(it: pb.SnapshotGroup, now: datetime) -> Facts:
    return [
        ("Name", it.name),
        ("Id", it.id),
        ("Created", f"{it.created.ToJsonString()} ({age(it.created, now)} ago)"),
        ("Ready", "yes" if it.ready else "no"),
        ("Snapshots", "\n".join(f"{one.id} of {one.volume_name}" for one in it.snapshots)),
    ]


def pool_columns() -> list[Column[pb.Pool]]:
    return [
        Column("POOL", lambda it: it.name),
        Column(
            "SIZE",
            lambda it: short(it.size_bytes),
            right=True,
            exact=lambda it: exact(it.size_bytes),
        ),
        Column("DATA", lambda it: share(it.used_bytes, it.size_bytes), right=True),
        Column(
            "META", lambda it: share(it.metadata_used_bytes, it.metadata_size_bytes), right=True
        ),
        Column(
            "PROMISED",
            lambda it: short(it.virtual_bytes),
            right=True,
            exact=lambda it: exact(it.virtual_bytes),
        ),
        Column(
            "AVAILABLE",
            lambda it: short(it.available_bytes),
            right=True,
            exact=lambda it: exact(it.available_bytes),
        ),
        Column("VOLUMES", lambda it: str(it.volumes), right=True),
        Column("SNAPSHOTS", lambda it: str(it.snapshots), right=True),
        Column("RATIO", lambda it: f"{it.overcommit_ratio:g}", wide=True, right=True),
        Column("CHUNK", lambda it: exact(it.chunk_bytes), wide=True, right=True),
        Column("CONDITION", lambda it: condition(it.condition), style=style),
    ]


def pool_facts(it: pb.Pool) -> Facts:
    used = share(it.used_bytes, it.size_bytes)
    metadata_used = share(it.metadata_used_bytes, it.metadata_size_bytes)
    return [
        ("Pool", it.name),
        ("Condition", condition(it.condition)),
        ("Size", both(it.size_bytes)),
        ("Data used", f"{both(it.used_bytes)}, {used}" if used else ""),
        ("Metadata size", both(it.metadata_size_bytes)),
        (
            "Metadata used",
            f"{both(it.metadata_used_bytes)}, {metadata_used}" if metadata_used else "",
        ),
        ("Promised", both(it.virtual_bytes)),
        ("Overcommit ratio", f"{it.overcommit_ratio:g}"),
        ("Available", both(it.available_bytes)),
        ("Chunk", exact(it.chunk_bytes)),
        ("Volumes", str(it.volumes)),
        ("Snapshots", str(it.snapshots)),
    ]


def stats_facts(path: str, it: pb.GetVolumeStatsResponse) -> Facts:
    inodes = f"{it.used_inodes} of {it.total_inodes}, {it.available_inodes} free"
    return [
        ("Path", path),
        ("Condition", condition(it.condition)),
        ("Size", both(it.total_bytes)),
        ("Used", f"{both(it.used_bytes)}, {share(it.used_bytes, it.total_bytes)}"),
        ("Available", both(it.available_bytes)),
        ("Inodes", inodes if it.total_inodes else ""),
    ]


def node_facts(it: pb.GetNodeResponse) -> Facts:
    return [
        ("Node", it.node_id),
        ("Key", it.node_key),
        ("Version", it.version),
        ("Most volumes", str(it.max_volumes) if it.max_volumes else "no limit stated"),
        ("Simulated", "yes: nothing here is real" if it.simulated else "no"),
        ("LVM command lines", f"{it.lvm_command_lines} since the daemon started"),
    ]


def status(check: pb.Check) -> str:
    return pb.Check.Status.Name(check.status).lower()


def check_columns() -> list[Column[pb.Check]]:
    return [
        Column("STATUS", status, style=style),
        Column("SUBJECT", lambda it: it.subject),
        Column("CHECK", lambda it: it.name),
        Column("DETAIL", lambda it: it.detail),
        Column("REMEDY", lambda it: it.remedy),
    ]


def orphan_columns() -> list[Column[pb.Orphan]]:
    return [
        Column("KIND", lambda it: it.kind),
        Column("WHAT", lambda it: it.subject),
        Column("WHY", lambda it: it.reason),
        Column(
            "ALLOCATED",
            lambda it: short(it.allocated_bytes) if it.allocated_bytes else "",
            right=True,
            exact=lambda it: exact(it.allocated_bytes) if it.allocated_bytes else "",
        ),
        Column("ACTION", lambda it: it.action or f"none: {it.remedy}"),
        Column("ID", lambda it: it.id, wide=True),
    ]


def verdict(checks: Iterable[pb.Check]) -> str:
    """The last line of `ebb doctor`: `12 ok, 1 warning, 0 failed`."""
    counted = [status(check) for check in checks]
    warnings = counted.count("warning")
    return (
        f"{counted.count('ok')} ok, {warnings} warning{'' if warnings == 1 else 's'}, "
        f"{counted.count('failed')} failed"
    )
