import asyncio

import pytest
from contract.host.bench import GIB, MIB, Bench
from ebbd.errors import Conflict, InvalidInput, NoRoom, NotFound, Unavailable, WrongState
from ebbd.host.protocols import Host

EXTENT = 4 * MIB


async def test_an_unknown_vg_is_not_found(host: Host) -> None:
    with pytest.raises(NotFound):
        await host.lvm.read("no-such-vg")
    with pytest.raises(NotFound):
        await host.lvm.seqno("no-such-vg")


async def test_a_pool_as_ebb_makes_it(bench: Bench) -> None:
    group = await bench.host.lvm.read(bench.vg)
    pool = group.pools[bench.pool]
    assert (group.name, group.extent_bytes, group.volumes) == (bench.vg, EXTENT, {})
    assert pool.size_bytes == 3 * GIB
    assert (pool.zero, pool.error_when_full, pool.pending) == (True, True, ())
    assert pool.chunk_bytes % (64 * 1024) == 0
    assert pool.metadata_size_bytes >= 2 * MIB
    assert {f"{bench.pool}_tdata", f"{bench.pool}_tmeta"} <= group.other_names
    assert 0 < group.free_bytes < GIB
    assert group.uuid
    assert pool.uuid


async def test_a_new_daemon_may_begin_with_a_mutation(bench: Bench) -> None:
    await bench.volume("v1")
    another = bench.another_host()
    try:
        await another.lvm.create_thin(bench.vg, bench.pool, "v2", size_bytes=GIB, tags=[])
        assert set((await another.lvm.read(bench.vg)).volumes) == {"v1", "v2"}
    finally:
        await another.lvm.close()
    assert set((await bench.host.lvm.read(bench.vg)).volumes) == {"v1", "v2"}


async def test_a_vg_is_one_daemons(bench: Bench) -> None:
    lvm, another = bench.host.lvm, bench.another_host().lvm
    before = lvm.command_lines
    await lvm.claim(bench.vg)
    await lvm.claim(bench.vg)
    assert lvm.command_lines == before
    with pytest.raises(Unavailable, match=r"another ebbd's.*; stop that one"):
        await another.claim(bench.vg)
    await lvm.close()
    try:
        await another.claim(bench.vg)
        with pytest.raises(Unavailable):
            await lvm.claim(bench.vg)
    finally:
        await another.close()
    await lvm.claim(bench.vg)


async def test_a_vg_that_is_not_there_cannot_be_claimed(host: Host) -> None:
    with pytest.raises(NotFound):
        await host.lvm.claim("no-such-vg")


async def test_reading_costs_no_command(bench: Bench) -> None:
    lvm = bench.host.lvm
    await lvm.read(bench.vg)
    before = lvm.command_lines
    group = await lvm.read(bench.vg)
    assert await lvm.seqno(bench.vg) == group.seqno
    assert lvm.command_lines == before


async def test_ensuring_again_changes_nothing(bench: Bench) -> None:
    lvm = bench.host.lvm
    device = await bench.host.blockdev.ensure_loop(bench.file, GIB)
    vg = f"{bench.vg}2"
    assert await lvm.ensure_volume_group(vg, [device], metadata_bytes=8 * MIB, tags=["a", "b=c"])
    assert (await lvm.read(vg)).tags == {"a", "b=c"}
    assert not await lvm.ensure_volume_group(vg, [device], metadata_bytes=MIB, tags=[])
    assert await lvm.ensure_pool(vg, "p", size_bytes=100 * MIB, chunk_bytes=128 * 1024)
    seqno = await lvm.seqno(vg)
    assert not await lvm.ensure_pool(vg, "p", size_bytes=50 * MIB, chunk_bytes=None)
    await lvm.activate_pool(vg, "p")
    await lvm.activate_pool(vg, "p")
    assert await lvm.seqno(vg) == seqno
    pool = (await lvm.read(vg)).pools["p"]
    assert (pool.size_bytes, pool.chunk_bytes) == (100 * MIB, 128 * 1024)


