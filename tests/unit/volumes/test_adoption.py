"""Thin LVs of others taken in as they are, and given back."""

import pytest
from contract.volumes.engine import MIB, Engine
from ebbd.errors import Conflict, InvalidInput, NotFound, WrongState
from ebbd.host.simulated.faults import Step
from ebbd.model import Created, Unchanged
from ebbd.volumes import tags
from ebbd.volumes.migration import migrate
from ebbd.volumes.orphans import Kind
from unit.volumes import schema_one
from unit.volumes.rig import POOL, VG, Rig

LV = f"{VG}/data"


async def theirs(rig: Rig, name: str = "data", *, filesystem: str = "ext4") -> str:
    """An LV with a tag and a filesystem of its own, inactive; its UUID."""
    lvm = rig.administrator
    await lvm.create_thin(VG, POOL, name, size_bytes=64 * MIB, tags=["backup"])
    if filesystem:
        await lvm.activate(VG, name)
        await rig.files.make(f"/dev/{VG}/{name}", filesystem, [])
        await lvm.deactivate(VG, name)
    return rig.machine.groups[VG].volumes[name].uuid


async def test_it_becomes_a_volume_as_it_is_by_one_commit(rig: Rig, engine: Engine) -> None:
    uuid = await theirs(rig)
    seqno = rig.machine.groups[VG].seqno
    outcome = await engine.adoption.adopt(LV, "db", block=False)
    assert isinstance(outcome, Created)
    volume = outcome.value
    assert (volume.name, volume.lv_name, volume.filesystem) == ("db", "data", "ext4")
    assert (volume.id, volume.generation) == (engine.store.naming.volume_id("db"), 1)
    assert (volume.size_bytes, volume.prepare) == (64 * MIB, None), "it is never formatted"
    record = rig.machine.groups[VG].volumes["data"]
    assert (record.uuid, "backup" in record.tags) == (uuid, True)
    assert rig.machine.groups[VG].seqno == seqno + 1
    assert (VG, "data") not in rig.machine.nodes
    assert (await engine.collector.find()).orphans == ()
    again = await engine.adoption.adopt(LV, "db", block=False)
    assert isinstance(again, Unchanged)
    assert again.value == volume


async def test_it_lives_like_any_other(rig: Rig) -> None:
    await _started(rig)
    async with rig.start() as engine:
        volume = (await engine.adoption.adopt(LV, "db", block=False)).value
        await engine.publish(volume, "db", staged=await engine.stage(volume))
        rig.files.write_file(engine.path("db"), "f", MIB, "bytes")
        snapshot = (await engine.snapshots.create("s", volume.id)).value
        clone = await engine.create("copy", source=snapshot.id)
        await engine.lifecycle.expand(volume.id, 128 * MIB, 0)
    async with rig.start() as engine:  # and a restart knows it again
        volume = (await engine.volumes())["db"]
        assert (volume.lv_name, volume.lv_bytes) == ("data", 128 * MIB)
        assert rig.files.read_file(engine.path("db"), "f") == "bytes"
        assert (await engine.create("copy", source=snapshot.id)).id == clone.id
        await engine.staging.unpublish(volume.id, engine.path("db"))
        await engine.staging.unstage(volume.id, engine.path("stage-data"))
        assert await engine.lifecycle.delete(volume.id)
        assert "data" not in rig.machine.groups[VG].volumes
        rig.assert_sound()


async def test_as_raw_block_whatever_is_on_it(rig: Rig, engine: Engine) -> None:
    await theirs(rig)
    volume = (await engine.adoption.adopt(LV, "raw", block=True)).value
    assert volume.filesystem == ""
    with pytest.raises(Conflict):
        await engine.adoption.adopt(LV, "raw", block=False)


async def test_nothing_to_mount_on_it(rig: Rig, engine: Engine) -> None:
    await theirs(rig, filesystem="")
    seqno = rig.machine.groups[VG].seqno
    with pytest.raises(InvalidInput, match="--block"):
        await engine.adoption.adopt(LV, "db", block=False)
    assert rig.machine.groups[VG].seqno == seqno
    assert (VG, "data") not in rig.machine.nodes


async def test_what_cannot_be_adopted(rig: Rig, engine: Engine) -> None:
    await theirs(rig)
    lvm = rig.administrator
    await lvm.create_snapshot(VG, "data", "snap", tags=[], read_only=False)
    await theirs(rig, "ro")
    rig.machine.groups[VG].volumes["ro"].read_only = True
    own = await engine.create("own")
    seqno = rig.machine.groups[VG].seqno
    for lv, error in [
        ("data", InvalidInput),
        ("other/data", InvalidInput),
        (f"{VG}/", InvalidInput),
        (f"{VG}/../{POOL}", NotFound),
        (f"{VG}/{POOL}", InvalidInput),
        (f"{VG}/{POOL}_tdata", InvalidInput),
        (f"{VG}/none", NotFound),
        (f"{VG}/snap", WrongState),
        (f"{VG}/ro", WrongState),
        (f"{VG}/{own.lv_name}", Conflict),
    ]:
        with pytest.raises(error):
            await engine.adoption.adopt(lv, "new", block=True)
    for name in ("", "x" * 129, "a\0b"):
        with pytest.raises(InvalidInput):
            await engine.adoption.adopt(LV, name, block=True)
    with pytest.raises(Conflict):
        await engine.adoption.adopt(LV, "own", block=True)
    await engine.adoption.adopt(LV, "db", block=True)
    with pytest.raises(Conflict, match="already"):
        await engine.adoption.adopt(LV, "another", block=True)
    assert rig.machine.groups[VG].seqno == seqno + 1


