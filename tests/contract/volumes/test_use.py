"""The main road on both hosts: bytes that are written, kept, copied, grown and given back."""

import asyncio

import pytest
from contract.host.bench import Bench
from contract.volumes.engine import BLOCK, MIB, Engine, running
from ebbd.errors import Conflict, NotFound, WrongState
from ebbd.model import Access, AccessMode, Created, Prepare, Unchanged, Volume
from ebbd.volumes.pools import PoolSpec

SINGLE = Access(AccessMode.SINGLE_NODE_SINGLE_WRITER)


async def use_up(engine: Engine, *volumes: Volume) -> None:
    """Unstaged and deleted: nothing of the test stays on a real machine."""
    for volume in volumes:
        await engine.staging.unstage(volume.id, engine.path(f"stage-{volume.lv_name}"))
        assert await engine.lifecycle.delete(volume.id)


@pytest.mark.parametrize(("filesystem", "size_mib"), [("ext4", 64), ("xfs", 320), ("btrfs", 256)])
async def test_a_filesystems_life(
    bench: Bench, engine: Engine, filesystem: str, size_mib: int
) -> None:
    consumer = bench.consumer
    volume = await engine.create("a", size_mib, filesystem=filesystem)
    assert await engine.devices.info(volume) is None
    staged = await engine.stage(volume)
    assert await engine.stage(volume) == staged
    target = await engine.publish(volume, "pod")
    await consumer.write_file(target, "f", b"one")
    snapshot = (await engine.snapshots.create("s", volume.id)).value
    await consumer.write_file(target, "f", b"two")
    # Beside its origin, and larger than it.
    restored = await engine.create("r", size_mib + 64, source=snapshot.id)
    at_restored = await engine.stage(restored)
    assert await consumer.read_file(at_restored, "f") == b"one"
    total = (await engine.host.filesystems.usage(at_restored)).total_bytes
    assert total > (await engine.host.filesystems.usage(target)).total_bytes + 32 * MIB
    clone = await engine.create("c", source=volume.id, size_mib=0)
    at_clone = await engine.stage(clone)
    assert await consumer.read_file(at_clone, "f") == b"two"
    before = (await engine.host.filesystems.usage(target)).total_bytes
    grown = await engine.lifecycle.expand(volume.id, (size_mib + 64) * MIB, 0)
    assert isinstance(grown, Created)
    await engine.observer.grow(volume.id, target)
    after, problem = await engine.observer.usage(volume.id, target)
    assert after.total_bytes > before + 32 * MIB
    assert problem == ""
    assert await consumer.read_file(target, "f") == b"two"
    with pytest.raises(WrongState, match="in use"):
        await engine.lifecycle.delete(volume.id)
    await engine.staging.unpublish(volume.id, target)
    await use_up(engine, volume, restored, clone)
    assert await engine.snapshots.delete(snapshot.id)
    assert not await engine.volumes()


