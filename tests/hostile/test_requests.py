"""Whatever is in a request: a proper status, no traceback, and a refused one changes nothing."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from ebb_pb import csi_pb2
from ebb_pb import ebb_pb2 as pb
from grpc import StatusCode
from hostile.served import NODE_ID, REFUSALS, Served, served
from hostile.values import Known, Method, methods, requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

# `make fuzz` asks for more of them.
EXAMPLES = int(os.environ.get("EBB_HOSTILE_EXAMPLES", "12"))
METHODS = [*methods(csi_pb2.DESCRIPTOR), *methods(pb.DESCRIPTOR)]
# They do their work in steps, each of which may be repeated: device, filesystem, tag, mount.
IN_STEPS = ("Stage", "Publish")

pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")  # they are large

hostile = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="EBB_HOSTILE_EXAMPLES" not in os.environ,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def pair() -> Iterator[Served]:
    # A socket's path has little room.
    with tempfile.TemporaryDirectory(prefix="ebb-") as folder, served(Path(folder)) as made:
        yield made


def prepared(pair: Served) -> Known:
    """Volumes that are there, used and unused, and what may be said of them."""
    try:
        return made_up(pair)
    except grpc.RpcError:  # the last request was accepted and left others in their place
        pair.remove_everything()
        return made_up(pair)


def made_up(pair: Served) -> Known:
    access = pb.Access(mode=pb.SINGLE_NODE_WRITER)
    made = [
        pair.volumes.CreateVolume(pb.CreateVolumeRequest(name=name, block=name == "raw")).volume.id
        for name in ("db", "raw", "idle")
    ]
    staged = f"{pair.mounts}/staged"
    pair.volumes.StageVolume(
        pb.StageVolumeRequest(volume_id=made[0], staging_path=staged, access=access)
    )
    raw = pb.Access(mode=pb.SINGLE_NODE_WRITER, block=True)
    pair.volumes.StageVolume(
        pb.StageVolumeRequest(volume_id=made[1], staging_path=staged, access=raw)
    )
    snapshot = pair.snapshots.CreateSnapshot(
        pb.CreateSnapshotRequest(name="kept", volume_id=made[2])
    ).snapshot.id
    group = pair.snapshots.CreateSnapshotGroup(
        pb.CreateSnapshotGroupRequest(name="both", volume_ids=made[1:])
    ).group
    paths = [staged, f"{staged}/below", f"{pair.mounts}/new", f"{pair.mounts}/new\n\u2028ä"]
    paths += [f"{pair.mounts}/../out", f"{pair.mounts}", f"{pair.mounts}/{'l' * 300}", f"{staged}/"]
    volumes = dict.fromkeys(("volume_id", "source_volume_id", "volume", "volume_ids"), made)
    return Known(
        texts=(*made, snapshot, group.id, NODE_ID, *paths),
        fields={
            **volumes,
            "source_volume_ids": made,
            "snapshot_id": [snapshot],
            "group_id": [group.id],
            "group_snapshot_id": [group.id],
            "node_id": [NODE_ID],
            **dict.fromkeys(
                ("staging_target_path", "staging_path", "target_path", "volume_path"), paths
            ),
        },
    )


def ask(pair: Served, method: Method, request: bytes) -> None:
    pair.logs.entries.clear()
    before, roughly = pair.pool(), pair.volumes_and_mounts()
    answer = pair.call(method.path, request)
    assert pair.defects() == []
    assert "metadata size" not in answer.details  # gRPC's words for a message that did not fit
    if answer.code is StatusCode.OK:
        return
    if answer.code is StatusCode.UNIMPLEMENTED:
        assert method.service.startswith("csi.")  # what CSI has and ebb does not offer
    else:
        assert answer.code in REFUSALS, answer
        assert answer.details, f"{answer.code} without a word"
    if method.name.removeprefix("Node").startswith(IN_STEPS):
        assert pair.volumes_and_mounts() == roughly, answer
    else:
        assert pair.pool() == before, answer


def cleaned(pair: Served) -> None:
    """What was accepted can be undone by what the lists say, and lay where it may."""
    pair.remove_everything()
    assert all(not group.volumes for group in pair.machine.groups.values())
    assert [mount.target for mount in pair.machine.mounts] == ["/"]
    kept = {"mounts", "run", "ebbd.sock", "csi.sock", "pool.img"}
    assert {name.partition("/")[0] for name in pair.files()} <= kept


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.path[1:])
def test_any_fields(pair: Served, method: Method) -> None:
    known = prepared(pair)

    @hostile
    @given(requests(method.request, known))
    def asked(request: object) -> None:
        prepared(pair)
        ask(pair, method, request.SerializeToString())  # type: ignore[attr-defined] # a Message

    asked()
    cleaned(pair)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.path[1:])
def test_any_bytes(pair: Served, method: Method) -> None:
    """What is no message at all is refused in words, too."""

    @hostile
    @given(st.binary(max_size=60))
    def asked(request: bytes) -> None:
        pair.logs.entries.clear()
        try:
            method.request.FromString(request)
        except Exception:  # noqa: BLE001 - whatever protobuf raises for it
            before = pair.pool()
            assert pair.call(method.path, request).code in {
                StatusCode.INVALID_ARGUMENT,
                StatusCode.UNIMPLEMENTED,
            }
            assert pair.pool() == before
            assert pair.defects() == []
        else:
            ask(pair, method, request)

    asked()
    cleaned(pair)


def test_what_cannot_be_decoded_is_refused_in_words(pair: Served) -> None:
    """Seen: UNKNOWN, and a traceback on standard error that gRPC prints."""
    for path in ("/csi.v1.Controller/CreateVolume", "/ebb.v1.Volumes/CreateVolume"):
        answer = pair.call(path, b"\x0a\xff")
        assert answer.code is StatusCode.INVALID_ARGUMENT
        assert "is not the message that this call takes" in answer.details


def test_a_refusal_that_repeats_a_long_value_still_arrives(pair: Served) -> None:
    """Seen: RESOURCE_EXHAUSTED, because the message did not fit gRPC's trailing metadata."""
    request = csi_pb2.NodeUnpublishVolumeRequest(volume_id="v", target_path="\u2028" * 1365)
    answer = pair.call("/csi.v1.Node/NodeUnpublishVolume", request.SerializeToString())
    assert answer.code is StatusCode.INVALID_ARGUMENT
    assert "must be absolute" in answer.details


