"""Single snapshots: made once, found by id and by name, deleted alone."""

import asyncio

import pytest
from contract.volumes.engine import MIB, Engine
from ebbd.errors import Conflict, DeadlineExceeded, InvalidInput, NotFound
from ebbd.host.simulated.faults import Step
from ebbd.model import Created, Unchanged
from unit.volumes.rig import VG, Rig


async def test_made_once_found_again(engine: Engine) -> None:
    volume = await engine.create("a")
    made = await engine.snapshots.create("s", volume.id)
    assert isinstance(made, Created)
    snapshot = made.value
    assert await engine.snapshots.create("s", volume.id) == Unchanged(snapshot)
    assert (snapshot.volume_name, snapshot.size_bytes) == ("a", volume.size_bytes)
    assert await engine.snapshots.find(snapshot.id) == snapshot
    assert await engine.snapshots.find("s") == snapshot
    assert await engine.snapshots.select(volume.id, "") == [snapshot]
    assert await engine.snapshots.select("", "s-aaaaaaaa-aaaaaaaaaaaaaaaa") == []
    for unknown in ("t", "s-aaaaaaaa-aaaaaaaaaaaaaaaa"):
        with pytest.raises(NotFound):
            await engine.snapshots.find(unknown)


async def test_the_name_means_another_volumes(engine: Engine) -> None:
    a, b = await engine.create("a"), await engine.create("b")
    snapshot = (await engine.snapshots.create("s", a.id)).value
    with pytest.raises(Conflict, match=a.id):
        await engine.snapshots.create("s", b.id)
    assert await engine.snapshots.select("", "") == [snapshot]


async def test_refused(engine: Engine) -> None:
    with pytest.raises(NotFound):
        await engine.snapshots.create("s", "v-aaaaaaaa-aaaaaaaaaaaaaaaa")
    with pytest.raises(InvalidInput):
        await engine.snapshots.create("", (await engine.create("a")).id)


async def test_two_of_one_name_at_once(engine: Engine) -> None:
    a, b = await engine.create("a"), await engine.create("b")
    same = await asyncio.gather(*(engine.snapshots.create("s", a.id) for _ in range(2)))
    assert {type(one) for one in same} == {Created, Unchanged}
    told = await asyncio.gather(
        engine.snapshots.create("t", a.id),
        engine.snapshots.create("t", b.id),
        return_exceptions=True,
    )
    assert {type(one) for one in told} == {Created, Conflict}


async def test_deleted_once(rig: Rig, engine: Engine) -> None:
    volume = await engine.create("a")
    snapshot = (await engine.snapshots.create("s", volume.id)).value
    assert await asyncio.gather(*(engine.snapshots.delete(snapshot.id) for _ in range(2))) == [
        True,
        False,
    ]
    for unknown in ("nonsense", volume.id, "s-aaaaaaaa-aaaaaaaaaaaaaaaa"):
        assert not await engine.snapshots.delete(unknown)
    assert set(rig.machine.group(VG).volumes) == {volume.lv_name}


async def test_a_snapshot_of_a_mounted_volume_killed_half_way_leaves_it_usable(
    rig: Rig, engine: Engine
) -> None:
    """LVM suspends the origin by itself; killed then, it must be resumed before the answer."""
    volume = await engine.create("a")
    path = await engine.stage(volume)
    rig.machine.faults.stop("create_snapshot", Step.SUSPENDED)
    with pytest.raises(DeadlineExceeded):
        await engine.snapshots.create("s", volume.id)
    rig.files.write_file(path, "f", MIB, "x")
    rig.assert_sound()
    # Made now, not when the killed one was asked for.
    snapshot = (await engine.snapshots.create("s", volume.id)).value
    restored = await engine.create("r", source=snapshot.id)
    assert rig.files.read_file(await engine.stage(restored), "f") == "x"