async def test_a_pool_may_take_all_the_room(bench: Bench) -> None:
    lvm = bench.host.lvm
    device = await bench.host.blockdev.ensure_loop(bench.file, GIB)
    vg = f"{bench.vg}2"
    await lvm.ensure_volume_group(vg, [device], metadata_bytes=8 * MIB, tags=[])
    with pytest.raises(NoRoom):
        await lvm.ensure_pool(vg, "p", size_bytes=2 * GIB, chunk_bytes=None)
    assert (await lvm.read(vg)).pools == {}
    await lvm.ensure_pool(vg, "p", size_bytes=None, chunk_bytes=None)
    group = await lvm.read(vg)
    assert group.free_bytes < EXTENT
    assert group.pools["p"].size_bytes > GIB * 9 // 10


async def test_a_device_with_a_signature_is_refused_and_left_alone(bench: Bench) -> None:
    device = await bench.host.blockdev.ensure_loop(bench.file, GIB)
    await bench.host.filesystems.make(device, "ext4", [])
    with pytest.raises(WrongState, match=device):
        await bench.host.lvm.ensure_volume_group(
            f"{bench.vg}2", [device], metadata_bytes=8 * MIB, tags=[]
        )
    assert await bench.host.filesystems.signature(device) == "ext4"


async def test_a_thin_volume_is_made_inactive_by_one_command(bench: Bench) -> None:
    lvm = bench.host.lvm
    seqno, lines = await lvm.seqno(bench.vg), lvm.command_lines
    commits = await lvm.create_thin(
        bench.vg, bench.pool, "v-1", size_bytes=EXTENT + 1, tags=["ebb.a=1", "x:y/z+&!#"]
    )
    assert lvm.command_lines == lines + 1
    group = await lvm.read(bench.vg)
    assert group.seqno == seqno + commits
    volume = group.volumes["v-1"]
    assert volume.size_bytes == 2 * EXTENT
    assert volume.tags == {"ebb.a=1", "x:y/z+&!#"}
    assert (volume.pool, volume.origin, volume.read_only) == (bench.pool, None, False)
    assert volume.device_id is not None
    assert await bench.host.dm.info(bench.vg, "v-1") is None
    assert await bench.host.dm.pool_has(bench.vg, bench.pool, volume.device_id)
    assert (await bench.status()).transaction_id == group.pools[bench.pool].transaction_id
    assert group.pools[bench.pool].pending == ()


async def test_every_volume_has_a_device_id_of_its_own(bench: Bench) -> None:
    for name in ("v1", "v2", "v3"):
        await bench.host.lvm.create_thin(bench.vg, bench.pool, name, size_bytes=GIB, tags=[])
    volumes = (await bench.host.lvm.read(bench.vg)).volumes
    assert len({volume.device_id for volume in volumes.values()}) == 3
    numbers = [volumes[name].transaction_id for name in ("v1", "v2", "v3")]
    assert numbers == sorted(numbers, key=lambda number: number or 0)
    assert len({volume.uuid for volume in volumes.values()}) == 3


async def test_a_taken_name_is_a_conflict(bench: Bench) -> None:
    lvm = bench.host.lvm
    await lvm.create_thin(bench.vg, bench.pool, "v1", size_bytes=GIB, tags=["first"])
    seqno = await lvm.seqno(bench.vg)
    with pytest.raises(Conflict):
        await lvm.create_thin(bench.vg, bench.pool, "v1", size_bytes=GIB, tags=[])
    with pytest.raises(Conflict):
        await lvm.create_snapshot(bench.vg, "v1", "v1", tags=[], read_only=False)
    with pytest.raises(Conflict):
        await lvm.ensure_pool(bench.vg, "v1", size_bytes=MIB, chunk_bytes=None)
    assert await lvm.seqno(bench.vg) == seqno
    assert (await lvm.read(bench.vg)).volumes["v1"].tags == {"first"}


async def test_what_is_not_there_is_not_found(bench: Bench) -> None:
    lvm, vg = bench.host.lvm, bench.vg
    with pytest.raises(NotFound):
        await lvm.create_thin(vg, "no-pool", "v1", size_bytes=GIB, tags=[])
    with pytest.raises(NotFound):
        await lvm.create_snapshot(vg, "absent", "s1", tags=[], read_only=True)
    with pytest.raises(NotFound):
        await lvm.remove(vg, ["absent"])
    with pytest.raises(NotFound):
        await lvm.extend(vg, "absent", size_bytes=GIB)
    with pytest.raises(NotFound):
        await lvm.change_tags(vg, "absent", add=["a"])
    with pytest.raises(NotFound):
        await lvm.activate(vg, "absent")
    with pytest.raises(NotFound):
        await lvm.deactivate(vg, "absent")
    assert (await lvm.read(vg)).volumes == {}


