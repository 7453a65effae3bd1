import pytest
from ebbd.errors import (
    Conflict,
    DeadlineExceeded,
    HostFailure,
    InvalidInput,
    NoRoom,
    NotFound,
    WrongState,
)
from ebbd.host.simulated.build import make_host
from ebbd.host.simulated.faults import Step
from ebbd.host.simulated.filesystems import SimulatedFilesystems
from ebbd.host.values import Consumer
from unit.simulated.bench import FILE, GIB, POOL, VG, Bench


def files(bench: Bench) -> SimulatedFilesystems:
    return SimulatedFilesystems(bench.machine)


async def mounted(bench: Bench) -> str:
    await bench.create()
    await bench.host.lvm.activate(VG, "v1")
    device = bench.host.blockdev.lv_device(VG, "v1")
    await bench.host.filesystems.make(device, "ext4", [])
    place = str(bench.directory / "m")
    await bench.host.mounts.make_directory(place)
    await bench.host.mounts.mount(device, place, "ext4", [])
    return place


async def test_a_second_daemon_finds_what_the_first_left(bench: Bench) -> None:
    place = await mounted(bench)
    files(bench).write_file(place, "note", 10, b"kept")
    again = make_host(bench.machine, allowed_directories=[str(bench.directory)])
    assert "v1" in (await again.lvm.read(VG)).volumes
    assert again.lvm.command_lines == 0
    assert any(mount.target == place for mount in await again.mounts.table())
    assert files(bench).read_file(place, "note") == b"kept"


async def test_a_reboot_forgets_devices_and_mounts_and_keeps_the_disks(bench: Bench) -> None:
    place = await mounted(bench)
    files(bench).write_file(place, "note", 10, b"kept")
    bench.machine.reboot()
    assert [mount.target for mount in await bench.host.mounts.table()] == ["/"]
    with pytest.raises(NotFound):
        await bench.group()  # its loop device is not attached
    device = await bench.host.blockdev.ensure_loop(FILE, GIB)
    assert await bench.host.blockdev.size_bytes(device) == 10 * GIB
    assert await bench.host.dm.active(VG) == {}
    with pytest.raises(NotFound):
        await bench.status()
    await bench.host.lvm.activate(VG, "v1")
    await bench.host.mounts.mount(bench.host.blockdev.lv_device(VG, "v1"), place, "ext4", [])
    assert files(bench).read_file(place, "note") == b"kept"


async def test_a_vg_of_that_name_elsewhere_is_a_conflict(bench: Bench) -> None:
    bench.machine.add_disk("/dev/vdb", GIB)
    with pytest.raises(Conflict, match="/dev/loop0"):
        await bench.host.lvm.ensure_volume_group(VG, ["/dev/vdb"], metadata_bytes=1, tags=[])


async def test_a_foreign_vg_is_refused_as_ground(bench: Bench) -> None:
    bench.machine.add_disk("/dev/vdb", GIB)
    await bench.lvm.ensure_volume_group("other", ["/dev/vdb"], metadata_bytes=1 << 20, tags=[])
    with pytest.raises(WrongState, match="/dev/vdb"):
        await bench.host.lvm.ensure_volume_group("mine", ["/dev/vdb"], metadata_bytes=1, tags=[])
    assert (await bench.host.lvm.read("other")).seqno == 1


async def test_a_full_metadata_area_takes_no_more_volumes(bench: Bench) -> None:
    # Each thin device takes a block of the pool's own metadata: it must not be the first to fill.
    bench.machine.pool(VG, POOL).metadata_size_bytes = 64 << 20

    async def create_many() -> None:
        for number in range(2000):
            await bench.create(f"v{number}")

    with pytest.raises(NoRoom, match="metadata area"):
        await create_many()
    count = len((await bench.group()).volumes)
    assert 700 < count < 1300  # LVM's default area of 1 MiB holds about a thousand
    await bench.host.lvm.remove(VG, ["v0"])
    await bench.create("v0")


async def test_full_pool_metadata_makes_the_pool_read_only(bench: Bench) -> None:
    place = await mounted(bench)
    record = bench.machine.pool(VG, POOL)
    record.foreign_metadata_blocks = record.total_metadata_blocks
    status = await bench.status()
    assert (status.mode, status.needs_check) == ("ro", True)
    assert status.used_metadata_blocks == status.total_metadata_blocks
    with pytest.raises(NoRoom):
        files(bench).write_file(place, "note", 10, b"x")
    with pytest.raises(NoRoom):
        await bench.create("v2")