@pytest.mark.parametrize(("filesystem", "size_mib"), [("ext4", 64), ("xfs", 320), ("btrfs", 256)])
async def test_a_volume_goes_back_and_forth(
    bench: Bench, engine: Engine, filesystem: str, size_mib: int
) -> None:
    consumer = bench.consumer
    volume = await engine.create("a", size_mib, filesystem=filesystem)
    staged = await engine.stage(volume, access=Access(mount_flags=("noatime",)))
    await consumer.write_file(staged, "f", b"then")
    snapshot = (await engine.snapshots.create("s", volume.id)).value
    await consumer.write_file(staged, "f", b"now")
    await engine.lifecycle.expand(volume.id, (size_mib + 64) * MIB, 0)
    await engine.observer.grow(volume.id, staged)
    async with consumer.sitting_in(staged) as cgroup:
        with pytest.raises(WrongState, match=cgroup):
            await engine.rewinding.rewind(volume.id, snapshot.id)
    assert await consumer.read_file(staged, "f") == b"now"
    moved = (await engine.rewinding.rewind(volume.id, snapshot.id)).value
    assert await consumer.read_file(staged, "f") == b"then"
    [mount] = [m for m in await engine.host.mounts.table() if m.target == staged]
    assert "noatime" in mount.options
    total = (await engine.host.filesystems.usage(staged)).total_bytes
    assert total > size_mib * MIB * 0.8 + 32 * MIB, "as large as the volume had grown"
    await consumer.write_file(staged, "g", b"after")
    await engine.rewinding.undo(volume.id)
    assert await consumer.read_file(staged, "f") == b"now"
    await engine.rewinding.undo(volume.id)
    assert await consumer.read_file(staged, "g") == b"after"
    target = await engine.publish(moved, "pod", staged=staged)
    assert await consumer.read_file(target, "f") == b"then"
    await engine.staging.unpublish(volume.id, target)
    await engine.staging.unstage(volume.id, staged)
    assert await engine.lifecycle.delete(volume.id)
    assert await engine.snapshots.delete(snapshot.id)


async def test_raw_blocks_life(bench: Bench, engine: Engine) -> None:
    consumer = bench.consumer
    volume = await engine.create("a", block=True)
    await engine.stage(volume, access=BLOCK)
    target = await engine.publish(volume, "device", BLOCK)
    await engine.publish(volume, "device", BLOCK)
    device = engine.devices.path(volume)
    await consumer.write_chunk(device, 0, 1)
    snapshot = (await engine.snapshots.create("s", volume.id)).value
    await consumer.write_chunk(device, 0, 2)
    restored = await engine.create("r", 128, source=snapshot.id, block=True)
    await engine.stage(restored, access=BLOCK)
    assert await consumer.read_chunk(engine.devices.path(restored), 0) == 1
    assert await engine.host.blockdev.size_bytes(engine.devices.path(restored)) == 128 * MIB
    with pytest.raises(WrongState, match="in use"):
        await engine.lifecycle.delete(volume.id)
    await engine.staging.unpublish(volume.id, target)
    async with consumer.opening(device):
        with pytest.raises(WrongState, match="in use"):
            await engine.lifecycle.delete(volume.id)
    await use_up(engine, volume, restored)
    await engine.snapshots.delete(snapshot.id)


async def test_a_command_line_is_what_it_costs(engine: Engine) -> None:
    lines: list[int] = []

    def count() -> int:
        lines.append(engine.host.lvm.command_lines)
        return lines[-1] - lines[-2] if len(lines) > 1 else 0

    count()
    volume = await engine.create("a")
    assert count() == 1
    staged = await engine.stage(volume)
    assert count() == 2
    await engine.publish(volume, "pod")
    await engine.observer.observe([volume])
    await engine.observer.usage(volume.id, staged)
    [spec] = engine.store.pools.specs
    await engine.store.pool_state(spec)
    assert count() == 0
    snapshot = (await engine.snapshots.create("s", volume.id)).value
    assert count() == 1
    copy = await engine.create("c", 128, source=snapshot.id)
    assert count() == 1
    await engine.stage(copy)
    assert count() == 3
    await engine.lifecycle.expand(volume.id, 128 * MIB, 0)
    assert count() == 1
    await engine.staging.unpublish(volume.id, engine.path("pod"))
    assert count() == 0
    for one in (volume, copy):
        await engine.staging.unstage(one.id, engine.path(f"stage-{one.lv_name}"))
        assert count() == 1
        await engine.lifecycle.delete(one.id)
        assert count() == 1
    await engine.snapshots.delete(snapshot.id)
    assert count() == 1