@pytest.mark.parametrize("tag", ["a b", "ä", "a'b", "#a", ""])
async def test_a_tag_outside_of_lvms_alphabet_is_refused(bench: Bench, tag: str) -> None:
    seqno = await bench.host.lvm.seqno(bench.vg)
    with pytest.raises(InvalidInput):
        await bench.host.lvm.create_thin(
            bench.vg, bench.pool, "v1", size_bytes=GIB, tags=["fine", tag]
        )
    assert await bench.host.lvm.seqno(bench.vg) == seqno


async def test_a_snapshot_keeps_what_its_origin_had(bench: Bench) -> None:
    lvm = bench.host.lvm
    device = await bench.volume("v1")
    await bench.consumer.write_chunk(device, 3, 0xAA)
    seqno, lines = await lvm.seqno(bench.vg), lvm.command_lines
    commits = await lvm.create_snapshot(bench.vg, "v1", "s1", tags=["t=1"], read_only=True)
    assert lvm.command_lines == lines + 1
    group = await lvm.read(bench.vg)
    assert group.seqno == seqno + commits
    snapshot = group.volumes["s1"]
    assert (snapshot.origin, snapshot.read_only, snapshot.tags) == ("v1", True, frozenset({"t=1"}))
    assert snapshot.size_bytes == group.volumes["v1"].size_bytes
    assert await bench.host.dm.info(bench.vg, "s1") is None
    assert not (await bench.info("v1")).suspended
    await bench.consumer.write_chunk(device, 3, 0xBB)
    await lvm.activate(bench.vg, "s1")
    copy = bench.host.blockdev.lv_device(bench.vg, "s1")
    assert await bench.consumer.read_chunk(copy, 3) == 0xAA
    assert await bench.consumer.read_chunk(copy, 4) == 0
    assert (await bench.info("s1")).read_only


async def test_a_snapshot_of_an_inactive_volume_can_be_written(bench: Bench) -> None:
    device = await bench.volume("v1")
    await bench.consumer.write_chunk(device, 0, 1)
    await bench.host.lvm.deactivate(bench.vg, "v1")
    copy = await bench.snapshot("v1", "c1")
    await bench.consumer.write_chunk(copy, 0, 2)
    await bench.host.lvm.activate(bench.vg, "v1")
    assert await bench.consumer.read_chunk(device, 0) == 1
    assert await bench.consumer.read_chunk(copy, 0) == 2


async def test_a_mounted_origin_is_frozen_by_lvm_itself(bench: Bench) -> None:
    device = await bench.volume("v1")
    await bench.host.filesystems.make(device, "ext4", [])
    place = await bench.mounted(device, "origin")
    await bench.consumer.write_file(place, "note", b"before")
    await bench.host.lvm.create_snapshot(bench.vg, "v1", "s1", tags=[], read_only=False)
    await bench.consumer.write_file(place, "note", b"after")
    await bench.host.lvm.activate(bench.vg, "s1")
    copy = await bench.mounted(bench.host.blockdev.lv_device(bench.vg, "s1"), "copy")
    assert await bench.consumer.read_file(copy, "note") == b"before"
    assert await bench.consumer.read_file(place, "note") == b"after"


async def test_a_snapshot_outlives_its_origin(bench: Bench) -> None:
    device = await bench.volume("v1")
    await bench.consumer.write_chunk(device, 0, 7)
    await bench.host.lvm.create_snapshot(bench.vg, "v1", "s1", tags=[], read_only=True)
    await bench.host.lvm.remove(bench.vg, ["v1"])
    group = await bench.host.lvm.read(bench.vg)
    assert set(group.volumes) == {"s1"}
    assert group.volumes["s1"].origin is None
    await bench.host.lvm.activate(bench.vg, "s1")
    copy = bench.host.blockdev.lv_device(bench.vg, "s1")
    assert await bench.consumer.read_chunk(copy, 0) == 7