async def test_not_while_it_is_used(rig: Rig, engine: Engine) -> None:
    await theirs(rig)
    await rig.administrator.activate(VG, "data")
    rig.machine.open_device(VG, "data")
    with pytest.raises(WrongState, match="in use"):
        await engine.adoption.adopt(LV, "db", block=True)
    rig.machine.close_device(VG, "data")
    await engine.adoption.adopt(LV, "db", block=True)


async def test_not_over_what_is_not_understood(rig: Rig, engine: Engine) -> None:
    volume = await engine.create("db")
    record = rig.machine.groups[VG].volumes[volume.lv_name]
    await rig.administrator.change_tags(VG, volume.lv_name, remove=sorted(record.tags))
    await theirs(rig)
    with pytest.raises(Conflict, match="does not understand"):
        await engine.adoption.adopt(LV, "db", block=True)


async def test_given_back_it_is_as_it_was(rig: Rig, engine: Engine) -> None:
    await theirs(rig)
    before = rig.machine.groups[VG].value().volumes["data"]
    volume = (await engine.adoption.adopt(LV, "db", block=False)).value
    await engine.lifecycle.modify(volume.id, {"priority": "gold"})
    path = await engine.stage(volume)
    with pytest.raises(WrongState, match="in use"):
        await engine.adoption.release(volume.id)
    await engine.staging.unstage(volume.id, path)
    seqno = rig.machine.groups[VG].seqno
    assert await engine.adoption.release(volume.id)
    assert rig.machine.groups[VG].seqno == seqno + 1
    assert rig.machine.groups[VG].value().volumes["data"] == before
    assert await engine.volumes() == {}
    assert not await engine.adoption.release(volume.id)
    own = await engine.create("own")
    with pytest.raises(WrongState, match="Uninstall"):
        await engine.adoption.release(own.id)


async def test_rewound_and_undone_it_is_the_first_generation(rig: Rig, engine: Engine) -> None:
    await theirs(rig)
    volume = (await engine.adoption.adopt(LV, "db", block=False)).value
    snapshot = (await engine.snapshots.create("s", volume.id)).value
    moved = (await engine.rewinding.rewind(volume.id, snapshot.id)).value
    assert (moved.generation, moved.older_lvs) == (2, ("data",))
    told = tags.read(rig.machine.groups[VG].volumes[moved.lv_name].tags)
    assert told["v"] == "1"
    assert not {"lv", "adopted"} & told.keys()
    undone = (await engine.rewinding.undo(volume.id)).value
    back = (await engine.rewinding.undo(volume.id, from_generation=2)).value
    assert (undone.generation, undone.head_of) == (back.generation, "1") == (3, "1")
    assert not (await engine.store.catalog()).strays
    assert isinstance(await engine.adoption.adopt(LV, "db", block=False), Unchanged)
    with pytest.raises(WrongState, match="as it was adopted"):
        await engine.adoption.release(volume.id)
    await migrate(engine.store, 1, lambda _: None)
    assert set(schema_one.volumes(_raw(rig))) == {"db", "s"}
    assert await engine.lifecycle.delete(volume.id)
    assert list(rig.machine.groups[VG].volumes) == [snapshot.lv_name]


def _raw(rig: Rig) -> dict[str, frozenset[str]]:
    return {lv.name: lv.tags for lv in rig.machine.groups[VG].volumes.values()}


async def test_killed_at_any_step_it_is_adopted_or_as_it_was(rig: Rig) -> None:
    before = await _started(rig)

    async def adopt(engine: Engine) -> None:
        await engine.adoption.adopt(LV, "db", block=False)

    ends = set()
    for step in range(1, 12):
        try:
            await rig.dies(adopt, step)
        except AssertionError:
            break
        record = rig.machine.groups[VG].volumes["data"]
        adopted = any(text.startswith(tags.PREFIX) for text in record.tags)
        ends.add(adopted)
        async with rig.start() as engine:
            assert set(await engine.volumes()) == ({"db"} if adopted else set())
            assert all(o.kind is Kind.ACTIVE for o in (await engine.collector.find()).orphans)
            await adopt(engine)
            assert set(await engine.volumes()) == {"db"}
            assert (await engine.volumes())["db"].prepare is None
            assert await engine.adoption.release((await engine.volumes())["db"].id)
            assert rig.machine.groups[VG].value().volumes["data"] == before
    assert ends == {True, False}


async def _started(rig: Rig) -> object:
    async with rig.start():
        await theirs(rig)
    return rig.machine.groups[VG].value().volumes["data"]


async def test_a_copied_tag_makes_no_second_head(rig: Rig, engine: Engine) -> None:
    await theirs(rig)
    volume = (await engine.adoption.adopt(LV, "db", block=False)).value
    told = sorted(rig.machine.groups[VG].volumes["data"].tags)
    await rig.administrator.create_thin(VG, POOL, "double", size_bytes=MIB, tags=told)
    assert (await engine.volumes())["db"] == volume
    [orphan] = (await engine.collector.find()).orphans
    assert (orphan.subject, orphan.action) == (f"{VG}/double", "")
    assert "what LV data is" in orphan.reason
    with pytest.raises(WrongState):
        await engine.collector.remove(orphan.id)


async def test_a_deadline_in_between_is_answered_with_the_truth(rig: Rig, engine: Engine) -> None:
    await theirs(rig)
    rig.machine.faults.stop("change_tags", Step.DONE)
    outcome = await engine.adoption.adopt(LV, "db", block=False)
    assert outcome.value.lv_name == "data"
