"""Group snapshots: all or none, at one instant or not at all."""

import asyncio

import pytest
from contract.volumes.engine import MIB, Engine
from ebbd.errors import (
    Conflict,
    DeadlineExceeded,
    EbbError,
    InvalidInput,
    NoRoom,
    NotFound,
    WrongState,
)
from ebbd.host.simulated.faults import Step
from ebbd.host.values import Consumer
from ebbd.model import Created, Unchanged, Volume
from ebbd.volumes.mutations import MOST_REMOVALS_AT_ONCE
from unit.volumes.rig import VG, Rig

APP = Consumer("/pods/app", (10,), freezable=True)
SHELL = Consumer("/", (20,), freezable=False)


async def used(rig: Rig, engine: Engine, *names: str, consumer: Consumer = APP) -> list[Volume]:
    """Mounted volumes with a file, each used by this consumer."""
    made = []
    for name in names:
        volume = await engine.create(name)
        path = await engine.stage(volume)
        rig.files.write_file(path, "f", MIB, f"of {name}")
        rig.machine.use(VG, volume.lv_name, consumer)
        made.append(volume)
    return made


def ids(volumes: list[Volume]) -> list[str]:
    return [v.id for v in volumes]


def lvs(rig: Rig) -> set[str]:
    return set(rig.machine.group(VG).volumes)


async def test_made_once_found_again(rig: Rig, engine: Engine) -> None:
    volumes = await used(rig, engine, "a", "b")
    made = await engine.groups.create("g", ids(volumes))
    assert isinstance(made, Created)
    group = made.value
    assert {s.volume_id for s in group.snapshots} == set(ids(volumes))
    assert {s.group for s in group.snapshots} == {group.id}
    assert len({s.created_ms for s in group.snapshots}) == 1
    assert await engine.groups.create("g", ids(volumes[::-1])) == Unchanged(group)
    assert await engine.groups.find(group.id, [s.id for s in group.snapshots]) == group
    restored = await engine.create("r", source=group.snapshots[0].id)
    path = await engine.stage(restored)
    assert rig.files.read_file(path, "f") == f"of {group.snapshots[0].volume_name}"


async def test_other_volumes_under_the_name(rig: Rig, engine: Engine) -> None:
    volumes = await used(rig, engine, "a", "b", "c")
    group = (await engine.groups.create("g", ids(volumes[:2]))).value
    for others in (ids(volumes), ids(volumes[1:])):
        with pytest.raises(Conflict, match="other volumes"):
            await engine.groups.create("g", others)
    assert await engine.groups.find(group.id, []) == group


async def test_an_earlier_volume_under_the_name(engine: Engine) -> None:
    volume = await engine.create("a")
    await engine.groups.create("g", [volume.id])
    await engine.lifecycle.delete(volume.id)
    await engine.create("a")
    with pytest.raises(Conflict, match="earlier volume"):
        await engine.groups.create("g", [volume.id])


@pytest.mark.parametrize(
    ("picked", "error"),
    [([], InvalidInput), (["a", "a"], InvalidInput), (["a", "none"], NotFound)],
)
async def test_refused_before_anything_is_done(
    rig: Rig, engine: Engine, picked: list[str], error: type[EbbError]
) -> None:
    await engine.create("a")
    before, lines = lvs(rig), engine.host.lvm.command_lines
    with pytest.raises(error):
        await engine.groups.create("g", [engine.store.naming.volume_id(n) for n in picked])
    assert (lvs(rig), engine.host.lvm.command_lines) == (before, lines)


async def test_the_consumers_stand_still_meanwhile(rig: Rig, engine: Engine) -> None:
    volumes = await used(rig, engine, "a", "b")
    held = rig.hold("create_snapshot", Step.SENT, nth=2)
    creating = asyncio.create_task(engine.groups.create("g", ids(volumes)))
    await held.reached.wait()
    assert rig.machine.frozen == {APP.path}
    assert not (await engine.store.catalog()).groups
    assert not await engine.snapshots.select("", ""), "no member counts before the commit"
    held.release.set()
    await creating
    assert not rig.machine.frozen
    assert len(await engine.snapshots.select("", "")) == 2


async def test_one_volume_needs_nobody_to_stand_still(rig: Rig, engine: Engine) -> None:
    volumes = await used(rig, engine, "a", consumer=SHELL)
    assert isinstance(await engine.groups.create("g", ids(volumes)), Created)
    assert "frozen" not in {operation for operation, _ in rig.machine.faults.passed}


async def test_who_cannot_stand_still_means_no_group(rig: Rig, engine: Engine) -> None:
    volumes = await used(rig, engine, "a") + await used(rig, engine, "b", consumer=SHELL)
    before = lvs(rig)
    with pytest.raises(WrongState, match="cannot be frozen"):
        await engine.groups.create("g", ids(volumes))
    assert lvs(rig) == before
    assert not rig.machine.frozen


@pytest.mark.parametrize("nth", [1, 2, 3])
@pytest.mark.parametrize("step", [Step.STARTED, Step.LISTED, Step.SUSPENDED])
async def test_one_fails_none_stays(rig: Rig, engine: Engine, nth: int, step: Step) -> None:
    volumes = await used(rig, engine, "a", "b", "c")
    before = lvs(rig)
    rig.machine.faults.stop("create_snapshot", step, nth=nth)
    with pytest.raises(DeadlineExceeded):
        await engine.groups.create("g", ids(volumes))
    assert lvs(rig) == before
    rig.assert_sound()
    for volume in volumes:
        path = engine.path(f"stage-{volume.lv_name}")
        rig.files.write_file(path, "after", MIB, "still writable")
    assert isinstance(await engine.groups.create("g", ids(volumes)), Created)


