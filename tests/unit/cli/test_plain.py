"""The JSON of every message: field names and types are a promise, so they are written down here."""

import json
from pathlib import Path

import pytest
from ebb_cli.plain import plain
from ebb_pb import ebb_pb2 as pb
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.protobuf.wrappers_pb2 import BytesValue

GOLDEN = Path(__file__).parent / "golden"
CREATED = Timestamp(seconds=1_795_000_000, nanos=5_000_000)
VOLUME = pb.Volume(
    id="v-1",
    name="db",
    pool="ebb/pool",
    size_bytes=2**60,
    filesystem="ext4",
    generation=2,
    created=CREATED,
    source_volume_id="v-0",
    intent={"priority": "gold"},
    mkfs_options=["-N", "4096"],
    active=True,
    open_count=1,
    allocated_bytes=65536,
    mount_paths=["/run/ebb/mounts/v-1", "/mnt/db"],
    condition=pb.Condition(),
    incarnation="i",
    device="/dev/ebb/v-1",
)
SNAPSHOT = pb.Snapshot(
    id="s-1", name="before", volume_id="v-1", size_bytes=1024, created=CREATED, ready=True
)
POOL = pb.Pool(name="ebb/pool", size_bytes=2**40, overcommit_ratio=1.5, condition=pb.Condition())
EXAMPLES: dict[str, Message] = {
    "volume": VOLUME,
    "volume-created": pb.CreateVolumeResponse(volume=VOLUME, created=True),
    "snapshot": SNAPSHOT,
    "group": pb.SnapshotGroup(id="g-1", name="both", snapshots=[SNAPSHOT], created=CREATED),
    "pool": POOL,
    "node": pb.GetNodeResponse(
        node_id="n", node_key="k", version="1", simulated=True, lvm_command_lines=3
    ),
    "stats": pb.GetVolumeStatsResponse(total_bytes=9, condition=pb.Condition(abnormal=True)),
    "check": pb.Check(subject="kernel", name="release", status=pb.Check.WARNING, detail="old"),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_shape_is_the_one_written_down(name: str) -> None:
    golden = (GOLDEN / f"{name}.json").read_text(encoding="utf-8")
    assert json.dumps(plain(EXAMPLES[name]), indent=2) + "\n" == golden


def test_every_field_is_there_also_of_an_empty_message() -> None:
    empty = plain(pb.Volume())
    assert empty.keys() == plain(VOLUME).keys()
    assert (empty["created"], empty["condition"]) == (None, None)
    assert (empty["size_bytes"], empty["mount_paths"], empty["intent"]) == (0, [], {})


def test_what_has_no_decided_shape_is_refused_rather_than_guessed() -> None:
    with pytest.raises(TypeError, match=r"BytesValue\.value: no JSON shape"):
        plain(BytesValue(value=b"x"))
