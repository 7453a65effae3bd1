import pytest
from contract.host.bench import GIB, MIB, Bench
from ebbd.errors import HostFailure, NoRoom, NotFound


async def test_a_device_is_there_while_it_is_active(bench: Bench) -> None:
    await bench.host.lvm.create_thin(bench.vg, bench.pool, "v-1", size_bytes=GIB, tags=[])
    assert await bench.host.dm.info(bench.vg, "v-1") is None
    await bench.host.lvm.activate(bench.vg, "v-1")
    await bench.opened("v-1", 0)
    info = await bench.info("v-1")
    assert info.name == f"{bench.vg.replace('-', '--')}-v--1"
    assert info.uuid.startswith("LVM-")
    assert (info.suspended, info.read_only) == (False, False)
    assert info.major > 0


async def test_active_devices_by_lv_name(bench: Bench) -> None:
    await bench.volume("v1")
    await bench.host.lvm.create_thin(bench.vg, bench.pool, "v2", size_bytes=GIB, tags=[])
    await bench.opened("v1", 0)
    active = await bench.host.dm.active(bench.vg)
    halves = {f"{bench.pool}_tdata", f"{bench.pool}_tmeta"}
    assert set(active) == {"v1", bench.pool} | halves
    assert active["v1"] == await bench.info("v1")
    assert len({(each.major, each.minor) for each in active.values()}) == len(active)
    assert await bench.host.dm.active("no-such-vg") == {}


async def test_the_open_count_counts_openers_and_a_mount_once(bench: Bench) -> None:
    device = await bench.volume("v1")
    await bench.host.filesystems.make(device, "ext4", [])
    async with bench.consumer.opening(device), bench.consumer.opening(device):
        await bench.opened("v1", 2)
    await bench.opened("v1", 0)
    place = await bench.mounted(device, "one")
    await bench.host.mounts.bind(place, await bench.place("two"), read_only=False)
    await bench.opened("v1", 1)
    await bench.host.mounts.unmount(f"{bench.directory}/two")
    await bench.opened("v1", 1)
    await bench.host.mounts.unmount(place)
    await bench.opened("v1", 0)


async def test_the_pools_status_is_in_its_own_units(bench: Bench) -> None:
    pool = (await bench.host.lvm.read(bench.vg)).pools[bench.pool]
    status = await bench.status()
    assert status.mode == "rw"
    assert status.total_data_blocks * pool.chunk_bytes == pool.size_bytes
    assert status.total_metadata_blocks * 4096 == pool.metadata_size_bytes
    assert 0 < status.used_metadata_blocks < status.total_metadata_blocks
    assert status.transaction_id == pool.transaction_id
    assert (status.error_when_full, status.needs_check) == (True, False)


async def test_blocks_are_used_when_written_and_shared_by_snapshots(bench: Bench) -> None:
    chunk = (await bench.host.lvm.read(bench.vg)).pools[bench.pool].chunk_bytes
    empty = (await bench.status()).used_data_blocks
    device = await bench.volume("v1")

    async def used() -> int:
        return (await bench.status()).used_data_blocks - empty

    async def mapped(name: str) -> int:
        return await bench.host.dm.mapped_bytes(bench.vg, name) // chunk

    assert (await used(), await mapped("v1")) == (0, 0)
    for number in range(3):
        await bench.consumer.write_chunk(device, number, 1)
    assert (await used(), await mapped("v1")) == (3, 3)
    copy = await bench.snapshot("v1", "s1")
    assert (await used(), await mapped("s1")) == (3, 3)
    await bench.consumer.write_chunk(copy, 0, 2)
    assert (await used(), await mapped("s1"), await mapped("v1")) == (4, 3, 3)
    await bench.consumer.write_chunk(device, 9, 3)
    assert (await used(), await mapped("s1"), await mapped("v1")) == (5, 3, 4)
    await bench.host.lvm.remove(bench.vg, ["v1"])
    assert (await used(), await mapped("s1")) == (3, 3)
    await bench.host.lvm.remove(bench.vg, ["s1"])
    assert await used() == 0


