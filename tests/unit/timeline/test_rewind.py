"""Rewind and undo: the head moves, nothing is lost, and nobody's data changes under them."""

import asyncio
from dataclasses import replace

import pytest
from contract.volumes.engine import BLOCK, MIB, Engine
from ebbd.errors import (
    Busy,
    DeadlineExceeded,
    EbbError,
    InvalidInput,
    NoRoom,
    NotFound,
    WrongState,
)
from ebbd.host.simulated.faults import Step
from ebbd.host.values import Consumer, Mount
from ebbd.model import Access, Created, Prepare, Snapshot, Unchanged, Volume
from ebbd.timeline.rewind import mount_options_of
from unit.volumes.rig import VG, Rig

APP = Consumer("/pods/app", (10, 11), freezable=True)


async def written(rig: Rig, engine: Engine, volume: Volume, text: str) -> str:
    path = await engine.stage(volume)
    rig.files.write_file(path, "f", MIB, text)
    return path


async def with_past(rig: Rig, engine: Engine) -> tuple[Volume, Snapshot, str]:
    """A staged volume that says `now`, and a snapshot of it that says `then`; its path."""
    volume = await engine.create("a")
    path = await written(rig, engine, volume, "then")
    snapshot = (await engine.snapshots.create("s", volume.id)).value
    rig.files.write_file(path, "f", MIB, "now")
    return volume, snapshot, path


async def test_a_volume_nobody_uses_is_moved_by_one_command(rig: Rig, engine: Engine) -> None:
    volume, snapshot, path = await with_past(rig, engine)
    await engine.staging.unstage(volume.id, path)
    lines = engine.host.lvm.command_lines
    moved = await engine.rewinding.rewind(volume.id, snapshot.id)
    assert engine.host.lvm.command_lines - lines == 1
    assert isinstance(moved, Created)
    assert (moved.value.id, moved.value.generation) == (volume.id, 2)
    assert (moved.value.older_lvs, moved.value.head_of) == ((volume.lv_name,), snapshot.id)
    assert rig.files.read_file(await engine.stage(moved.value, path.rpartition("/")[2]), "f") == (
        "then"
    )


async def test_undo_leads_back_and_undoing_it_forth(rig: Rig, engine: Engine) -> None:
    volume, snapshot, path = await with_past(rig, engine)
    await engine.rewinding.rewind(volume.id, snapshot.id)
    assert rig.files.read_file(path, "f") == "then"
    rig.files.write_file(path, "g", MIB, "written after the rewind")
    undone = await engine.rewinding.undo(volume.id)
    assert isinstance(undone, Created)
    assert (undone.value.generation, undone.value.head_of) == (3, "1")
    assert rig.files.read_file(path, "f") == "now"
    await engine.rewinding.undo(volume.id)
    assert rig.files.read_file(path, "f") == "then"
    assert rig.files.read_file(path, "g") == "written after the rewind"
    rig.assert_sound()


async def test_staged_and_unused_is_mounted_again_as_it_was(rig: Rig, engine: Engine) -> None:
    volume, snapshot, path = await with_past(rig, engine)
    await engine.staging.unstage(volume.id, path)
    await engine.stage(volume, access=Access(mount_flags=("noatime", "data=ordered")))
    [before] = [m for m in await engine.host.mounts.table() if m.target == path]
    moved = (await engine.rewinding.rewind(volume.id, snapshot.id)).value
    [after] = [m for m in await engine.host.mounts.table() if m.target == path]
    assert (after.options, set(after.super_options)) == (before.options, set(before.super_options))
    assert rig.files.read_file(path, "f") == "then"
    assert await engine.devices.info(volume) is None, "a former head stays down"
    target = await engine.publish(moved, "pod", staged=path)
    assert rig.files.read_file(target, "f") == "then"