async def test_a_failed_pool_has_only_its_mode(bench: Bench) -> None:
    place = await mounted(bench)
    bench.machine.pool(VG, POOL).failed = True
    status = await bench.status()
    assert (status.mode, status.total_data_blocks) == ("fail", 0)
    with pytest.raises(HostFailure):
        files(bench).read_file(place, "note")


async def test_a_pool_is_filled_and_emptied_by_others(bench: Bench) -> None:
    place = await mounted(bench)
    bench.machine.fill_pool(VG, POOL)
    assert (await bench.status()).mode == "out_of_data_space"
    with pytest.raises(NoRoom):
        files(bench).write_file(place, "note", 10, b"x")
    bench.machine.fill_pool(VG, POOL, free_blocks=100)
    status = await bench.status()
    assert status.total_data_blocks - status.used_data_blocks == 100
    files(bench).write_file(place, "note", 10, b"x")


async def test_a_filesystem_fills_before_its_pool(bench: Bench) -> None:
    place = await mounted(bench)
    free = (await bench.host.filesystems.usage(place)).available_bytes
    files(bench).write_file(place, "all", free, b"x")
    assert (await bench.host.filesystems.usage(place)).available_bytes == 0
    with pytest.raises(NoRoom, match="is full"):
        files(bench).write_file(place, "more", 1, b"x")


async def test_an_interrupted_mkfs_leaves_blocks_and_no_signature(bench: Bench) -> None:
    await bench.create()
    await bench.host.lvm.activate(VG, "v1")
    device = bench.host.blockdev.lv_device(VG, "v1")
    bench.machine.faults.stop("make", Step.HALF)
    with pytest.raises(DeadlineExceeded):
        await bench.host.filesystems.make(device, "ext4", [])
    assert await bench.host.filesystems.signature(device) is None
    assert await bench.host.dm.mapped_bytes(VG, "v1") > 0
    await bench.host.filesystems.make(device, "ext4", [])
    assert await bench.host.filesystems.signature(device) == "ext4"


async def test_another_namespaces_mount_keeps_the_device_open(bench: Bench) -> None:
    place = await mounted(bench)
    bench.machine.use(VG, "v1", Consumer("/pod", (7,), freezable=True))
    await bench.host.mounts.unmount(place)
    info = await bench.host.dm.info(VG, "v1")
    assert info is not None
    assert info.open_count == 1
    with pytest.raises(WrongState):
        await bench.host.lvm.deactivate(VG, "v1")
    bench.machine.stop_using(VG, "v1")
    await bench.host.lvm.deactivate(VG, "v1")


async def test_minors_are_handed_out_again(bench: Bench) -> None:
    for name in ("v1", "v2"):
        await bench.create(name)
    await bench.host.lvm.activate(VG, "v1")
    first = await bench.host.dm.info(VG, "v1")
    await bench.host.lvm.deactivate(VG, "v1")
    await bench.host.lvm.activate(VG, "v2")
    second = await bench.host.dm.info(VG, "v2")
    assert first is not None
    assert second is not None
    assert (first.major, first.minor) == (second.major, second.minor)


async def test_the_pools_devices_vanish_with_the_last_volume_unless_kept(bench: Bench) -> None:
    bench.machine.reboot()
    await bench.host.blockdev.ensure_loop(FILE, GIB)
    await bench.create()
    await bench.host.lvm.activate(VG, "v1")
    assert set(await bench.host.dm.active(VG)) == {"v1", POOL, "pool_tdata", "pool_tmeta"}
    assert await bench.host.dm.info(VG, POOL) is None  # only the layer below its name is up
    await bench.host.lvm.deactivate(VG, "v1")
    assert await bench.host.dm.active(VG) == {}
    await bench.host.lvm.activate_pool(VG, POOL)
    assert await bench.host.dm.info(VG, POOL) is not None


async def test_paths_outside_of_the_allowed_directories_are_refused(bench: Bench) -> None:
    with pytest.raises(InvalidInput, match="outside of the allowed"):
        await bench.host.mounts.make_directory("/somewhere")