async def test_everything_twice_and_once_in_a_daemon_started_again(
    bench: Bench, spec: PoolSpec
) -> None:
    """Nothing is remembered but what LVM and the kernel remember."""
    async with running(bench.host, [spec], bench.directory) as first:
        volume = await first.create("a", parameters={"iops": "500", "mkfs-options": "-m 0"})
        await first.stage(volume)
        target = await first.publish(volume, "pod")
        snapshot = (await first.snapshots.create("s", volume.id)).value
        other = await first.create("b")
        group = (await first.groups.create("g", [volume.id, other.id])).value
        await first.attachment.attach(volume.id, "node-1", read_only=False)
        await bench.consumer.write_file(target, "f", b"kept")
        seen = await first.store.catalog()
    await bench.host.lvm.close()
    again = bench.another_host()
    try:
        async with running(again, [spec], bench.directory) as second:
            assert second.said == []
            assert await second.store.catalog() == seen
            assert isinstance(
                await second.request("a", parameters={"iops": "500", "mkfs-options": "-m 0"}),
                Unchanged,
            )
            with pytest.raises(Conflict, match="intent"):
                await second.request("a", parameters={"iops": "600", "mkfs-options": "-m 0"})
            await second.stage(volume)
            await second.publish(volume, "pod")
            assert await bench.consumer.read_file(target, "f") == b"kept"
            assert isinstance(await second.snapshots.create("s", volume.id), Unchanged)
            assert isinstance(await second.groups.create("g", [other.id, volume.id]), Unchanged)
            for deleted in (True, False):
                assert await second.groups.delete(group.id, []) == deleted
                assert await second.snapshots.delete(snapshot.id) == deleted
            for _ in range(2):
                await second.staging.unpublish(volume.id, target)
                await second.staging.unstage(volume.id, second.path(f"stage-{volume.lv_name}"))
            for deleted in (True, False):
                assert await second.lifecycle.delete(volume.id) == deleted
                assert await second.lifecycle.delete(other.id) == deleted
            assert not (await second.store.catalog()).volumes
    finally:
        await again.lvm.close()


async def test_at_once(engine: Engine) -> None:
    first, second = await asyncio.gather(engine.request("a"), engine.request("a"))
    assert {type(first), type(second)} == {Created, Unchanged}
    volume = first.value
    snapshots = await asyncio.gather(*(engine.snapshots.create("s", volume.id) for _ in range(2)))
    assert {type(one) for one in snapshots} == {Created, Unchanged}
    told = await asyncio.gather(
        engine.lifecycle.delete(volume.id),
        engine.snapshots.create("late", volume.id),
        engine.create("copy", source=volume.id, size_mib=0),
        return_exceptions=True,
    )
    assert told[0] is True
    assert [type(one) for one in told[1:]] == [NotFound, NotFound]
    await engine.snapshots.delete(snapshots[0].value.id)
    assert not engine.store.group(volume.vg).volumes


async def test_many_removals_at_once_are_few_commands(engine: Engine) -> None:
    volumes = [await engine.create(f"v{n}", 4, block=True) for n in range(12)]
    before = engine.host.lvm.command_lines
    assert all(await asyncio.gather(*(engine.lifecycle.delete(v.id) for v in volumes)))
    assert engine.host.lvm.command_lines - before <= 2
    assert not await engine.volumes()


async def test_read_write_once_pod_and_read_only(bench: Bench, engine: Engine) -> None:
    volume = await engine.create("a")
    await engine.stage(volume)
    target = await engine.publish(volume, "pod-1", SINGLE)
    with pytest.raises(WrongState, match="pod-1"):
        await engine.publish(volume, "pod-2", SINGLE)
    await engine.staging.unpublish(volume.id, target)
    shown = await engine.publish(volume, "pod-2", SINGLE, read_only=True)
    await engine.publish(volume, "pod-2", SINGLE, read_only=True)
    with pytest.raises(Conflict):
        await engine.publish(volume, "pod-2", SINGLE)
    mounts = [m for m in await bench.host.mounts.table() if m.target == shown]
    assert ["ro" in mount.options for mount in mounts] == [True]
    await engine.staging.unpublish(volume.id, shown)
    await use_up(engine, volume)


