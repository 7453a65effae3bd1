"""What is remembered of a VG, beside what others do to it."""

import asyncio

import pytest
from contract.volumes.engine import MIB, Engine
from ebbd.errors import DeadlineExceeded, Unavailable
from ebbd.host.simulated.faults import Step
from unit.volumes.rig import POOL, VG, Rig


@pytest.mark.parametrize("step", [Step.LISTED, Step.SENT, Step.BUMPED])
async def test_no_half_made_volume_is_seen_while_its_creation_runs(
    rig: Rig, engine: Engine, step: Step
) -> None:
    held = rig.hold("create_thin", step)
    creating = asyncio.create_task(engine.create("a"))
    await held.reached.wait()
    assert not await engine.volumes()
    held.release.set()
    await creating
    assert set(await engine.volumes()) == {"a"}


async def test_nothing_half_made_is_shown_between_a_deadline_and_its_recovery(
    rig: Rig, engine: Engine
) -> None:
    """The killed command's volume is listed by LVM and unknown to the pool until it is settled."""
    rig.machine.faults.stop("create_thin", Step.LISTED)
    settling = rig.hold("remove", Step.STARTED)
    creating = asyncio.create_task(engine.create("a"))
    await settling.reached.wait()
    assert len(rig.machine.group(VG).volumes) == 1
    assert not await engine.volumes()
    settling.release.set()
    with pytest.raises(DeadlineExceeded):
        await creating
    assert not await engine.volumes()
    assert (await engine.create("a")).name == "a"


async def test_somebody_elses_half_made_volume_is_not_shown(rig: Rig, engine: Engine) -> None:
    """The second administrator's lvcreate hangs between its commits."""
    volume = await engine.create("a")
    lv = engine.store.lv(VG, volume.lv_name)
    record = rig.machine.group(VG).volumes[lv.name]
    held = rig.hold("create_snapshot", Step.LISTED)
    theirs = rig.host().lvm
    name = lv.name.replace(".1", ".2")
    snapshot = asyncio.create_task(
        theirs.create_snapshot(VG, lv.name, name, tags=sorted(record.tags), read_only=False)
    )
    await held.reached.wait()
    assert (await engine.volumes())["a"].generation == 1
    held.release.set()
    await snapshot
    assert (await engine.volumes())["a"].generation == 2


async def test_foreign_commits_are_noticed(rig: Rig, engine: Engine) -> None:
    a, b = await engine.create("a"), await engine.create("b")
    await rig.administrator.remove(VG, [a.lv_name])
    assert set(await engine.volumes()) == {"b"}
    await rig.administrator.create_thin(VG, POOL, "theirs", size_bytes=MIB, tags=["x"])
    await engine.create("c")
    assert "theirs" in engine.store.group(VG).volumes
    assert set(await engine.volumes()) == {"b", "c"}
    await rig.administrator.extend(VG, b.lv_name, size_bytes=128 * MIB)
    assert (await engine.volumes())["b"].size_bytes == 128 * MIB


async def test_a_deletion_of_what_a_foreign_hand_removed_is_fine(rig: Rig, engine: Engine) -> None:
    volume = await engine.create("a")
    held = rig.hold("remove", Step.STARTED)
    deleting = asyncio.create_task(engine.lifecycle.delete(volume.id))
    await held.reached.wait()
    group = rig.machine.group(VG)
    del group.volumes[volume.lv_name]
    rig.machine.pool(VG, POOL).store.delete(1)
    group.seqno += 2
    held.release.set()
    assert await deleting
    assert not await engine.volumes()


async def test_a_vg_that_is_gone_is_unavailable_not_not_found(rig: Rig, engine: Engine) -> None:
    """NOT_FOUND would tell a CO that its volume does not exist."""
    volume = await engine.create("a")
    group = rig.machine.groups.pop(VG)
    with pytest.raises(Unavailable, match=f"group {VG} is missing"):
        await engine.lifecycle.delete(volume.id)
    rig.machine.groups[VG] = group
    await engine.store.reopen()
    assert set(await engine.volumes()) == {"a"}
