"""The orchestrator promises one call at a time per volume and breaks the promise when it restarts.

Whatever overlaps, each call ends as if they had come one after the other (or ABORTED: "try
again"), and what is left is what those answers say.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import TypeVar

import grpc
from contract.csi.client import Csi, from_volume
from ebb_pb import csi_pb2
from grpc import StatusCode

Reply = TypeVar("Reply")

MANY = 8


async def all_of(calls: Sequence[Awaitable[Reply]]) -> list[Reply | grpc.aio.AioRpcError]:
    """Every outcome, failures of the RPC among them; any other exception is raised."""
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    found: list[Reply | grpc.aio.AioRpcError] = []
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not isinstance(outcome, grpc.aio.AioRpcError):
            raise outcome
        found.append(outcome)
    return found


def failures(outcomes: Sequence[object]) -> list[StatusCode]:
    return [outcome.code() for outcome in outcomes if isinstance(outcome, grpc.aio.AioRpcError)]


async def test_equal_creations_at_once_make_one_volume(csi: Csi) -> None:
    outcomes = await all_of([csi.create("pvc-1") for _ in range(MANY)])
    made = [outcome for outcome in outcomes if isinstance(outcome, csi_pb2.Volume)]
    assert set(failures(outcomes)) <= {StatusCode.ABORTED}
    assert len({volume.volume_id for volume in made}) == 1
    assert len(await csi.volumes()) == 1


async def test_unequal_creations_at_once_make_one_volume_and_refuse_the_rest(csi: Csi) -> None:
    sizes = [64 << 20, 128 << 20] * (MANY // 2)
    outcomes = await all_of(
        [csi.create("pvc-1", required_bytes=size, limit_bytes=size) for size in sizes]
    )
    made = {outcome.capacity_bytes for outcome in outcomes if isinstance(outcome, csi_pb2.Volume)}
    assert len(made) == 1
    assert set(failures(outcomes)) <= {StatusCode.ALREADY_EXISTS, StatusCode.ABORTED}
    assert StatusCode.ALREADY_EXISTS in failures(outcomes)
    assert [volume.capacity_bytes for volume in await csi.volumes()] == list(made)


async def test_creations_of_different_volumes_at_once_all_succeed(csi: Csi) -> None:
    outcomes = await all_of([csi.create(f"pvc-{number}") for number in range(MANY)])
    assert failures(outcomes) == []
    assert len(await csi.volumes()) == MANY


async def test_deletion_during_creation_leaves_what_the_answers_say(csi: Csi) -> None:
    volume = await csi.create("pvc-1")
    outcomes = await all_of(
        [csi.create("pvc-1"), csi.delete(volume.volume_id), csi.create("pvc-1")]
    )
    assert set(failures(outcomes)) <= {StatusCode.ABORTED}
    left = await csi.volumes()
    assert len(left) <= 1
    # Whatever came last decides; asking once more settles it either way.
    await csi.create("pvc-1")
    assert len(await csi.volumes()) == 1


async def test_equal_deletions_at_once_all_succeed(csi: Csi) -> None:
    volume = await csi.create("pvc-1")
    outcomes = await all_of([csi.delete(volume.volume_id) for _ in range(MANY)])
    assert set(failures(outcomes)) <= {StatusCode.ABORTED}
    await csi.delete(volume.volume_id)
    assert await csi.volumes() == []


async def test_a_snapshot_during_deletion_is_whole_or_not_there(csi: Csi) -> None:
    volume = await csi.create("pvc-1")
    outcomes = await all_of([csi.snapshot("snap", volume.volume_id), csi.delete(volume.volume_id)])
    taken = [outcome for outcome in outcomes if isinstance(outcome, csi_pb2.Snapshot)]
    assert set(failures(outcomes)) <= {StatusCode.NOT_FOUND, StatusCode.ABORTED}
    listed = await csi.snapshots()
    assert [snapshot.snapshot_id for snapshot in listed] == [s.snapshot_id for s in taken]
    for snapshot in taken:
        assert snapshot.ready_to_use
        assert snapshot.source_volume_id == volume.volume_id


async def test_equal_snapshots_at_once_make_one(csi: Csi) -> None:
    volume = await csi.create("pvc-1")
    outcomes = await all_of([csi.snapshot("snap", volume.volume_id) for _ in range(MANY)])
    assert set(failures(outcomes)) <= {StatusCode.ABORTED}
    assert len(await csi.snapshots()) == 1


async def test_one_snapshot_name_for_two_volumes_at_once_goes_to_one(csi: Csi) -> None:
    volumes = [await csi.create(name) for name in ("a", "b")]
    outcomes = await all_of([csi.snapshot("snap", volume.volume_id) for volume in volumes])
    assert failures(outcomes) == [StatusCode.ALREADY_EXISTS]
    assert len(await csi.snapshots()) == 1


async def test_a_clone_during_deletion_of_its_source_is_whole_or_not_there(csi: Csi) -> None:
    source = await csi.create("source")
    outcomes = await all_of(
        [
            csi.create("clone", source=from_volume(source.volume_id)),
            csi.delete(source.volume_id),
        ]
    )
    assert set(failures(outcomes)) <= {StatusCode.NOT_FOUND, StatusCode.ABORTED}
    made = [outcome for outcome in outcomes if isinstance(outcome, csi_pb2.Volume)]
    left = {volume.volume_id for volume in await csi.volumes()}
    assert left - {source.volume_id} == {volume.volume_id for volume in made}


async def test_attaching_at_once_never_passes_the_limit(csi: Csi) -> None:
    info = await csi.info()
    volumes = [await csi.create(f"pvc-{number}") for number in range(MANY)]
    outcomes = await all_of([csi.attach(volume.volume_id, info.node_id) for volume in volumes])
    assert set(failures(outcomes)) <= {StatusCode.RESOURCE_EXHAUSTED, StatusCode.ABORTED}
    assert len(outcomes) - len(failures(outcomes)) == info.max_volumes_per_node


async def test_staging_and_deleting_at_once_never_loses_a_staged_volume(csi: Csi) -> None:
    volume = await csi.create("pvc-1")
    staging = csi.staging_path()
    staged, deleted = await all_of(
        [csi.stage(volume.volume_id, staging), csi.delete(volume.volume_id)]
    )
    left = await csi.volumes()
    if isinstance(staged, grpc.aio.AioRpcError):
        assert staged.code() in {StatusCode.NOT_FOUND, StatusCode.ABORTED}
        assert deleted is None
        assert left == []
    else:
        assert isinstance(deleted, grpc.aio.AioRpcError)
        assert deleted.code() in {StatusCode.FAILED_PRECONDITION, StatusCode.ABORTED}
        assert len(left) == 1


async def test_equal_staging_and_publishing_at_once_succeed(csi: Csi) -> None:
    volume = await csi.create("pvc-1")
    staging, target = csi.staging_path(), csi.target_path()
    outcomes = await all_of([csi.stage(volume.volume_id, staging) for _ in range(MANY)])
    assert set(failures(outcomes)) <= {StatusCode.ABORTED}
    outcomes = await all_of([csi.publish(volume.volume_id, staging, target) for _ in range(MANY)])
    assert set(failures(outcomes)) <= {StatusCode.ABORTED}
    await csi.unpublish(volume.volume_id, target)
    await csi.unstage(volume.volume_id, staging)


async def test_a_single_writer_stays_single_however_many_publish_at_once(csi: Csi) -> None:
    once = csi_pb2.VolumeCapability(
        mount=csi_pb2.VolumeCapability.MountVolume(),
        access_mode=csi_pb2.VolumeCapability.AccessMode(
            mode=csi_pb2.VolumeCapability.AccessMode.SINGLE_NODE_SINGLE_WRITER
        ),
    )
    volume = await csi.create("pvc-1", once)
    staging = csi.staging_path()
    await csi.stage(volume.volume_id, staging, once)
    outcomes = await all_of(
        [csi.publish(volume.volume_id, staging, csi.target_path(), once) for _ in range(MANY)]
    )
    assert len(outcomes) - len(failures(outcomes)) == 1
    assert set(failures(outcomes)) <= {StatusCode.FAILED_PRECONDITION, StatusCode.ABORTED}


async def test_a_caller_who_leaves_does_not_undo_what_was_begun(csi: Csi) -> None:
    request = csi.create_request("pvc-1")
    call = csi.controller.CreateVolume(request)
    call.cancel()
    volume = await csi.create("pvc-1")
    assert [found.volume_id for found in await csi.volumes()] == [volume.volume_id]