async def test_the_volume_stays_itself(engine: Engine) -> None:
    volume = await engine.create("a", parameters={"priority": "gold", "mount-options": "noatime"})
    await engine.lifecycle.modify(volume.id, {"iops": "100"})
    snapshot = (await engine.snapshots.create("s", volume.id)).value
    await engine.lifecycle.modify(volume.id, {"iops": "900"})
    await engine.attachment.attach(volume.id, "node-1", read_only=False)
    before = await engine.store.require_volume(volume.id)
    moved = (await engine.rewinding.rewind(volume.id, snapshot.id)).value
    assert moved == replace(
        before,
        generation=2,
        lv_name=moved.lv_name,
        older_lvs=(before.lv_name,),
        head_of=snapshot.id,
    )
    assert moved.intent == {"priority": "gold", "iops": "900"}, "the present head's, not the past's"
    assert [s.id for s in (await engine.store.catalog()).snapshots_of(volume.id)] == [snapshot.id]


async def test_the_size_is_kept_across_a_growth(rig: Rig, engine: Engine) -> None:
    volume, snapshot, path = await with_past(rig, engine)
    await engine.lifecycle.expand(volume.id, 128 * MIB, 0)
    moved = (await engine.rewinding.rewind(volume.id, snapshot.id)).value
    assert (moved.lv_bytes, moved.size_bytes) == (128 * MIB, 128 * MIB)
    assert (await engine.host.filesystems.usage(path)).total_bytes > 100 * MIB
    assert rig.files.read_file(path, "f") == "then"
    await engine.staging.unstage(volume.id, path)
    back = (await engine.rewinding.rewind(volume.id, snapshot.id)).value
    assert (back.lv_bytes, back.size_bytes) == (64 * MIB, 128 * MIB), "grown when it is staged"


async def test_to_before_the_first_use_is_blank_again(rig: Rig, engine: Engine) -> None:
    volume = await engine.create("a")
    snapshot = (await engine.snapshots.create("s", volume.id)).value
    path = await written(rig, engine, volume, "now")
    await engine.staging.unstage(volume.id, path)
    moved = (await engine.rewinding.rewind(volume.id, snapshot.id)).value
    assert moved.prepare is Prepare.FORMAT
    assert (await engine.rewinding.undo(volume.id)).value.prepare is None
    assert rig.files.read_file(await engine.stage(volume), "f") == "now"


async def test_raw_block_is_moved_while_only_staged(engine: Engine) -> None:
    volume = await engine.create("a", block=True)
    await engine.stage(volume, access=BLOCK)
    snapshot = (await engine.snapshots.create("s", volume.id)).value
    moved = (await engine.rewinding.rewind(volume.id, snapshot.id)).value
    target = await engine.publish(moved, "device", BLOCK)
    with pytest.raises(WrongState, match=target):
        await engine.rewinding.undo(volume.id)


@pytest.mark.parametrize("published", [False, True])
async def test_in_use_is_refused_and_says_by_whom(
    rig: Rig, engine: Engine, published: bool
) -> None:
    volume, snapshot, path = await with_past(rig, engine)
    if published:
        await engine.publish(volume, "pod")
    else:
        rig.machine.use(VG, volume.lv_name, APP)
    before = set(rig.machine.group(VG).volumes)
    with pytest.raises(WrongState, match=r"/pods/app|/pod"):
        await engine.rewinding.rewind(volume.id, snapshot.id)
    assert set(rig.machine.group(VG).volumes) == before
    assert rig.files.read_file(path, "f") == "now"


async def test_wrong_points_are_refused(rig: Rig, engine: Engine) -> None:
    volume, snapshot, _path = await with_past(rig, engine)
    other = await engine.create("b")
    with pytest.raises(InvalidInput, match="another volume"):
        await engine.rewinding.rewind(other.id, snapshot.id)
    with pytest.raises(NotFound, match="snapshot"):
        await engine.rewinding.rewind(volume.id, "nonsense")
    with pytest.raises(NotFound, match="volume"):
        await engine.rewinding.rewind("nonsense", snapshot.id)
    with pytest.raises(WrongState, match="never rewound"):
        await engine.rewinding.undo(volume.id)