async def test_what_is_inactive_has_no_status(bench: Bench) -> None:
    await bench.host.lvm.create_thin(bench.vg, bench.pool, "v1", size_bytes=GIB, tags=[])
    with pytest.raises(NotFound):
        await bench.host.dm.mapped_bytes(bench.vg, "v1")
    with pytest.raises(NotFound):
        await bench.host.dm.resume(bench.vg, "v1")
    with pytest.raises(NotFound):
        await bench.host.dm.pool_status(bench.vg, "no-pool")


async def test_a_suspended_device_is_seen_and_resumed(bench: Bench) -> None:
    device = await bench.volume("v1")
    await bench.host.dm.resume(bench.vg, "v1")  # nothing to do
    await bench.administrator.suspend("v1")
    assert (await bench.info("v1")).suspended
    assert (await bench.host.dm.active(bench.vg))["v1"].suspended
    await bench.host.dm.resume(bench.vg, "v1")
    assert not (await bench.info("v1")).suspended
    await bench.consumer.write_chunk(device, 0, 1)


async def test_the_pool_knows_its_thin_devices(bench: Bench) -> None:
    await bench.host.lvm.create_thin(bench.vg, bench.pool, "v1", size_bytes=GIB, tags=[])
    known = (await bench.host.lvm.read(bench.vg)).volumes["v1"].device_id
    assert known is not None
    assert await bench.host.dm.pool_has(bench.vg, bench.pool, known)
    assert not await bench.host.dm.pool_has(bench.vg, bench.pool, known + 1000)
    await bench.host.lvm.remove(bench.vg, ["v1"])
    assert not await bench.host.dm.pool_has(bench.vg, bench.pool, known)


async def test_the_transaction_id_is_set_from_a_known_one_only(bench: Bench) -> None:
    current = (await bench.status()).transaction_id
    with pytest.raises(HostFailure):
        await bench.host.dm.set_transaction_id(
            bench.vg, bench.pool, current=current + 5, new=current + 6
        )
    assert (await bench.status()).transaction_id == current
    await bench.host.dm.set_transaction_id(bench.vg, bench.pool, current=current, new=current + 1)
    assert (await bench.status()).transaction_id == current + 1
    await bench.host.dm.set_transaction_id(bench.vg, bench.pool, current=current + 1, new=current)


async def test_a_full_pool_refuses_writes_and_volumes(bench: Bench) -> None:
    lvm = bench.host.lvm
    vg = f"{bench.vg}2"
    backing = await bench.host.blockdev.ensure_loop(bench.file, 256 * MIB)
    await lvm.ensure_volume_group(vg, [backing], metadata_bytes=4 * MIB, tags=[])
    await lvm.ensure_pool(vg, "p", size_bytes=8 * MIB, chunk_bytes=64 * 1024)
    await lvm.activate_pool(vg, "p")
    await lvm.create_thin(vg, "p", "v1", size_bytes=64 * MIB, tags=[])
    await lvm.activate(vg, "v1")
    device = bench.host.blockdev.lv_device(vg, "v1")
    blocks = 8 * MIB // (64 * 1024)
    for number in range(blocks):
        await bench.consumer.write_chunk(device, number, 1)
    status = await bench.host.dm.pool_status(vg, "p")
    assert status.used_data_blocks == status.total_data_blocks == blocks
    with pytest.raises((OSError, NoRoom)):
        await bench.consumer.write_chunk(device, blocks, 1)
    assert (await bench.host.dm.pool_status(vg, "p")).mode == "out_of_data_space"
    assert await bench.consumer.read_chunk(device, blocks - 1) == 1
    with pytest.raises(NoRoom):
        await lvm.create_thin(vg, "p", "v2", size_bytes=64 * MIB, tags=[])
    assert set((await lvm.read(vg)).volumes) == {"v1"}
