import pytest
from contract.host.bench import GIB, MIB, Bench
from ebbd.errors import NotFound


async def test_a_backing_file_is_attached_once(bench: Bench) -> None:
    blockdev = bench.host.blockdev
    device = await blockdev.ensure_loop(bench.file, GIB)
    assert device.startswith("/dev/loop")
    assert await blockdev.size_bytes(device) == GIB
    assert await blockdev.ensure_loop(bench.file, GIB) == device
    assert await blockdev.ensure_loop(bench.file, 2 * GIB) == device
    assert await blockdev.size_bytes(device) == GIB
    assert await bench.host.filesystems.signature(device) is None


async def test_the_size_of_a_volumes_device(bench: Bench) -> None:
    device = await bench.volume("v1", 5 * MIB)
    assert await bench.host.blockdev.size_bytes(device) == 8 * MIB


async def test_a_device_that_is_not_there(bench: Bench) -> None:
    with pytest.raises(NotFound):
        await bench.host.blockdev.size_bytes(bench.host.blockdev.lv_device(bench.vg, "absent"))


async def test_every_volume_has_a_device_path_of_its_own(bench: Bench) -> None:
    lv_device = bench.host.blockdev.lv_device
    paths = {lv_device("a", "b-c"), lv_device("a-b", "c"), lv_device("a", "b--c")}
    assert len(paths) == 3
    assert all(path.startswith("/dev/") for path in paths)
