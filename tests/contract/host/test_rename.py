"""An LV under another name: the same LV, in the VG and in the kernel."""

import pytest
from contract.host.bench import GIB, Bench
from ebbd.errors import Conflict, NotFound


async def test_a_renamed_volume_is_the_same_volume(bench: Bench) -> None:
    lvm, vg = bench.host.lvm, bench.vg
    await bench.consumer.write_chunk(await bench.volume("v1", GIB, "mine"), 0, 5)
    await lvm.deactivate(vg, "v1")
    before = (await lvm.read(vg)).volumes["v1"]
    seqno, lines = await lvm.seqno(vg), lvm.command_lines
    commits = await lvm.rename(vg, "v1", "v-2.x")
    assert (await lvm.seqno(vg), lvm.command_lines) == (seqno + commits, lines + 1)
    group = await lvm.read(vg)
    assert set(group.volumes) == {"v-2.x"}
    after = group.volumes["v-2.x"]
    assert (after.uuid, after.device_id, after.tags) == (
        before.uuid, before.device_id, frozenset({"mine"}),
    )  # fmt: skip
    await lvm.activate(vg, "v-2.x")
    device = bench.host.blockdev.lv_device(vg, "v-2.x")
    assert await bench.consumer.read_chunk(device, 0) == 5
    await lvm.rename(vg, "v-2.x", "v1")  # active
    await bench.opened("v1", 0)
    assert await bench.host.dm.info(vg, "v-2.x") is None
    assert await bench.consumer.read_chunk(bench.host.blockdev.lv_device(vg, "v1"), 0) == 5


async def test_a_copy_knows_its_origin_by_the_new_name(bench: Bench) -> None:
    await bench.volume("v1")
    await bench.snapshot("v1", "s1")
    await bench.host.lvm.rename(bench.vg, "v1", "v2")
    assert (await bench.host.lvm.read(bench.vg)).volumes["s1"].origin == "v2"


async def test_a_name_that_is_taken_or_not_there(bench: Bench) -> None:
    lvm, vg = bench.host.lvm, bench.vg
    for name in ("v1", "v2"):
        await lvm.create_thin(vg, bench.pool, name, size_bytes=GIB, tags=[])
    seqno = await lvm.seqno(vg)
    for taken in ("v2", bench.pool, f"{bench.pool}_tdata"):
        with pytest.raises(Conflict):
            await lvm.rename(vg, "v1", taken)
    with pytest.raises(NotFound):
        await lvm.rename(vg, "v3", "v4")
    assert await lvm.seqno(vg) == seqno
