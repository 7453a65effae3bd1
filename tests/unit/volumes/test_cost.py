"""Every command line given to LVM counts: create 1, snapshot 1, delete 1, grow 1, stage 1 beyond
the first preparation, everything else none.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from contract.volumes.engine import BLOCK, MIB, Engine
from ebbd.host.simulated.lvm import SimulatedLvm
from unit.volumes.rig import POOL, VG, Rig


@asynccontextmanager
async def costs(engine: Engine, lines: int) -> AsyncIterator[None]:
    before = engine.host.lvm.command_lines
    yield
    assert engine.host.lvm.command_lines - before == lines


async def test_a_volumes_whole_life(engine: Engine) -> None:
    async with costs(engine, 1):
        volume = await engine.create("a")
    async with costs(engine, 0):
        await engine.create("a")
    async with costs(engine, 2):  # activate, and take the blank mark away: once in its life
        staged = await engine.stage(volume)
    async with costs(engine, 0):
        await engine.stage(volume)
        await engine.publish(volume, "pod")
        await engine.publish(volume, "pod")
    async with costs(engine, 1):
        snapshot = (await engine.snapshots.create("s", volume.id)).value
    async with costs(engine, 0):
        await engine.snapshots.create("s", volume.id)
    async with costs(engine, 1):
        await engine.lifecycle.expand(volume.id, 128 * MIB, 0)
    async with costs(engine, 0):
        await engine.observer.grow(volume.id, staged)
        await engine.observer.usage(volume.id, staged)
        await engine.observer.observe(list((await engine.store.catalog()).volumes.values()))
        await engine.observer.trim(volume.id)
        await engine.store.pool_state(engine.store.pools.specs[0])
        await engine.snapshots.select("", "")
        await engine.staging.unpublish(volume.id, engine.path("pod"))
    async with costs(engine, 1):
        await engine.staging.unstage(volume.id, staged)
    async with costs(engine, 1):
        await engine.stage(volume)
    await engine.staging.unstage(volume.id, staged)
    async with costs(engine, 1):
        await engine.lifecycle.modify(volume.id, {"priority": "gold"})
    async with costs(engine, 1):
        await engine.lifecycle.delete(volume.id)
    async with costs(engine, 1):
        await engine.snapshots.delete(snapshot.id)
    async with costs(engine, 0):
        await engine.lifecycle.delete(volume.id)
        await engine.snapshots.delete(snapshot.id)


@pytest.mark.parametrize(("size_mib", "lines"), [(64, 2), (128, 3)])
async def test_a_copy(engine: Engine, size_mib: int, lines: int) -> None:
    """A larger one is grown when it is staged: a snapshot has its origin's size."""
    origin = await engine.create("origin")
    await engine.stage(origin)
    async with costs(engine, 1):
        copy = await engine.create("copy", size_mib, source=origin.id)
    async with costs(engine, lines):
        staged = await engine.stage(copy)
    await engine.staging.unstage(copy.id, staged)
    async with costs(engine, 1):
        await engine.stage(copy)


async def test_raw_block(engine: Engine) -> None:
    volume = await engine.create("raw", block=True)
    async with costs(engine, 1):
        await engine.stage(volume, access=BLOCK)
    async with costs(engine, 0):
        await engine.publish(volume, "device", BLOCK)


async def test_a_group(engine: Engine) -> None:
    volumes = [await engine.create(name) for name in "abc"]
    async with costs(engine, 4):  # one a snapshot, and the tag that commits them
        group = (await engine.groups.create("g", [v.id for v in volumes])).value
    async with costs(engine, 2):  # the commit taken back, and all members in one line
        await engine.groups.delete(group.id, [])


async def test_adopting_and_giving_back(rig: Rig, engine: Engine) -> None:
    lvm, lines = rig.administrator, engine.host.lvm
    for name in ("data", "raw"):
        await lvm.create_thin(VG, POOL, name, size_bytes=64 * MIB, tags=[])
    await lvm.activate(VG, "data")
    await rig.files.make(f"/dev/{VG}/data", "ext4", [])
    await lvm.deactivate(VG, "data")
    before = lines.command_lines
    adopted = (await engine.adoption.adopt(f"{VG}/data", "a", block=False)).value
    assert lines.command_lines == before + 3, "looked at, and tagged"
    await engine.adoption.adopt(f"{VG}/data", "a", block=False)
    await engine.adoption.adopt(f"{VG}/raw", "b", block=True)
    await engine.adoption.release(adopted.id)
    assert lines.command_lines == before + 5


async def test_reads_of_the_vg(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own commits are recognised: nothing is read again. A foreign one is, once."""
    reads = 0
    real = SimulatedLvm.read

    async def counted(self: SimulatedLvm, vg: str) -> object:
        nonlocal reads
        reads += 1
        return await real(self, vg)

    monkeypatch.setattr(SimulatedLvm, "read", counted)
    volume = await engine.create("a")
    await engine.stage(volume)
    snapshot = (await engine.snapshots.create("s", volume.id)).value
    await engine.lifecycle.expand(volume.id, 128 * MIB, 0)
    await engine.lifecycle.modify(volume.id, {"iops": "500"})
    other = [await engine.create(name) for name in "bcd"]
    await engine.groups.create("g", [v.id for v in other])
    await engine.lifecycle.delete(other[0].id)
    await engine.snapshots.delete(snapshot.id)
    await engine.store.catalog()
    assert reads == 0


async def test_a_foreign_commit_costs_one_read(
    rig: Rig, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume, other = await engine.create("a"), await engine.create("b")
    reads = 0
    real = SimulatedLvm.read

    async def counted(self: SimulatedLvm, vg: str) -> object:
        nonlocal reads
        reads += 1
        return await real(self, vg)

    monkeypatch.setattr(SimulatedLvm, "read", counted)
    await rig.administrator.remove(volume.vg, [volume.lv_name])
    assert set(await engine.volumes()) == {"b"}
    await engine.volumes()
    assert reads == 1
    await rig.administrator.change_tags(volume.vg, other.lv_name, add=["mine"])
    await engine.create("c")  # the foreign commit is noticed by this one's own end
    assert set(await engine.volumes()) == {"b", "c"}
    assert reads == 2
