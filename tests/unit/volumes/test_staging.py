"""Stage, publish and back, on the simulated kernel's mount table."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from contract.volumes.engine import BLOCK, MIB, Engine
from ebbd.errors import Conflict, InvalidInput, NotFound, Unavailable, WrongState
from ebbd.host.simulated.faults import Ending, Step
from ebbd.model import Access, AccessMode, Prepare
from ebbd.volumes.devices import RELEASE_PAUSE_S
from ebbd.volumes.names import head_lv
from unit.volumes.rig import POOL, VG, Rig, only_crashes

MULTI = Access(AccessMode.SINGLE_NODE_MULTI_WRITER)
SINGLE = Access(AccessMode.SINGLE_NODE_SINGLE_WRITER)
READER = Access(AccessMode.SINGLE_NODE_READER_ONLY)


def targets(rig: Rig) -> list[str]:
    return [Path(m.target).name for m in rig.machine.mounts[1:]]


async def test_a_whole_use_every_step_twice(rig: Rig, engine: Engine) -> None:
    volume = await engine.create("a")
    for _ in range(2):
        staged = await engine.stage(volume)
    for _ in range(2):
        target = await engine.publish(volume, "pod")
    assert len(targets(rig)) == 2
    rig.files.write_file(target, "f", MIB, "x")
    [seen] = await engine.observer.observe([volume])
    assert (seen.active, seen.open_count, seen.problem) == (True, 1, "")
    assert set(seen.mount_paths) == {staged, target}
    assert seen.allocated_bytes >= MIB
    used, problem = await engine.observer.usage(volume.id, target)
    assert (used.used_bytes, problem) == (MIB, "")
    for _ in range(2):
        await engine.staging.unpublish(volume.id, target)
    assert not Path(target).exists()  # noqa: ASYNC240 - one call
    for _ in range(2):
        await engine.staging.unstage(volume.id, staged)
    assert targets(rig) == []
    assert await engine.devices.info(volume) is None
    assert rig.files.read_file(await engine.stage(volume), "f") == "x"


async def test_raw_block(rig: Rig, engine: Engine) -> None:
    volume = await engine.create("a", block=True)
    for _ in range(2):
        staged = await engine.stage(volume, access=BLOCK)
        target = await engine.publish(volume, "device", BLOCK)
    assert targets(rig) == ["device"]
    assert Path(target).is_file()  # noqa: ASYNC240 - one call
    used, _ = await engine.observer.usage(volume.id, target)
    assert (used.total_bytes, used.total_inodes) == (64 * MIB, 0)
    await engine.staging.unstage(volume.id, staged)
    assert await engine.devices.info(volume) is not None, "still published"
    for _ in range(2):
        await engine.staging.unpublish(volume.id, target)
        await engine.staging.unstage(volume.id, staged)
    assert await engine.devices.info(volume) is None


@pytest.mark.parametrize(
    ("block", "access"),
    [(True, Access()), (False, BLOCK), (False, Access(filesystem="xfs"))],
)
async def test_use_beyond_what_it_was_made_for(engine: Engine, block: bool, access: Access) -> None:
    volume = await engine.create("a", block=block)
    with pytest.raises(WrongState):
        await engine.stage(volume, access=access)
    await engine.stage(volume, access=BLOCK if block else Access())
    with pytest.raises(WrongState):
        await engine.publish(volume, "pod", access)


async def test_publishing_what_was_never_staged(engine: Engine) -> None:
    volume = await engine.create("a")
    with pytest.raises(WrongState, match="not staged"):
        await engine.publish(volume, "pod")


@pytest.mark.parametrize("access", [SINGLE, Access(), READER])
async def test_a_second_target_needs_a_mode_that_allows_it(engine: Engine, access: Access) -> None:
    volume = await engine.create("a")
    await engine.stage(volume)
    first = await engine.publish(volume, "pod-1", access)
    with pytest.raises(WrongState, match="pod-1"):
        await engine.publish(volume, "pod-2", access)
    await engine.publish(volume, "pod-1", access)
    await engine.staging.unpublish(volume.id, first)
    await engine.publish(volume, "pod-2", access)


async def test_many_targets(rig: Rig, engine: Engine) -> None:
    volume = await engine.create("a")
    await engine.stage(volume)
    for name in ("pod-1", "pod-2"):
        await engine.publish(volume, name, MULTI)
    assert len(targets(rig)) == 3
    raw = await engine.create("raw", block=True)
    access = replace(BLOCK, mode=AccessMode.SINGLE_NODE_SINGLE_WRITER)
    await engine.stage(raw, access=access)
    await engine.publish(raw, "device-1", access)
    with pytest.raises(WrongState, match="device-1"):
        await engine.publish(raw, "device-2", access)


async def test_two_publications_at_once_under_read_write_once_pod(engine: Engine) -> None:
    volume = await engine.create("a")
    await engine.stage(volume)
    told = await asyncio.gather(
        engine.publish(volume, "pod-1", SINGLE),
        engine.publish(volume, "pod-2", SINGLE),
        return_exceptions=True,
    )
    assert sorted(type(t).__name__ for t in told) == ["WrongState", "str"]


async def test_read_only(rig: Rig, engine: Engine) -> None:
    volume = await engine.create("a")
    await engine.stage(volume)
    target = await engine.publish(volume, "pod", MULTI, read_only=True)
    assert "ro" in rig.machine.mounts[-1].options
    await engine.publish(volume, "pod", MULTI, read_only=True)
    with pytest.raises(Conflict, match="read-only"):
        await engine.publish(volume, "pod", MULTI)
    await engine.staging.unpublish(volume.id, target)
    await engine.publish(volume, "pod", READER)
    await engine.publish(volume, "pod", READER)
    assert "ro" in rig.machine.mounts[-1].options


async def test_a_class_that_mounts_read_only_publishes_again_and_again(engine: Engine) -> None:
    volume = await engine.create("a", parameters={"mount-options": "ro,noatime"})
    await engine.stage(volume)
    for _ in range(2):
        await engine.publish(volume, "pod")


async def test_mount_options_of_class_and_request(rig: Rig, engine: Engine) -> None:
    volume = await engine.create("a", parameters={"mount-options": "noatime,discard"})
    await engine.stage(volume, access=Access(mount_flags=("nosuid",)))
    mount = rig.machine.mounts[-1]
    assert {"noatime", "nosuid"} <= set(mount.options)
    assert "discard" in mount.super_options
    for bad in ("bind", "remount", "loop=/x", "a b", "x,y", "-o", ""):
        with pytest.raises(InvalidInput):
            await engine.stage(volume, "other", Access(mount_flags=(bad,)))


async def test_paths_are_kept_within_the_allowed(rig: Rig, engine: Engine) -> None:
    volume = await engine.create("a")
    outside = rig.directory.rpartition("/")[0]
    for bad in (outside, "/etc", "relative", f"{rig.directory}/../x", rig.directory, ""):
        with pytest.raises(InvalidInput):
            await engine.staging.stage(volume.id, bad, Access())
        with pytest.raises(InvalidInput):
            await engine.staging.unpublish(volume.id, bad)
    assert await engine.devices.info(volume) is None


async def test_a_symlink_is_not_followed(rig: Rig, engine: Engine, tmp_path: Path) -> None:
    volume = await engine.create("a")
    (tmp_path / "link").symlink_to("/etc")
    with pytest.raises(InvalidInput, match="symlink"):
        await engine.staging.stage(volume.id, f"{rig.directory}/link", Access())
    assert targets(rig) == []


# ---- what others did, and what broke ----


async def test_publish_mends_a_staged_mount_that_is_gone(rig: Rig, engine: Engine) -> None:
    volume = await engine.create("a")
    staged = await engine.stage(volume)
    rig.files.write_file(staged, "f", MIB, "x")
    await engine.host.mounts.unmount(staged)
    target = await engine.publish(volume, "pod")
    assert rig.files.read_file(target, "f") == "x"
    await engine.staging.unpublish(volume.id, target)
    rig.machine.reboot()
    async with rig.start() as again:
        assert rig.files.read_file(await again.publish(volume, "pod"), "f") == "x"


async def test_a_stale_mount_of_a_former_head_is_mended(rig: Rig, engine: Engine) -> None:
    volume = await engine.create("a")
    staged = await engine.stage(volume)
    rig.files.write_file(staged, "f", MIB, "old")
    lv = engine.store.lv(VG, volume.lv_name)
    name = head_lv(volume.id.rpartition("-")[2], 2)
    await rig.administrator.create_snapshot(
        VG, lv.name, name, tags=sorted(lv.tags), read_only=False
    )
    await engine.staging.publish(volume.id, staged, engine.path("pod"), Access(), read_only=False)
    head = (await engine.volumes())["a"]
    assert head.generation == 2
    [seen] = await engine.observer.observe([head])
    assert set(seen.mount_paths) == {staged, engine.path("pod")}
    assert rig.files.read_file(staged, "f") == "old"


async def test_a_mount_of_something_else_is_left_alone(engine: Engine) -> None:
    a, b = await engine.create("a"), await engine.create("b")
    of_b = await engine.stage(b)
    with pytest.raises(WrongState, match="something else"):
        await engine.staging.stage(a.id, of_b, Access())
    with pytest.raises(WrongState, match="not of volume"):
        await engine.staging.unstage(a.id, of_b)
    with pytest.raises(WrongState, match="not of volume"):
        await engine.staging.unpublish(a.id, of_b)
    await engine.stage(a)
    with pytest.raises(WrongState):
        await engine.staging.publish(
            a.id, engine.path(f"stage-{a.lv_name}"), of_b, Access(), read_only=False
        )
    [seen] = await engine.observer.observe([b])
    assert seen.mount_paths == (of_b,)


async def test_a_foreign_mount_on_top_of_ours_is_left_alone(rig: Rig, engine: Engine) -> None:
    volume = await engine.create("a")
    staged = await engine.stage(volume)
    mine = rig.machine.mounts[-1]
    rig.machine.mounts.append(
        replace(mine, mount_id=900, parent_id=mine.mount_id, major=8, minor=1, source="/dev/sda1")
    )
    with pytest.raises(WrongState, match="/dev/sda1"):
        await engine.staging.unstage(volume.id, staged)
    assert rig.machine.mounts[-1].source == "/dev/sda1"
    assert len(targets(rig)) == 2


async def test_unmounting_for_a_volume_that_is_gone(rig: Rig, engine: Engine) -> None:
    volume = await engine.create("a")
    staged = await engine.stage(volume)
    await rig.administrator.change_tags(
        VG, volume.lv_name, remove=[f"ebb.inc={volume.incarnation}"]
    )
    assert not await engine.volumes()
    await engine.staging.unstage(volume.id, staged)
    assert targets(rig) == []
    with pytest.raises(NotFound):
        await engine.staging.unstage(volume.id, staged)
    with pytest.raises(NotFound):
        await engine.staging.unpublish("nonsense", staged)


async def test_unstage_leaves_what_is_still_used(rig: Rig, engine: Engine) -> None:
    volume = await engine.create("a")
    staged = await engine.stage(volume)
    target = await engine.publish(volume, "pod")
    await engine.staging.unstage(volume.id, staged)
    assert targets(rig) == ["pod"]
    assert (await engine.devices.info(volume)) is not None
    await engine.staging.unpublish(volume.id, target)
    rig.machine.open_device(VG, volume.lv_name)
    await engine.staging.unstage(volume.id, staged)
    assert (await engine.devices.info(volume)) is not None, "a process has it open"


async def test_a_busy_mount_says_who_can_be_asked(rig: Rig, engine: Engine) -> None:
    volume = await engine.create("a")
    staged = await engine.stage(volume)
    rig.machine.busy_targets.add(staged)
    with pytest.raises(WrongState, match="fuser"):
        await engine.staging.unstage(volume.id, staged)
    assert len(targets(rig)) == 1


async def test_a_sick_pool_brings_nothing_up(rig: Rig, engine: Engine) -> None:
    volume = await engine.create("a")
    rig.machine.pool(VG, POOL).failed = True
    with pytest.raises(Unavailable, match="ebb doctor"):
        await engine.stage(volume)


async def test_stats_where_it_is_not(engine: Engine) -> None:
    volume = await engine.create("a")
    with pytest.raises(NotFound):
        await engine.observer.usage(volume.id, engine.path("pod"))
    await engine.stage(volume)
    with pytest.raises(NotFound):
        await engine.observer.usage(volume.id, engine.path("pod"))
    with pytest.raises(NotFound):
        await engine.observer.usage("nonsense", engine.path("pod"))
    with pytest.raises(WrongState):
        await engine.observer.trim((await engine.create("b")).id)


async def test_a_filesystem_that_turned_read_only_is_a_condition(rig: Rig, engine: Engine) -> None:
    volume = await engine.create("a")
    await engine.stage(volume)
    rig.machine.mounts[-1] = replace(rig.machine.mounts[-1], super_options=("ro",))
    [seen] = await engine.observer.observe([volume])
    assert "read-only after errors" in seen.problem


async def test_a_device_taken_down_while_it_is_looked_at(
    rig: Rig, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = await engine.create("a")
    staged = await engine.stage(volume)
    table = engine.host.mounts.table

    async def then_unstaged() -> object:
        found = await table()
        await engine.host.mounts.unmount(staged)
        await rig.administrator.deactivate(VG, volume.lv_name)
        return found

    monkeypatch.setattr(engine.host.mounts, "table", then_unstaged)
    [seen] = await engine.observer.observe([volume])
    assert not seen.active


# ---- the first preparation ----


@pytest.mark.parametrize("step", [Step.STARTED, Step.HALF, Step.DONE])
async def test_an_interrupted_mkfs_is_made_again_only_while_tagged_blank(
    rig: Rig, step: Step
) -> None:
    with pytest.raises(BaseException) as died:  # noqa: PT011 - a crash in whatever wrapping
        await _die_in_mkfs(rig, step)
    assert only_crashes(died.value)
    rig.machine.faults.clear()
    async with rig.start() as engine:
        volume = (await engine.volumes())["a"]
        assert volume.prepare is Prepare.FORMAT
        staged = await engine.stage(volume)
        assert (await engine.volumes())["a"].prepare is None
        rig.files.write_file(staged, "f", MIB, "x")
        rig.machine.faults.clear()
        await engine.staging.unstage(volume.id, staged)
        assert rig.files.read_file(await engine.stage(volume), "f") == "x"
        assert "make" not in {operation for operation, _ in rig.machine.faults.passed}


async def _die_in_mkfs(rig: Rig, step: Step) -> None:
    async with rig.start() as engine:
        volume = await engine.create("a")
        rig.machine.faults.stop("make", step, ending=Ending.CRASH)
        await engine.stage(volume)


async def test_a_volume_that_should_be_blank_and_is_not_is_not_formatted(
    rig: Rig, engine: Engine
) -> None:
    volume = await engine.create("a")
    await rig.administrator.activate(VG, volume.lv_name)
    device = rig.machine.device(engine.devices.path(volume))
    device.write(0, 1, "LVM2_member")
    with pytest.raises(WrongState, match="LVM2_member"):
        await engine.stage(volume)
    assert device.read(0) == "LVM2_member"
    assert targets(rig) == []


async def test_mkfs_options_reach_mkfs(engine: Engine) -> None:
    volume = await engine.create("a", parameters={"mkfs-options": "--no-such"})
    with pytest.raises(InvalidInput, match="--no-such"):
        await engine.stage(volume)


async def test_leaving_during_mkfs_lets_it_end(rig: Rig, engine: Engine) -> None:
    volume = await engine.create("a")
    held = rig.hold("make", Step.HALF)
    staging = asyncio.create_task(engine.stage(volume))
    await held.reached.wait()
    staging.cancel()
    await asyncio.sleep(0)
    assert not staging.done()
    held.release.set()
    with pytest.raises(asyncio.CancelledError):
        await staging
    assert await engine.host.filesystems.signature(engine.devices.path(volume)) == "ext4"
    await engine.stage(volume)


async def test_a_glance_of_udev_at_a_device_is_no_use(rig: Rig, engine: Engine) -> None:
    """After an unmount udev has the device open for a moment; taking it down waits that out."""
    engine.store.settings = replace(engine.store.settings, release_s=5.0)
    volume = await engine.create("a")
    staged = await engine.stage(volume)
    rig.machine.open_device(VG, volume.lv_name)
    asyncio.get_running_loop().call_later(
        2 * RELEASE_PAUSE_S, rig.machine.close_device, VG, volume.lv_name
    )
    await engine.staging.unstage(volume.id, staged)
    assert await engine.devices.info(volume) is None
