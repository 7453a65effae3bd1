"""The daemon dies after every single step of every mutation; the next one makes good.

First the operation runs whole and its steps are counted; then, on a fresh machine each, it dies at
step 1, 2, 3 …. The daemon started after it (on the same kernel, or on a node that was rebooted)
must come up by itself, keep what was there before, show nothing half-made, and answer the repeated
request as if nothing had happened.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from contract.volumes.engine import MIB, Engine
from ebbd.host.simulated.filesystems import SimulatedFilesystems
from ebbd.model import Volume
from ebbd.volumes import records, tags
from ebbd.volumes.names import head_lv
from unit.volumes.rig import VG, Rig

KEPT = "written before it died"


@dataclass(frozen=True)
class Scenario:
    """`begin` happens in peace, `act` is what dies and is repeated, `done` holds at its end."""

    begin: Callable[[Engine], Awaitable[object]]
    act: Callable[[Engine], Awaitable[object]]
    done: Callable[[Engine], Awaitable[bool]]
    gone: bool = False  # does `act` take the kept volume away?


async def staged_with_data(engine: Engine) -> None:
    """A mounted volume with a file, and a snapshot of it: what must survive everything."""
    kept = await engine.create("kept")
    path = await engine.stage(kept)
    files(engine).write_file(path, "f", MIB, KEPT)
    await engine.snapshots.create("kept-snap", kept.id)


def files(engine: Engine) -> SimulatedFilesystems:
    """The simulated house's own verbs: what a consumer does."""
    assert isinstance(engine.host.filesystems, SimulatedFilesystems)
    return engine.host.filesystems


async def by_name(engine: Engine, name: str) -> Volume:
    return (await engine.volumes())[name]


def identity(engine: Engine, name: str) -> str:
    return engine.store.naming.volume_id(name)


async def make_copy(engine: Engine, size_mib: int) -> None:
    source = engine.store.naming.snapshot_id("kept-snap")
    await engine.create("copy", size_mib, source=source)


async def with_copy(engine: Engine, size_mib: int) -> None:
    await staged_with_data(engine)
    await make_copy(engine, size_mib)


async def stage_copy(engine: Engine) -> None:
    await engine.stage(await by_name(engine, "copy"))


async def copy_is_whole(engine: Engine, size_mib: int) -> bool:
    copy = await by_name(engine, "copy")
    path = engine.path(f"stage-{copy.lv_name}")
    used = await engine.host.filesystems.usage(path)
    return (
        files(engine).read_file(path, "f") == KEPT
        and copy.lv_bytes == copy.size_bytes == size_mib * MIB
        and used.total_bytes > (size_mib - 8) * MIB
        and copy.prepare is None
    )


async def with_generations(engine: Engine) -> None:
    """A volume that was rewound twice: three generations, as the timeline will make them."""
    await staged_with_data(engine)
    volume = await engine.create("old")
    lvm = engine.host.lvm
    digest = volume.id.rpartition("-")[2]
    for generation in (2, 3):
        lv = engine.store.lv(VG, head_lv(digest, generation - 1))
        name = head_lv(digest, generation)
        await lvm.create_snapshot(VG, lv.name, name, tags=sorted(lv.tags), read_only=False)
        await engine.store.catalog()
    assert len((await by_name(engine, "old")).older_lvs) == 2


async def with_past(engine: Engine) -> None:
    """A staged volume beside the kept one: it says `now`, its snapshot says `then`."""
    await staged_with_data(engine)
    past = await engine.create("past")
    path = await engine.stage(past)
    files(engine).write_file(path, "f", MIB, "then")
    await engine.snapshots.create("past-snap", past.id)
    files(engine).write_file(path, "f", MIB, "now")


async def rewind_past(engine: Engine) -> None:
    snapshot = engine.store.naming.snapshot_id("past-snap")
    await engine.rewinding.rewind(identity(engine, "past"), snapshot, from_generation=1)


async def past_says(engine: Engine, text: str, generation: int) -> bool:
    """Whatever was mounted where: the next publish shows the head."""
    past = await by_name(engine, "past")
    path = engine.path(f"stage-ebb.{past.id.rpartition('-')[2]}.1")
    target = await engine.publish(past, "pod", staged=path)
    found = files(engine).read_file(target, "f")
    await engine.staging.unpublish(past.id, target)
    return (found, past.generation) == (text, generation)


async def rewound(engine: Engine) -> None:
    await with_past(engine)
    await rewind_past(engine)


async def three_volumes(engine: Engine) -> None:
    await staged_with_data(engine)
    for name in ("a", "b"):
        await engine.create(name)


