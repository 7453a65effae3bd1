"""Orphans of a simulated node: found where they are, removed only as they were listed."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from contract.volumes.engine import BLOCK, MIB, Engine
from ebbd.errors import NotFound, WrongState
from ebbd.host.simulated.faults import Step
from ebbd.host.values import Consumer
from ebbd.model import Volume
from ebbd.volumes.names import head_lv
from ebbd.volumes.orphans import Kind, Orphan
from unit.volumes.rig import POOL, VG, Rig

LOST = 900


async def orphans(engine: Engine) -> tuple[Orphan, ...]:
    findings = await engine.collector.find()
    assert not findings.unlisted
    return findings.orphans


async def only(engine: Engine) -> Orphan:
    [orphan] = await orphans(engine)
    return orphan


async def strip(rig: Rig, name: str) -> None:
    """Somebody takes all tags off an LV."""
    lv = rig.machine.groups[VG].volumes[name]
    await rig.administrator.change_tags(VG, name, remove=sorted(lv.tags))


async def second_generation(rig: Rig, volume: Volume) -> str:
    """What a rewind makes: a new head; the former one stays where it is mounted."""
    name = head_lv(volume.id.rpartition("-")[2], 2)
    told = sorted(rig.machine.groups[VG].volumes[volume.lv_name].tags)
    await rig.administrator.create_snapshot(VG, volume.lv_name, name, tags=told, read_only=False)
    return name


def lose_a_device(rig: Rig, mib: int = 1) -> None:
    store = rig.machine.pool(VG, POOL).store
    store.create(LOST)
    store.write(LOST, 0, mib * MIB // rig.machine.pool(VG, POOL).chunk_bytes, "lost")


async def test_a_node_in_use_has_none(engine: Engine) -> None:
    a, b = await engine.create("a"), await engine.create("b", filesystem="", block=True)
    await engine.publish(a, "a", staged=await engine.stage(a))
    await engine.stage(b, access=BLOCK)
    await engine.snapshots.create("s", a.id)
    await engine.groups.create("g", [a.id, b.id])
    assert await orphans(engine) == ()


async def test_listing_changes_nothing(rig: Rig, engine: Engine) -> None:
    volume = await engine.create("a")
    await strip(rig, volume.lv_name)
    lose_a_device(rig)
    before = (rig.machine.groups[VG].value(), engine.host.lvm.command_lines)
    assert len(await orphans(engine)) == 2
    assert (rig.machine.groups[VG].value(), engine.host.lvm.command_lines) == before


async def test_an_lv_without_a_story_goes_by_one_command(rig: Rig, engine: Engine) -> None:
    volume, other = await engine.create("a"), await engine.create("b")
    await strip(rig, volume.lv_name)
    orphan = await only(engine)
    lines = engine.host.lvm.command_lines
    assert await engine.collector.remove(orphan.id) == orphan
    assert engine.host.lvm.command_lines == lines + 1
    assert list(rig.machine.groups[VG].volumes) == [other.lv_name]
    assert await orphans(engine) == ()
    rig.assert_sound()
    with pytest.raises(NotFound, match="ebb gc"):
        await engine.collector.remove(orphan.id)


async def test_an_lv_that_is_open_stays(rig: Rig, engine: Engine) -> None:
    volume = await engine.create("a")
    await engine.stage(volume)
    await strip(rig, volume.lv_name)
    orphan = await only(engine)
    with pytest.raises(WrongState, match="in use"):
        await engine.collector.remove(orphan.id)
    assert volume.lv_name in rig.machine.groups[VG].volumes


async def test_an_lv_that_got_its_story_back_stays(rig: Rig, engine: Engine) -> None:
    volume = await engine.create("a")
    told = sorted(rig.machine.groups[VG].volumes[volume.lv_name].tags)
    await strip(rig, volume.lv_name)
    orphan = await only(engine)
    # In the very last moment: the removal stands in line behind another mutation already.
    held = rig.hold("create_thin", Step.STARTED)
    creation = asyncio.create_task(engine.create("b"))
    await held.reached.wait()
    removal = asyncio.create_task(engine.collector.remove(orphan.id))
    while not engine.store._writers[VG]._lines:  # noqa: ASYNC110 - there is no event for it
        await asyncio.sleep(0)
    record = rig.machine.groups[VG].volumes[volume.lv_name]
    record.tags = frozenset(told)
    rig.machine.groups[VG].seqno += 1
    held.release.set()
    await creation
    with pytest.raises(WrongState, match="has changed since"):
        await removal
    assert volume.lv_name in rig.machine.groups[VG].volumes
    assert set(await engine.volumes()) == {"a", "b"}


async def test_a_lost_thin_device_gives_its_blocks_back(rig: Rig, engine: Engine) -> None:
    await engine.create("a")
    used = rig.machine.pool(VG, POOL).store.used
    lose_a_device(rig, mib=2)
    orphan = await only(engine)
    assert (orphan.kind, orphan.allocated_bytes) == (Kind.THIN_DEVICE, 2 * MIB)
    lines, seqno = engine.host.lvm.command_lines, rig.machine.groups[VG].seqno
    await engine.collector.remove(orphan.id)
    assert rig.machine.pool(VG, POOL).store.used == used
    assert (engine.host.lvm.command_lines, rig.machine.groups[VG].seqno) == (lines, seqno)
    assert await orphans(engine) == ()
    await engine.create("b")
    rig.assert_sound()


async def test_a_thin_id_that_an_lv_took_meanwhile_stays(rig: Rig, engine: Engine) -> None:
    await engine.create("a")
    rig.machine.pool(VG, POOL).store.create(2)  # the next id that LVM gives
    orphan = await only(engine)
    await rig.administrator.create_thin(VG, POOL, "theirs", size_bytes=MIB, tags=[])
    with pytest.raises(NotFound):
        await engine.collector.remove(orphan.id)
    assert 2 in rig.machine.pool(VG, POOL).store.devices


async def test_a_stale_mount_then_its_device(rig: Rig, engine: Engine) -> None:
    volume = await engine.create("a")
    path = await engine.stage(volume)
    await second_generation(rig, volume)
    orphan = await only(engine)
    assert (orphan.kind, orphan.subject) == (Kind.MOUNT, path)
    await engine.collector.remove(orphan.id)
    left = await only(engine)
    assert (left.kind, left.subject) == (Kind.ACTIVE, f"{VG}/{volume.lv_name}")
    await engine.collector.remove(left.id)
    assert (VG, volume.lv_name) not in rig.machine.nodes
    assert await orphans(engine) == ()
    assert volume.lv_name in rig.machine.groups[VG].volumes, "it is where an undo goes back to"


async def test_a_stale_mount_in_use_stays(rig: Rig, engine: Engine) -> None:
    volume = await engine.create("a")
    path = await engine.stage(volume)
    await second_generation(rig, volume)
    orphan = await only(engine)
    rig.machine.use(VG, volume.lv_name, Consumer("/pod", (77,), freezable=True))
    with pytest.raises(WrongState, match="77"):
        await engine.collector.remove(orphan.id)
    assert [m.target for m in rig.machine.mounts if m.target == path]


async def test_a_device_that_came_into_use_stays_up(rig: Rig, engine: Engine) -> None:
    volume = await engine.create("a")
    await rig.administrator.activate(VG, volume.lv_name)
    orphan = await only(engine)
    rig.machine.open_device(VG, volume.lv_name)
    with pytest.raises(NotFound):
        await engine.collector.remove(orphan.id)
    assert (VG, volume.lv_name) in rig.machine.nodes


async def test_what_is_only_told_is_not_removed(rig: Rig, engine: Engine) -> None:
    volume = await engine.create("a")
    await rig.administrator.change_tags(VG, volume.lv_name, remove=["ebb.v=1"], add=["ebb.v=99"])
    orphan = await only(engine)
    with pytest.raises(WrongState, match="upgrade ebbd"):
        await engine.collector.remove(orphan.id)
    assert volume.lv_name in rig.machine.groups[VG].volumes


Act = Callable[[Engine], Awaitable[object]]


async def _done(act: Act, engine: Engine) -> None:
    await act(engine)


async def _create(engine: Engine) -> None:
    await engine.lifecycle.delete((await engine.create("new")).id)


async def _snapshot(engine: Engine, name: str) -> None:
    outcome = await engine.snapshots.create(name, (await engine.volumes())["a"].id)
    await engine.snapshots.delete(outcome.value.id)


async def _delete(engine: Engine, name: str) -> None:
    await engine.lifecycle.delete((await engine.volumes())[name].id)


async def _stage(engine: Engine, name: str) -> None:
    volume = (await engine.volumes())[name]
    path = await engine.stage(volume)
    await engine.staging.unstage(volume.id, path)


async def _group(engine: Engine) -> None:
    volumes = await engine.volumes()
    outcome = await engine.groups.create("g", [volumes["a"].id, volumes["b"].id])
    await engine.groups.delete(outcome.value.id, [])


@pytest.mark.parametrize(
    ("operation", "act"),
    [
        ("create_thin", _create),
        ("create_snapshot", lambda e: _snapshot(e, "s")),
        ("remove", lambda e: _delete(e, "a")),
        ("activate", lambda e: _stage(e, "a")),
        ("change_tags", _group),
    ],
)
async def test_nothing_that_is_being_worked_on_is_one(
    rig: Rig, engine: Engine, operation: str, act: Act
) -> None:
    """At every step of every mutation, somebody who looks sees no orphan."""
    await engine.create("a")
    await engine.create("b")
    rig.machine.faults.clear()
    steps = [step for step in Step if step is not Step.HALF]
    seen = []
    for step in steps:
        held = rig.hold(operation, step)
        work = asyncio.create_task(_done(act, engine))
        reached = asyncio.create_task(held.reached.wait())
        await asyncio.wait({work, reached}, return_when=asyncio.FIRST_COMPLETED)
        if held.reached.is_set():
            seen.append(step)
            assert (await engine.collector.find()).orphans == ()
        reached.cancel()
        held.release.set()
        await work
        rig.machine.faults.clear()
        await engine.create("a")
    assert Step.STARTED in seen
    assert Step.DONE in seen


async def test_a_pool_that_cannot_be_asked_is_told(rig: Rig, engine: Engine) -> None:
    await strip(rig, (await engine.create("a")).lv_name)
    rig.machine.pool(VG, POOL).foreign_metadata_blocks = 10**9
    findings = await engine.collector.find()
    assert [orphan.kind for orphan in findings.orphans] == [Kind.LV]
    assert "takes no message" in findings.unlisted[f"{VG}/{POOL}"]


async def test_a_daemon_that_dies_removing_leaves_it_whole_or_gone(rig: Rig) -> None:
    async def prepare(engine: Engine) -> None:
        await engine.create("keep")
        await strip(rig, (await engine.create("a")).lv_name)
        lose_a_device(rig)

    async def remove_all(engine: Engine) -> None:
        for orphan in await orphans(engine):
            await engine.collector.remove(orphan.id)

    async with rig.start() as engine:
        await prepare(engine)
        number = len((await engine.collector.find()).orphans)
    assert number == 2
    for step in range(1, 20):
        try:
            await rig.dies(remove_all, step)
        except AssertionError:
            break  # all steps were tried
        async with rig.start() as engine:
            assert set(await engine.volumes()) == {"keep"}
            left = await orphans(engine)
            assert all(orphan.action for orphan in left)
            await remove_all(engine)
            assert await orphans(engine) == ()
            rig.assert_sound()
            await strip(rig, (await engine.create("a")).lv_name)
            lose_a_device(rig)
    else:
        raise AssertionError("it never came to an end")
    assert step > 3
