"""The one writer of a VG, on the simulated LVM: turns, coalescing, leaving, deadlines, stopping."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from contract.volumes.engine import Engine
from ebbd.errors import DeadlineExceeded, HostFailure, Unavailable, WrongState
from ebbd.host.protocols import Host
from ebbd.host.simulated.faults import Ending, Step
from ebbd.volumes import mutations
from ebbd.volumes.mutations import Mutation
from unit.volumes.rig import POOL, VG, Rig

MIB = 1024 * 1024


@pytest.fixture
async def engine(rig: Rig) -> AsyncIterator[Engine]:
    async with rig.start() as started:
        rig.machine.faults.clear()
        yield started


def make(host: Host, name: str, flow: str = "-") -> Mutation:
    return mutations.create(host.lvm, VG, POOL, name, size_bytes=4 * MIB, tags=(), flow=flow)


def drop(host: Host, *names: str, flow: str = "-") -> Mutation:
    return mutations.remove(host.lvm, VG, names, flow=flow)


def created(rig: Rig) -> list[str]:
    return [lv.name for lv in rig.machine.group(VG).volumes.values()]


@asynccontextmanager
async def first_one_held(rig: Rig, engine: Engine) -> AsyncIterator[None]:
    """A mutation runs and waits; what is submitted inside queues up behind it."""
    held = rig.hold("create_thin", Step.LISTED)
    first = asyncio.create_task(engine.store.mutate(make(engine.host, "first")))
    await held.reached.wait()
    try:
        yield
    finally:
        held.release.set()
        await first


async def queued(engine: Engine, *waiting: Mutation) -> list[asyncio.Task[None]]:
    tasks = [asyncio.create_task(engine.store.mutate(m)) for m in waiting]
    await asyncio.sleep(0)
    return tasks


async def test_flows_take_turns(rig: Rig, engine: Engine) -> None:
    """A burst of one tenant does not hold up another's single volume."""
    async with first_one_held(rig, engine):
        burst = [make(engine.host, f"burst{n}", "noisy") for n in range(6)]
        tasks = await queued(engine, *burst, make(engine.host, "quiet", "quiet"))
        tasks += await queued(engine, make(engine.host, "late", "late"))
    await asyncio.gather(*tasks)
    order = created(rig)
    assert order[:4] == ["first", "burst0", "quiet", "late"]
    assert order[4:] == [f"burst{n}" for n in range(1, 6)]


async def test_waiting_removals_of_all_flows_are_one_command(rig: Rig, engine: Engine) -> None:
    for name in "abc":
        await engine.store.mutate(make(engine.host, name))
    async with first_one_held(rig, engine):
        before = engine.host.lvm.command_lines
        removals = [drop(engine.host, name, flow=f"flow-{name}") for name in "abc"]
        tasks = await queued(engine, *removals)
    await asyncio.gather(*tasks)
    assert created(rig) == ["first"]
    assert engine.host.lvm.command_lines - before == 1
    # The lines that were emptied by it are served as before.
    await engine.store.mutate(make(engine.host, "after", "flow-b"))
    assert set(engine.store.group(VG).volumes) == {"first", "after"}


async def test_joined_removals_keep_to_one_command_lines_length(rig: Rig, engine: Engine) -> None:
    count = mutations.MOST_REMOVALS_AT_ONCE + 6
    for number in range(count):
        await engine.store.mutate(make(engine.host, f"v{number}"))
    async with first_one_held(rig, engine):
        before = engine.host.lvm.command_lines
        removals = [drop(engine.host, f"v{n}", flow=str(n % 3)) for n in range(count)]
        tasks = await queued(engine, *removals)
    await asyncio.gather(*tasks)
    assert engine.host.lvm.command_lines - before == 2
    assert created(rig) == ["first"]


async def test_one_of_joined_removals_fails_alone(rig: Rig, engine: Engine) -> None:
    for name in "abc":
        await engine.store.mutate(make(engine.host, name))
    await engine.host.lvm.activate(VG, "b")
    rig.machine.open_device(VG, "b")
    async with first_one_held(rig, engine):
        tasks = await queued(engine, *(drop(engine.host, name, flow=name) for name in "abc"))
    told = await asyncio.gather(*tasks, return_exceptions=True)
    assert [told[0], told[2]] == [None, None]
    assert isinstance(told[1], WrongState)
    assert created(rig) == ["b", "first"]
    assert set(engine.store.group(VG).volumes) == {"b", "first"}


async def test_a_caller_who_leaves_the_queue_takes_the_mutation_away(
    rig: Rig, engine: Engine
) -> None:
    async with first_one_held(rig, engine):
        left, stayed = await queued(engine, make(engine.host, "left"), make(engine.host, "stayed"))
        left.cancel()
        await asyncio.wait({left})
        assert left.cancelled()
    await stayed
    assert created(rig) == ["first", "stayed"]


async def test_a_caller_who_leaves_a_running_mutation_waits_for_its_end(
    rig: Rig, engine: Engine
) -> None:
    held = rig.hold("create_thin", Step.LISTED)
    caller = asyncio.create_task(engine.store.mutate(make(engine.host, "a")))
    await held.reached.wait()
    caller.cancel()
    await asyncio.sleep(0)
    assert not caller.done()
    held.release.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert created(rig) == ["a"]
    assert "a" in engine.store.group(VG).volumes
    rig.assert_sound()