def members(engine: Engine) -> list[str]:
    return [identity(engine, name) for name in ("kept", "a", "b")]


async def make_group(engine: Engine) -> None:
    await engine.groups.create("g", members(engine))


async def with_group(engine: Engine) -> None:
    await three_volumes(engine)
    await make_group(engine)


async def group_is_whole(engine: Engine) -> bool:
    groups = (await engine.store.catalog()).groups
    return [len(group.snapshots) for group in groups.values()] == [3]


async def no_group_lvs(engine: Engine) -> bool:
    lvs = engine.store.group(VG).volumes.values()
    tagged = [lv.name for lv in lvs if records.GROUP in tags.read(lv.tags)]
    return not (await engine.store.catalog()).groups and not tagged


async def grow_kept(engine: Engine) -> None:
    await engine.lifecycle.expand(identity(engine, "kept"), 128 * MIB, 0)
    await engine.observer.grow(identity(engine, "kept"), "")


async def kept_is_larger(engine: Engine) -> bool:
    return (await by_name(engine, "kept")).lv_bytes == 128 * MIB


async def stage_blank(engine: Engine) -> None:
    volume = await by_name(engine, "blank")
    path = await engine.stage(volume)
    await engine.publish(volume, "pod", staged=path)


async def blank_is_ready(engine: Engine) -> bool:
    volume = await by_name(engine, "blank")
    return (
        volume.prepare is None
        and (await engine.host.filesystems.usage(engine.path("pod"))).total_bytes > 0
    )


async def take_down(engine: Engine) -> None:
    kept = await by_name(engine, "kept")
    await engine.staging.unstage(kept.id, engine.path(f"stage-{kept.lv_name}"))


async def begin_blank(engine: Engine) -> None:
    await staged_with_data(engine)
    await engine.create("blank")


async def holds_volume(engine: Engine, name: str, size_mib: int) -> bool:
    return (await by_name(engine, name)).size_bytes == size_mib * MIB


async def lacks_volume(engine: Engine, name: str) -> bool:
    digest = identity(engine, name).rpartition("-")[2]
    lvs = engine.store.group(VG).volumes
    return name not in await engine.volumes() and not [lv for lv in lvs if digest in lv]


async def holds_snapshot(engine: Engine, name: str) -> bool:
    found = await engine.snapshots.find(name)
    return found.volume_name == "kept"


async def lacks_snapshot(engine: Engine, name: str) -> bool:
    return engine.store.naming.snapshot_id(name) not in (await engine.store.catalog()).snapshots


async def holds_intent(engine: Engine, intent: dict[str, str]) -> bool:
    return (await by_name(engine, "kept")).intent == intent


async def is_attached(engine: Engine) -> bool:
    return (await by_name(engine, "kept")).attached == "rw"


async def kept_is_down(engine: Engine) -> bool:
    return await engine.devices.info(await by_name(engine, "kept")) is None


async def assert_kept(engine: Engine) -> None:
    """What was acknowledged before is there, with its bytes, and no half-made thing beside it."""
    catalog = await engine.store.catalog()
    assert not catalog.strays
    assert not [v for v in catalog.volumes.values() if v.deleting]
    kept = await by_name(engine, "kept")
    path = await engine.stage(kept)
    assert files(engine).read_file(path, "f") == KEPT
    committed = {g.id for g in catalog.groups.values()}
    assert {s.group for s in catalog.snapshots.values()} <= {"", *committed}
    for lv in engine.store.group(VG).volumes.values():
        group = tags.read(lv.tags).get(records.GROUP)
        assert group is None or engine.store.naming.id_of("g", group) in committed


async def assert_pool_works(engine: Engine) -> None:
    """No later create or removal meets what the dead one left."""
    await engine.create("probe")
    await engine.lifecycle.delete(identity(engine, "probe"))