def test_the_size_of_a_raw_volume_is_no_way_to_look_around(pair: Served) -> None:
    """Only paths where ebbd may mount are looked at at all."""
    prepared(pair)
    volume = pair.volumes.GetVolume(pb.GetVolumeRequest(volume="raw"))
    for path in ("/etc/passwd", "/", f"{pair.mounts}/../ebbd.sock", "a\0b"):
        request = pb.GetVolumeStatsRequest(volume_id=volume.id, volume_path=path)
        answer = pair.call("/ebb.v1.Volumes/GetVolumeStats", request.SerializeToString())
        assert answer.code is StatusCode.NOT_FOUND, path
    cleaned(pair)


def test_an_expansion_at_a_wrong_path_grows_nothing(pair: Served) -> None:
    prepared(pair)
    volume = pair.volumes.GetVolume(pb.GetVolumeRequest(volume="db"))
    request = pb.ExpandVolumeRequest(
        volume_id=volume.id, required_bytes=2 * volume.size_bytes, volume_path="/elsewhere"
    )
    before = pair.pool()
    answer = pair.call("/ebb.v1.Volumes/ExpandVolume", request.SerializeToString())
    assert answer.code is StatusCode.NOT_FOUND
    assert pair.pool() == before
    cleaned(pair)


def test_a_message_that_is_too_large(pair: Served) -> None:
    request = csi_pb2.DeleteVolumeRequest(volume_id="v" * (5 << 20)).SerializeToString()
    before = pair.pool()
    for path in ("/csi.v1.Controller/DeleteVolume", "/ebb.v1.Volumes/DeleteVolume"):
        assert pair.call(path, request).code is StatusCode.RESOURCE_EXHAUSTED
    assert pair.pool() == before