async def test_an_earlier_volume_of_that_name_lends_no_past(rig: Rig, engine: Engine) -> None:
    volume, snapshot, path = await with_past(rig, engine)
    await engine.staging.unstage(volume.id, path)
    await engine.lifecycle.delete(volume.id)
    again = await engine.create("a")
    assert again.id == volume.id
    with pytest.raises(InvalidInput, match="another volume"):
        await engine.rewinding.rewind(again.id, snapshot.id)


async def test_a_request_that_comes_back_and_one_that_comes_too_late(
    rig: Rig, engine: Engine
) -> None:
    volume, snapshot, path = await with_past(rig, engine)
    first = await engine.rewinding.rewind(volume.id, snapshot.id, from_generation=1)
    again = await engine.rewinding.rewind(volume.id, snapshot.id, from_generation=1)
    assert again == Unchanged(first.value)
    undone = await engine.rewinding.undo(volume.id, from_generation=2)
    assert await engine.rewinding.undo(volume.id, from_generation=2) == Unchanged(undone.value)
    assert rig.files.read_file(path, "f") == "now"
    with pytest.raises(Busy, match="generation 3, not 1"):
        await engine.rewinding.rewind(volume.id, snapshot.id, from_generation=1)
    with pytest.raises(Busy, match="generation 3, not 9"):
        await engine.rewinding.undo(volume.id, from_generation=9)


async def test_two_equal_requests_at_once_move_once(rig: Rig, engine: Engine) -> None:
    volume, snapshot, _path = await with_past(rig, engine)
    both = await asyncio.gather(
        *(engine.rewinding.rewind(volume.id, snapshot.id, from_generation=1) for _ in range(2))
    )
    assert sorted(type(outcome).__name__ for outcome in both) == ["Created", "Unchanged"]
    assert (await engine.store.require_volume(volume.id)).generation == 2


@pytest.mark.parametrize("step", [Step.STARTED, Step.LISTED])
async def test_a_move_that_fails_leaves_the_mount_as_it_was(
    rig: Rig, engine: Engine, step: Step
) -> None:
    volume, snapshot, path = await with_past(rig, engine)
    rig.machine.faults.stop("create_snapshot", step)
    with pytest.raises(DeadlineExceeded):
        await engine.rewinding.rewind(volume.id, snapshot.id)
    assert rig.files.read_file(path, "f") == "now"
    assert (await engine.store.require_volume(volume.id)).generation == 1
    rig.assert_sound()


async def test_a_full_pool_moves_nothing(rig: Rig, engine: Engine) -> None:
    volume, snapshot, path = await with_past(rig, engine)
    rig.machine.faults.fail("create_snapshot", NoRoom("no"))
    with pytest.raises(EbbError):
        await engine.rewinding.rewind(volume.id, snapshot.id)
    assert rig.files.read_file(path, "f") == "now"


async def test_deletion_takes_every_generation_and_no_snapshot(rig: Rig, engine: Engine) -> None:
    volume, snapshot, path = await with_past(rig, engine)
    await engine.rewinding.rewind(volume.id, snapshot.id)
    await engine.rewinding.undo(volume.id)
    await engine.staging.unstage(volume.id, path)
    assert await engine.lifecycle.delete(volume.id)
    assert list(rig.machine.group(VG).volumes) == [snapshot.lv_name]


def test_a_mount_is_repeated_without_what_errors_made_of_it() -> None:
    shown = Mount(
        mount_id=1,
        parent_id=0,
        major=253,
        minor=3,
        root="/",
        target="/m",
        options=("rw", "noatime"),
        filesystem="ext4",
        source="/dev/vg/lv",
        super_options=("ro", "emergency_ro", "data=ordered", "noatime"),
    )
    assert mount_options_of(shown) == ("rw", "noatime", "data=ordered")
    meant = replace(shown, options=("ro", "relatime"), super_options=("ro",))
    assert mount_options_of(meant) == ("ro", "relatime")