async def test_several_are_removed_by_one_command(bench: Bench) -> None:
    lvm = bench.host.lvm
    for name in ("v1", "v2", "v3"):
        await lvm.create_thin(bench.vg, bench.pool, name, size_bytes=GIB, tags=[])
    await lvm.activate(bench.vg, "v3")
    ids = [volume.device_id or 0 for volume in (await lvm.read(bench.vg)).volumes.values()]
    seqno, lines = await lvm.seqno(bench.vg), lvm.command_lines
    commits = await lvm.remove(bench.vg, ["v3", "v1"])
    assert lvm.command_lines == lines + 1
    group = await lvm.read(bench.vg)
    assert group.seqno == seqno + commits
    assert set(group.volumes) == {"v2"}
    assert await bench.host.dm.info(bench.vg, "v3") is None
    has = [await bench.host.dm.pool_has(bench.vg, bench.pool, each) for each in ids]
    assert sum(has) == 1
    assert (await bench.status()).transaction_id == group.pools[bench.pool].transaction_id


async def test_an_open_volume_is_not_removed(bench: Bench) -> None:
    device = await bench.volume("v1")
    async with bench.consumer.opening(device):
        with pytest.raises(WrongState):
            await bench.host.lvm.remove(bench.vg, ["v1"])
        assert "v1" in (await bench.host.lvm.read(bench.vg)).volumes
        assert await bench.host.dm.info(bench.vg, "v1") is not None
    await bench.host.lvm.remove(bench.vg, ["v1"])


@pytest.mark.parametrize("active", [True, False])
async def test_a_volume_grows(bench: Bench, active: bool) -> None:
    lvm = bench.host.lvm
    device = await bench.volume("v1", GIB)
    if not active:
        await lvm.deactivate(bench.vg, "v1")
    seqno, lines = await lvm.seqno(bench.vg), lvm.command_lines
    commits = await lvm.extend(bench.vg, "v1", size_bytes=2 * GIB + 1)
    assert lvm.command_lines == lines + 1
    group = await lvm.read(bench.vg)
    assert group.seqno == seqno + commits
    assert group.volumes["v1"].size_bytes == 2 * GIB + EXTENT
    assert (await bench.host.dm.info(bench.vg, "v1") is not None) == active
    if active:
        assert await bench.host.blockdev.size_bytes(device) == 2 * GIB + EXTENT


@pytest.mark.parametrize("size_bytes", [GIB, GIB - EXTENT + 1, EXTENT])
async def test_large_enough_already(bench: Bench, size_bytes: int) -> None:
    await bench.volume("v1", GIB)
    seqno = await bench.host.lvm.seqno(bench.vg)
    assert await bench.host.lvm.extend(bench.vg, "v1", size_bytes=size_bytes) == 0
    group = await bench.host.lvm.read(bench.vg)
    assert (group.seqno, group.volumes["v1"].size_bytes) == (seqno, GIB)


async def test_tags_of_a_volume_change_in_one_commit(bench: Bench) -> None:
    lvm = bench.host.lvm
    await lvm.create_thin(bench.vg, bench.pool, "v1", size_bytes=GIB, tags=["a", "b"])
    seqno, lines = await lvm.seqno(bench.vg), lvm.command_lines
    commits = await lvm.change_tags(bench.vg, "v1", add=["c", "d"], remove=["a"])
    assert lvm.command_lines == lines + 1
    group = await lvm.read(bench.vg)
    assert group.seqno == seqno + commits
    assert group.volumes["v1"].tags == {"b", "c", "d"}


async def test_tags_of_the_vg_change_in_one_commit(bench: Bench) -> None:
    lvm = bench.host.lvm
    seqno = await lvm.seqno(bench.vg)
    commits = await lvm.change_tags(bench.vg, None, add=["x=1", "y=2"])
    group = await lvm.read(bench.vg)
    assert (group.seqno, group.tags) == (seqno + commits, frozenset({"x=1", "y=2"}))
    await lvm.change_tags(bench.vg, None, add=["z"], remove=["x=1", "y=2"])
    assert (await lvm.read(bench.vg)).tags == {"z"}
    await lvm.change_tags(bench.vg, None, remove=["z"])
    assert (await lvm.read(bench.vg)).tags == frozenset()


async def test_tags_that_are_so_already(bench: Bench) -> None:
    lvm = bench.host.lvm
    await lvm.create_thin(bench.vg, bench.pool, "v1", size_bytes=GIB, tags=["a"])
    seqno = await lvm.seqno(bench.vg)
    commits = await lvm.change_tags(bench.vg, "v1", add=["a"], remove=["absent"])
    group = await lvm.read(bench.vg)
    assert (group.seqno, group.volumes["v1"].tags) == (seqno + commits, frozenset({"a"}))