async def test_a_class_that_mounts_read_only(engine: Engine) -> None:
    volume = await engine.create("a", parameters={"mount-options": "ro,noatime"})
    await engine.stage(volume)
    for _ in range(2):
        target = await engine.publish(volume, "pod")
    await engine.staging.unpublish(volume.id, target)
    await use_up(engine, volume)


async def test_publish_mends_the_staged_mount(bench: Bench, engine: Engine) -> None:
    volume = await engine.create("a")
    staged = await engine.stage(volume)
    await bench.consumer.write_file(staged, "f", b"x")
    await bench.host.mounts.unmount(staged)
    await bench.host.lvm.deactivate(volume.vg, volume.lv_name)
    target = await engine.publish(volume, "pod")
    assert await bench.consumer.read_file(target, "f") == b"x"
    await engine.staging.unpublish(volume.id, target)
    await use_up(engine, volume)


async def test_a_mount_of_another_volume_is_left_alone(bench: Bench, engine: Engine) -> None:
    a, b = await engine.create("a"), await engine.create("b")
    of_b = await engine.stage(b)
    await bench.consumer.write_file(of_b, "f", b"of b")
    for refused in (
        engine.staging.stage(a.id, of_b, Access()),
        engine.staging.unstage(a.id, of_b),
        engine.staging.unpublish(a.id, of_b),
    ):
        with pytest.raises(WrongState):
            await refused
    assert await bench.consumer.read_file(of_b, "f") == b"of b"
    await use_up(engine, a, b)


async def test_what_should_be_blank_and_is_not_is_not_formatted(
    bench: Bench, engine: Engine
) -> None:
    volume = await engine.create("a", 320)
    await bench.host.lvm.activate(volume.vg, volume.lv_name)
    device = engine.devices.path(volume)
    await bench.host.filesystems.make(device, "xfs", [])
    with pytest.raises(WrongState, match="xfs"):
        await engine.stage(volume)
    assert await bench.host.filesystems.signature(device) == "xfs"
    await use_up(engine, volume)


async def test_an_interrupted_mkfs_is_made_again(bench: Bench, engine: Engine) -> None:
    """It ended, its tag was not taken away yet: the daemon died in between."""
    volume = await engine.create("a")
    await bench.host.lvm.activate(volume.vg, volume.lv_name)
    await bench.host.filesystems.make(engine.devices.path(volume), "ext4", [])
    staged = await engine.stage(volume)
    assert (await engine.volumes())["a"].prepare is None
    await bench.consumer.write_file(staged, "f", b"x")
    await engine.staging.unstage(volume.id, staged)
    assert await bench.consumer.read_file(await engine.stage(volume), "f") == b"x"
    await use_up(engine, volume)


async def test_a_copy_of_a_blank_volume(engine: Engine) -> None:
    volume = await engine.create("a")
    copy = await engine.create("c", 128, source=volume.id)
    assert copy.prepare is Prepare.FORMAT
    path = await engine.stage(copy)
    assert (await engine.host.filesystems.usage(path)).total_bytes > 96 * MIB
    await use_up(engine, volume, copy)


async def test_foreign_hands_are_noticed(bench: Bench, engine: Engine) -> None:
    volume, other = await engine.create("a"), await engine.create("b")
    await bench.administrator.lvremove(volume.lv_name)
    await bench.administrator.lvcreate("theirs", 64 * MIB)
    assert set(await engine.volumes()) == {"b"}
    assert "theirs" in engine.store.group(bench.vg).volumes
    assert not await engine.lifecycle.delete(volume.id)
    again = await engine.create("a")
    assert again.incarnation != volume.incarnation
    await use_up(engine, again, other)
    assert set(engine.store.group(bench.vg).volumes) == {"theirs"}
    await bench.administrator.lvremove("theirs")
