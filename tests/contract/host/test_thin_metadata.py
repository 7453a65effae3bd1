"""A pool's own metadata: what it holds, LV or no LV."""

import asyncio

import pytest
from contract.host.bench import GIB, Bench
from ebbd.errors import NotFound, WrongState

LOST = 4000


async def test_the_pools_thin_devices_and_what_they_have_mapped(bench: Bench) -> None:
    before = await bench.host.thin.devices(bench.vg, bench.pool)
    device = await bench.volume("v1")
    await bench.host.lvm.create_thin(bench.vg, bench.pool, "v2", size_bytes=GIB, tags=[])
    for chunk in range(3):
        await bench.consumer.write_chunk(device, chunk, 1)
    group = await bench.host.lvm.read(bench.vg)
    chunk_bytes = group.pools[bench.pool].chunk_bytes
    lines, seqno = bench.host.lvm.command_lines, group.seqno
    found = await bench.host.thin.devices(bench.vg, bench.pool)
    assert {number: found[number] for number in found.keys() - before.keys()} == {
        group.volumes["v1"].device_id: 3 * chunk_bytes,
        group.volumes["v2"].device_id: 0,
    }
    assert (bench.host.lvm.command_lines, await bench.host.lvm.seqno(bench.vg)) == (lines, seqno)
    # It was let go of: a second listing can have a metadata snapshot of its own, of what is now.
    await bench.host.lvm.remove(bench.vg, ["v2"])
    assert group.volumes["v2"].device_id not in await bench.host.thin.devices(bench.vg, bench.pool)


async def test_a_device_without_an_lv_is_seen_and_deleted(bench: Bench) -> None:
    await bench.administrator.make_thin_device(LOST)
    seqno = await bench.host.lvm.seqno(bench.vg)
    assert (await bench.host.thin.devices(bench.vg, bench.pool))[LOST] == 0
    await bench.host.thin.delete(bench.vg, bench.pool, LOST)
    assert LOST not in await bench.host.thin.devices(bench.vg, bench.pool)
    await bench.host.thin.delete(bench.vg, bench.pool, LOST)  # gone already
    assert await bench.host.lvm.seqno(bench.vg) == seqno
    pool = (await bench.host.lvm.read(bench.vg)).pools[bench.pool]
    assert (await bench.status()).transaction_id == pool.transaction_id


async def test_several_who_list_at_once_see_the_same(bench: Bench) -> None:
    await bench.administrator.make_thin_device(LOST)
    listings = [bench.host.thin.devices(bench.vg, bench.pool) for _ in range(4)]
    first, *others = await asyncio.gather(*listings)
    assert LOST in first
    assert others == [first] * 3
    await bench.host.thin.delete(bench.vg, bench.pool, LOST)


async def test_an_open_device_is_not_deleted(bench: Bench) -> None:
    device = await bench.volume("v1")
    await bench.consumer.write_chunk(device, 0, 7)
    number = (await bench.host.lvm.read(bench.vg)).volumes["v1"].device_id
    assert number is not None
    with pytest.raises(WrongState):
        await bench.host.thin.delete(bench.vg, bench.pool, number)
    assert await bench.consumer.read_chunk(device, 0) == 7


async def test_a_pool_that_is_not_there_has_no_devices(bench: Bench) -> None:
    with pytest.raises(NotFound):
        await bench.host.thin.devices(bench.vg, "no-pool")
    with pytest.raises(NotFound):
        await bench.host.thin.delete(bench.vg, "no-pool", 1)