async def test_activation_can_be_repeated(bench: Bench) -> None:
    lvm = bench.host.lvm
    device = await bench.volume("v1")
    seqno = await lvm.seqno(bench.vg)
    await lvm.activate(bench.vg, "v1")
    await bench.consumer.write_chunk(device, 0, 1)
    await lvm.deactivate(bench.vg, "v1")
    await lvm.deactivate(bench.vg, "v1")
    assert await bench.host.dm.info(bench.vg, "v1") is None
    assert await lvm.seqno(bench.vg) == seqno


async def test_an_open_volume_stays_active(bench: Bench) -> None:
    device = await bench.volume("v1")
    async with bench.consumer.opening(device):
        with pytest.raises(WrongState):
            await bench.host.lvm.deactivate(bench.vg, "v1")
        await bench.opened("v1", 1)


async def test_the_pool_stays_when_its_last_volume_goes_down(bench: Bench) -> None:
    await bench.volume("v1")
    await bench.host.lvm.deactivate(bench.vg, "v1")
    assert (await bench.status()).mode == "rw"


async def test_a_foreign_change_moves_the_seqno_and_shows(bench: Bench) -> None:
    lvm = bench.host.lvm
    await bench.volume("v1")
    lines = lvm.command_lines
    seen = [await lvm.seqno(bench.vg)]
    await bench.administrator.lvcreate("foreign", GIB)
    seen.append(await lvm.seqno(bench.vg))
    assert set((await lvm.read(bench.vg)).volumes) == {"v1", "foreign"}
    await bench.administrator.add_tag("v1", "mine")
    seen.append(await lvm.seqno(bench.vg))
    assert (await lvm.read(bench.vg)).volumes["v1"].tags == {"mine"}
    await bench.administrator.lvremove("v1")
    seen.append(await lvm.seqno(bench.vg))
    assert set((await lvm.read(bench.vg)).volumes) == {"foreign"}
    assert seen == sorted(set(seen))
    assert lvm.command_lines == lines


async def test_our_commands_work_beside_foreign_ones(bench: Bench) -> None:
    await bench.volume("v1")
    await bench.administrator.lvcreate("foreign", GIB)
    await bench.host.lvm.create_thin(bench.vg, bench.pool, "v2", size_bytes=GIB, tags=[])
    await bench.administrator.lvremove("v1")
    await bench.host.lvm.remove(bench.vg, ["v2"])
    assert set((await bench.host.lvm.read(bench.vg)).volumes) == {"foreign"}


async def test_a_caller_who_leaves_does_not_kill_the_command(bench: Bench) -> None:
    lvm = bench.host.lvm
    lines = lvm.command_lines
    creating = asyncio.create_task(
        lvm.create_thin(bench.vg, bench.pool, "v1", size_bytes=GIB, tags=[])
    )
    await bench.another_command(lines)
    creating.cancel()
    with pytest.raises(asyncio.CancelledError):
        await creating
    await lvm.create_thin(bench.vg, bench.pool, "v2", size_bytes=GIB, tags=[])
    group = await lvm.read(bench.vg)
    assert set(group.volumes) == {"v1", "v2"}
    assert (await bench.status()).transaction_id == group.pools[bench.pool].transaction_id


async def test_closing_lets_a_running_command_end(bench: Bench) -> None:
    lvm = bench.host.lvm
    lines = lvm.command_lines
    creating = asyncio.create_task(
        lvm.create_thin(bench.vg, bench.pool, "v1", size_bytes=GIB, tags=[])
    )
    await bench.another_command(lines)
    await lvm.close()
    assert creating.done()
    await creating
    assert "v1" in (await lvm.read(bench.vg)).volumes


async def test_two_commands_at_once_both_succeed(bench: Bench) -> None:
    lvm = bench.host.lvm
    async with asyncio.TaskGroup() as tasks:
        for name in ("v1", "v2", "v3"):
            tasks.create_task(lvm.create_thin(bench.vg, bench.pool, name, size_bytes=GIB, tags=[]))
    assert set((await lvm.read(bench.vg)).volumes) == {"v1", "v2", "v3"}


async def test_many_tags_and_many_removals_pass(bench: Bench) -> None:
    lvm = bench.host.lvm
    tags = [f"key{number}={'x' * 60}" for number in range(40)]
    await lvm.create_thin(bench.vg, bench.pool, "v1", size_bytes=GIB, tags=tags)
    assert (await lvm.read(bench.vg)).volumes["v1"].tags == set(tags)