SCENARIOS = {
    "create": Scenario(
        staged_with_data,
        lambda e: e.create("new", 32),
        lambda e: holds_volume(e, "new", 32),
    ),
    "create raw": Scenario(
        staged_with_data,
        lambda e: e.create("new", 32, block=True),
        lambda e: holds_volume(e, "new", 32),
    ),
    "snapshot": Scenario(
        staged_with_data,
        lambda e: e.snapshots.create("again", identity(e, "kept")),
        lambda e: holds_snapshot(e, "again"),
    ),
    "delete snapshot": Scenario(
        staged_with_data,
        lambda e: e.snapshots.delete(e.store.naming.snapshot_id("kept-snap")),
        lambda e: lacks_snapshot(e, "kept-snap"),
    ),
    "clone": Scenario(
        staged_with_data,
        lambda e: e.create("twin", source=identity(e, "kept")),
        lambda e: holds_volume(e, "twin", 64),
    ),
    "restore": Scenario(
        staged_with_data, lambda e: make_copy(e, 64), lambda e: holds_volume(e, "copy", 64)
    ),
    "restore larger": Scenario(
        staged_with_data, lambda e: make_copy(e, 96), lambda e: holds_volume(e, "copy", 96)
    ),
    "delete": Scenario(
        begin_blank,
        lambda e: e.lifecycle.delete(identity(e, "blank")),
        lambda e: lacks_volume(e, "blank"),
    ),
    "delete generations": Scenario(
        with_generations,
        lambda e: e.lifecycle.delete(identity(e, "old")),
        lambda e: lacks_volume(e, "old"),
    ),
    "expand": Scenario(staged_with_data, grow_kept, kept_is_larger),
    "modify": Scenario(
        staged_with_data,
        lambda e: e.lifecycle.modify(identity(e, "kept"), {"iops": "500", "priority": "gold"}),
        lambda e: holds_intent(e, {"iops": "500", "priority": "gold"}),
    ),
    "attach": Scenario(
        staged_with_data,
        lambda e: e.attachment.attach(identity(e, "kept"), "node-1", read_only=False),
        is_attached,
    ),
    "stage blank": Scenario(begin_blank, stage_blank, blank_is_ready),
    "stage clone": Scenario(lambda e: with_copy(e, 64), stage_copy, lambda e: copy_is_whole(e, 64)),
    "stage larger clone": Scenario(
        lambda e: with_copy(e, 96), stage_copy, lambda e: copy_is_whole(e, 96)
    ),
    "unstage": Scenario(staged_with_data, take_down, kept_is_down, gone=True),
    "rewind": Scenario(with_past, rewind_past, lambda e: past_says(e, "then", 2)),
    "undo": Scenario(
        rewound,
        lambda e: e.rewinding.undo(identity(e, "past"), from_generation=2),
        lambda e: past_says(e, "now", 3),
    ),
    "group": Scenario(three_volumes, make_group, group_is_whole),
    "delete group": Scenario(
        with_group,
        lambda e: e.groups.delete(e.store.naming.group_id("g"), []),
        no_group_lvs,
    ),
}


@pytest.mark.parametrize("rebooted", [False, True], ids=["restarted", "rebooted"])
@pytest.mark.parametrize("name", SCENARIOS)
async def test_dying_at_every_step(name: str, rebooted: bool, tmp_path: Path) -> None:
    scenario = SCENARIOS[name]
    whole = await begun(scenario, tmp_path / "whole")
    steps = await whole.steps(scenario.act)
    assert len(steps) >= 2, "nothing to die in"
    for number, step in enumerate(steps, start=1):
        rig = await begun(scenario, tmp_path / str(number))
        await rig.dies(scenario.act, number)
        if rebooted:
            rig.machine.reboot()
        async with rig.start() as engine:
            where = f"{name}, died after {step}, recovery: {engine.said}"
            rig.assert_sound()
            if not scenario.gone:
                await assert_kept(engine)
            await scenario.act(engine)
            assert await scenario.done(engine), where
            await assert_kept(engine)
            await assert_pool_works(engine)
            rig.assert_sound()


@pytest.mark.parametrize(
    ("name", "deaths"),
    [("create", 4), ("snapshot", 4), ("delete generations", 10), ("delete group", 1)],
)
async def test_dying_again_while_recovering(name: str, deaths: int, tmp_path: Path) -> None:
    """`deaths`: how often at least it died twice, or the test would have tested nothing."""
    scenario = SCENARIOS[name]
    whole = await begun(scenario, tmp_path / "whole")
    died = 0
    for number in range(1, len(await whole.steps(scenario.act)) + 1):
        for again in range(1, 30):
            rig = await begun(scenario, tmp_path / f"{number}-{again}")
            await rig.dies(scenario.act, number)
            if not await rig.dies_starting(again):
                break
            died += 1
            async with rig.start() as engine:
                rig.assert_sound()
                await assert_kept(engine)
                await scenario.act(engine)
                assert await scenario.done(engine)
                await assert_pool_works(engine)
        else:
            pytest.fail("recovery takes more than thirty steps")
    assert died >= deaths


async def begun(scenario: Scenario, directory: Path) -> Rig:
    rig = Rig(directory)
    async with rig.start() as engine:
        await scenario.begin(engine)
    return rig