async def test_leaving_at_any_moment_neither_stops_the_writer_nor_tears_a_mutation(
    rig: Rig, engine: Engine
) -> None:
    """Also in the moment between a mutation's turn and its start."""
    for turns in range(40):
        name = f"v{turns}"
        caller = asyncio.create_task(engine.store.mutate(make(engine.host, name)))
        for _ in range(turns):
            await asyncio.sleep(0)
        caller.cancel()
        await asyncio.wait({caller})
        async with asyncio.timeout(5):
            await engine.store.mutate(make(engine.host, f"{name}-next"))
        assert set(engine.store.group(VG).volumes) == set(created(rig))
        rig.assert_sound()


@pytest.mark.parametrize(
    ("step", "landed"),
    [
        (Step.STARTED, False),
        (Step.LISTED, False),
        (Step.SENT, True),
        (Step.BUMPED, True),
        (Step.DONE, True),
    ],
)
async def test_the_fate_of_a_killed_command_is_read_back(
    rig: Rig, engine: Engine, step: Step, landed: bool
) -> None:
    rig.machine.faults.stop("create_thin", step, ending=Ending.DEADLINE)
    [told] = await asyncio.gather(
        engine.store.mutate(make(engine.host, "a")), return_exceptions=True
    )
    if landed:
        assert told is None
    else:
        assert isinstance(told, DeadlineExceeded)
    rig.assert_sound()
    assert (created(rig) == ["a"]) == landed
    assert ("a" in engine.store.group(VG).volumes) == landed
    await engine.store.mutate(make(engine.host, "b"))
    await engine.store.mutate(drop(engine.host, "b"))
    rig.assert_sound()


@pytest.mark.parametrize("step", [Step.STARTED, Step.UNLISTED, Step.SENT, Step.BUMPED, Step.DONE])
async def test_the_fate_of_a_killed_removal(rig: Rig, engine: Engine, step: Step) -> None:
    await engine.store.mutate(make(engine.host, "a"))
    rig.machine.faults.stop("remove", step)
    [told] = await asyncio.gather(
        engine.store.mutate(drop(engine.host, "a")), return_exceptions=True
    )
    assert (told is None) == (step is not Step.STARTED)
    assert (created(rig) == []) == (step is not Step.STARTED)
    await engine.store.mutate(make(engine.host, "b"))
    rig.assert_sound()


async def test_a_vg_that_cannot_be_settled_is_closed_for_writes_until_it_can(
    rig: Rig, engine: Engine
) -> None:
    # A state that no cut command leaves, such as after a foreign vgcfgrestore.
    pool = rig.machine.pool(VG, POOL)
    pool.kernel_transaction_id -= 2
    with pytest.raises(Unavailable, match="could not be brought to a known state"):
        await engine.store.mutate(make(engine.host, "a"))
    lines = engine.host.lvm.command_lines
    with pytest.raises(Unavailable, match="ebb doctor"):
        await engine.store.mutate(make(engine.host, "b"))
    assert engine.host.lvm.command_lines == lines, "LVM is not even asked"
    pool.kernel_transaction_id += 2
    await engine.store.mutate(make(engine.host, "c"))
    assert set(engine.store.group(VG).volumes) == {"c"} == set(created(rig))
    rig.assert_sound()


async def test_a_refused_admission_runs_no_command(rig: Rig, engine: Engine) -> None:
    async def refuse() -> None:
        raise HostFailure("no")

    before = engine.host.lvm.command_lines
    asked = mutations.create(
        engine.host.lvm, VG, POOL, "a", size_bytes=MIB, tags=(), flow="-", admit=refuse
    )
    with pytest.raises(HostFailure, match="no"):
        await engine.store.mutate(asked)
    assert engine.host.lvm.command_lines == before
    assert created(rig) == []


async def test_stopping_ends_what_runs_and_refuses_what_waits(rig: Rig) -> None:
    held = rig.hold("create_thin", Step.LISTED)
    async with rig.start() as engine:
        runs = asyncio.create_task(engine.store.mutate(make(engine.host, "runs")))
        await held.reached.wait()
        [waits] = await queued(engine, make(engine.host, "waits"))
        asyncio.get_running_loop().call_soon(held.release.set)
    await runs
    with pytest.raises(Unavailable, match="stopping"):
        await waits
    with pytest.raises(Unavailable, match="stopping"):
        await engine.store.mutate(make(engine.host, "late"))
    assert created(rig) == ["runs"]
    rig.assert_sound()


async def test_a_defect_is_told_to_its_caller_and_ends_the_daemon(rig: Rig) -> None:
    """Not left waiting for ever, and nothing is written on top of it."""

    async def defect() -> int:
        raise ZeroDivisionError

    tasks: list[asyncio.Task[None]] = []

    async def daemon() -> None:
        async with rig.start() as engine:
            broken = make(engine.host, "a")
            asked = Mutation(VG, "-", defect, broken.change, broken.landed)
            tasks.extend(await queued(engine, asked, make(engine.host, "b", "other")))
            await asyncio.wait(tasks)
            await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup) as ended:
        await asyncio.wait_for(daemon(), timeout=5)
    assert ended.group_contains(ZeroDivisionError)
    assert isinstance(tasks[0].exception(), ZeroDivisionError)
    assert isinstance(tasks[1].exception(), Unavailable)


async def test_the_bodys_own_failure_goes_up_as_it_is(rig: Rig) -> None:
    with pytest.raises(HostFailure, match="the socket"):
        async with rig.start():
            raise HostFailure("the socket")