@pytest.mark.parametrize("step", [Step.STARTED, Step.DONE])
async def test_the_commits_fate_decides(rig: Rig, engine: Engine, step: Step) -> None:
    volumes = await used(rig, engine, "a", "b")
    before = lvs(rig)
    rig.machine.faults.stop("change_tags", step)
    [told] = await asyncio.gather(engine.groups.create("g", ids(volumes)), return_exceptions=True)
    if step is Step.DONE:
        assert isinstance(told, Created)
        assert len(lvs(rig)) == len(before) + 2
    else:
        assert isinstance(told, DeadlineExceeded)
        assert lvs(rig) == before


async def test_what_could_not_be_undone_is_swept_by_the_next_try(rig: Rig, engine: Engine) -> None:
    volumes = await used(rig, engine, "a", "b")
    before = lvs(rig)
    rig.machine.faults.fail("create_snapshot", NoRoom("no"), nth=2)
    rig.machine.faults.fail("remove", NoRoom("nor this"))
    with pytest.raises(NoRoom, match="no") as refused:
        await engine.groups.create("g", ids(volumes))
    assert "undoing it failed too" in refused.value.__notes__[0]
    assert len(lvs(rig)) == len(before) + 1
    assert not await engine.snapshots.select("", "")
    assert isinstance(await engine.groups.create("g", ids(volumes)), Created)
    assert len(lvs(rig)) == len(before) + 2


async def test_a_deletion_cut_short_is_finished_by_the_next(rig: Rig, engine: Engine) -> None:
    volumes = await used(rig, engine, "a", "b")
    before = lvs(rig)
    group = (await engine.groups.create("g", ids(volumes))).value
    rig.machine.faults.fail("remove", NoRoom("no"))
    with pytest.raises(NoRoom):
        await engine.groups.delete(group.id, [])
    assert not (await engine.store.catalog()).groups
    assert not await engine.groups.delete(group.id, [])
    assert lvs(rig) == before


async def test_no_name_means_anothers_member(rig: Rig, engine: Engine) -> None:
    """Neither a snapshot's nor another group's; and undoing one takes nothing of the other."""
    volumes = await used(rig, engine, "b/c", "c")
    alone = [
        (await engine.snapshots.create(name, volumes[1].id)).value
        for name in ("group/a/b/c", "a/b/c", "group/a/b/b/c")
    ]
    first = (await engine.groups.create("a", [volumes[0].id])).value
    second = (await engine.groups.create("a/b", [volumes[1].id])).value
    rig.machine.faults.fail("create_snapshot", NoRoom("no"), nth=2)
    with pytest.raises(NoRoom):
        await engine.groups.create("a/b/c", ids(volumes))
    listed = {s.id for s in await engine.snapshots.select("", "")}
    assert listed == {s.id for s in (*alone, *first.snapshots, *second.snapshots)}


async def test_a_thaw_that_comes_too_early_makes_no_group(rig: Rig) -> None:
    """Snapshots on both sides of a thaw are no instant: given up before the watchdog acts."""
    async with rig.start(freeze_s=0) as engine:
        volumes = await used(rig, engine, "a", "b")
        before = lvs(rig)
        with pytest.raises(DeadlineExceeded, match="stood still"):
            await engine.groups.create("g", ids(volumes))
        assert lvs(rig) == before
        rig.assert_sound()


async def test_leaving_during_a_group_lets_it_end(rig: Rig, engine: Engine) -> None:
    volumes = await used(rig, engine, "a", "b")
    held = rig.hold("create_snapshot", Step.SENT)
    creating = asyncio.create_task(engine.groups.create("g", ids(volumes)))
    await held.reached.wait()
    creating.cancel()
    held.release.set()
    with pytest.raises(asyncio.CancelledError):
        await creating
    assert isinstance(await engine.groups.create("g", ids(volumes)), Unchanged)
    assert not rig.machine.frozen


async def test_members_go_with_their_group(rig: Rig, engine: Engine) -> None:
    volumes = await used(rig, engine, "a", "b")
    alone = (await engine.snapshots.create("s", volumes[0].id)).value
    group = (await engine.groups.create("g", ids(volumes))).value
    member = group.snapshots[0]
    with pytest.raises(InvalidInput, match="belongs to the group"):
        await engine.snapshots.delete(member.id)
    for wrong in ([member.id], [alone.id], [s.id for s in group.snapshots] + [alone.id]):
        with pytest.raises(InvalidInput, match="not those of the group"):
            await engine.groups.delete(group.id, wrong)
        with pytest.raises(InvalidInput):
            await engine.groups.find(group.id, wrong)
    assert await engine.groups.delete(group.id, [s.id for s in group.snapshots])
    assert not await engine.groups.delete(group.id, [])
    assert not await engine.groups.delete("nonsense", [])
    with pytest.raises(NotFound):
        await engine.groups.find(group.id, [])
    assert await engine.snapshots.select("", "") == [alone]


async def test_a_group_larger_than_one_line_of_lvm(rig: Rig, engine: Engine) -> None:
    volumes = [await engine.create(f"v{n}") for n in range(MOST_REMOVALS_AT_ONCE + 2)]
    before = lvs(rig)
    group = (await engine.groups.create("g", ids(volumes))).value
    lines = engine.host.lvm.command_lines
    assert await engine.groups.delete(group.id, [])
    assert engine.host.lvm.command_lines - lines == 3
    assert lvs(rig) == before
