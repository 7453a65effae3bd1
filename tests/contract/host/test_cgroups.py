import asyncio

import pytest
from contract.host.bench import Bench
from ebbd.errors import WrongState


async def mounted(bench: Bench, name: str, kind: str = "ext4") -> str:
    device = await bench.volume(name)
    await bench.host.filesystems.make(device, kind, [])
    return await bench.mounted(device, name, kind)


async def consumers(bench: Bench, name: str) -> dict[str, bool]:
    info = await bench.info(name)
    found = await bench.host.cgroups.consumers(info.major, info.minor)
    assert all(consumer.process_ids for consumer in found)
    return {consumer.path: consumer.freezable for consumer in found}


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs"])
async def test_who_uses_a_mounted_volume(bench: Bench, kind: str) -> None:
    place = await mounted(bench, "v1", kind)
    await mounted(bench, "v2", kind)
    assert await consumers(bench, "v1") == {}
    async with bench.consumer.sitting_in(place) as cgroup:
        assert await consumers(bench, "v1") == {cgroup: True}
        assert await consumers(bench, "v2") == {}
    assert await consumers(bench, "v1") == {}


async def test_who_uses_a_raw_volume(bench: Bench) -> None:
    device = await bench.volume("v1")
    async with bench.consumer.opening(device) as cgroup:
        assert await consumers(bench, "v1") == {cgroup: True}
    assert await consumers(bench, "v1") == {}


async def test_consumers_are_frozen_and_thawed(bench: Bench) -> None:
    device, place = await bench.volume("v1"), await mounted(bench, "v2")
    async with (
        bench.consumer.opening(device) as first,
        bench.consumer.sitting_in(place) as second,
    ):
        async with bench.host.cgroups.frozen([first, second], watchdog_s=30):
            assert await bench.consumer.frozen(first)
            assert await bench.consumer.frozen(second)
        assert not await bench.consumer.frozen(first)
        assert not await bench.consumer.frozen(second)


async def test_a_failure_inside_thaws(bench: Bench) -> None:
    device = await bench.volume("v1")
    async with bench.consumer.opening(device) as cgroup:
        with pytest.raises(ZeroDivisionError):
            async with bench.host.cgroups.frozen([cgroup], watchdog_s=30):
                raise ZeroDivisionError
        assert not await bench.consumer.frozen(cgroup)


async def test_all_are_frozen_or_none(bench: Bench) -> None:
    device = await bench.volume("v1")
    async with bench.consumer.opening(device) as cgroup:
        with pytest.raises(WrongState, match="no-such-group"):
            async with bench.host.cgroups.frozen([cgroup, "/no-such-group"], watchdog_s=30):
                pytest.fail("half of them were frozen")
        assert not await bench.consumer.frozen(cgroup)


async def test_the_watchdog_thaws(bench: Bench) -> None:
    device = await bench.volume("v1")
    async with bench.consumer.opening(device) as cgroup:
        async with bench.host.cgroups.frozen([cgroup], watchdog_s=0.5):
            assert await bench.consumer.frozen(cgroup)
            async with asyncio.timeout(30):
                await bench.thawed(cgroup)
        assert not await bench.consumer.frozen(cgroup)
