"""What a killed LVM leaves behind, state by state, and what brings the pool back."""

import asyncio

import pytest
from ebbd.errors import CommandFailed, DeadlineExceeded, EbbError, Unavailable
from ebbd.host import commits
from ebbd.host.simulated.faults import Crash, Ending, Step
from unit.simulated.bench import GIB, POOL, VG, Bench, make_bench

ENDINGS = pytest.mark.parametrize("ending", Ending)


def raised(ending: Ending) -> type[BaseException]:
    return Crash if ending is Ending.CRASH else DeadlineExceeded


async def test_nothing_armed_nothing_happens(bench: Bench) -> None:
    before = (await bench.group()).seqno
    assert await bench.create() == commits.CREATE_THIN
    assert (await bench.group()).seqno == before + commits.CREATE_THIN
    assert [step for _, step in bench.machine.faults.passed] == [
        Step.STARTED,
        Step.LISTED,
        Step.SENT,
        Step.BUMPED,
        Step.DONE,
    ]


@ENDINGS
async def test_killed_before_it_began(bench: Bench, ending: Ending) -> None:
    before = await bench.group()
    bench.machine.faults.stop("create_thin", Step.STARTED, ending=ending)
    with pytest.raises(raised(ending)):
        await bench.create()
    assert await bench.group() == before


@ENDINGS
async def test_listed_but_never_made(bench: Bench, ending: Ending) -> None:
    bench.machine.faults.stop("create_thin", Step.LISTED, ending=ending)
    with pytest.raises(raised(ending)):
        await bench.create()
    assert (await bench.group()).volumes["v1"].tags == {"t"}
    assert (await bench.pool()).pending == ("v1",)
    assert await bench.gap() == 1
    assert not await bench.known("v1")
    with pytest.raises(CommandFailed, match="No data available"):
        await bench.host.lvm.activate(VG, "v1")


async def test_what_was_listed_only_is_removed_and_the_pool_is_whole(bench: Bench) -> None:
    bench.machine.faults.stop("create_thin", Step.LISTED)
    with pytest.raises(DeadlineExceeded):
        await bench.create()
    await bench.host.lvm.remove(VG, ["v1"])
    assert (await bench.group()).volumes == {}
    assert (await bench.pool()).pending == ()
    assert await bench.gap() == 0
    await bench.create("v2")
    await bench.host.lvm.activate(VG, "v2")


async def test_the_next_command_makes_what_was_pending_later_than_asked(bench: Bench) -> None:
    await bench.create("v1")
    await bench.host.lvm.activate(VG, "v1")
    device = bench.machine.device(bench.host.blockdev.lv_device(VG, "v1"))
    device.write(0, 1, "then")
    bench.machine.faults.stop("create_snapshot", Step.LISTED)
    with pytest.raises(DeadlineExceeded):
        await bench.snapshot()
    device.write(0, 1, "now")
    seqno = (await bench.group()).seqno
    assert await bench.create("v2") == commits.CREATE_THIN
    assert (await bench.group()).seqno == seqno + commits.CREATE_THIN
    await bench.host.lvm.activate(VG, "s1")
    late = bench.machine.device(bench.host.blockdev.lv_device(VG, "s1"))
    assert late.read(0) == "now"


@ENDINGS
async def test_a_snapshot_sent_but_not_counted_jams_the_pool(bench: Bench, ending: Ending) -> None:
    await bench.create("v1")
    bench.machine.faults.stop("create_snapshot", Step.SENT, ending=ending)
    with pytest.raises(raised(ending)):
        await bench.snapshot("v1", "s1")
    assert await bench.known("s1")
    assert await bench.gap() == 1
    for attempt in (
        bench.create("v2"),
        bench.snapshot("v1", "s2"),
        bench.host.lvm.remove(VG, ["v1"]),
        bench.host.lvm.remove(VG, ["s1"]),
        bench.lvm.create_thin(VG, POOL, "v3", size_bytes=GIB, tags=[]),
    ):
        with pytest.raises(Unavailable, match="File exists"):
            await attempt
    assert set((await bench.group()).volumes) == {"v1", "s1"}


async def test_an_empty_volume_sent_but_not_counted_heals_itself(bench: Bench) -> None:
    bench.machine.faults.stop("create_thin", Step.SENT)
    with pytest.raises(DeadlineExceeded):
        await bench.create("v1")
    assert await bench.known("v1")
    assert await bench.gap() == 1
    await bench.create("v2")
    assert await bench.gap() == 0
    await bench.host.lvm.activate(VG, "v1")


async def test_a_jammed_attempt_resumes_the_origin(bench: Bench) -> None:
    await bench.create("v1")
    await bench.host.lvm.activate(VG, "v1")
    bench.machine.faults.stop("create_snapshot", Step.SENT)
    with pytest.raises(DeadlineExceeded):
        await bench.snapshot()
    assert (await bench.host.dm.active(VG))["v1"].suspended
    with pytest.raises(Unavailable):
        await bench.create("v2")
    assert not (await bench.host.dm.active(VG))["v1"].suspended


async def test_ids_of_removed_volumes_come_back(bench: Bench) -> None:
    await bench.create("v1")
    await bench.create("v2")
    first = (await bench.group()).volumes["v2"].device_id
    await bench.host.lvm.remove(VG, ["v2"])
    await bench.create("v3")
    assert (await bench.group()).volumes["v3"].device_id == first


async def test_the_transaction_id_frees_a_jammed_pool(bench: Bench) -> None:
    await bench.create("v1")
    bench.machine.faults.stop("create_snapshot", Step.SENT)
    with pytest.raises(DeadlineExceeded):
        await bench.snapshot("v1", "s1")
    kernel, ours = (await bench.status()).transaction_id, (await bench.pool()).transaction_id
    await bench.host.dm.set_transaction_id(VG, POOL, current=kernel, new=ours)
    await bench.create("v2")
    await bench.host.lvm.activate(VG, "s1")
    assert (await bench.pool()).pending == ()
    assert await bench.gap() == 0


async def test_counted_but_not_noted_mends_itself(bench: Bench) -> None:
    bench.machine.faults.stop("create_thin", Step.BUMPED)
    with pytest.raises(DeadlineExceeded):
        await bench.create("v1")
    assert (await bench.pool()).pending == ("v1",)
    assert await bench.gap() == 0
    await bench.host.lvm.activate(VG, "v1")
    await bench.create("v2")
    assert (await bench.pool()).pending == ()


async def test_done_but_the_answer_is_lost(bench: Bench) -> None:
    bench.machine.faults.stop("create_thin", Step.DONE)
    with pytest.raises(DeadlineExceeded):
        await bench.create("v1")
    assert await bench.known("v1")
    assert (await bench.gap(), (await bench.pool()).pending) == (0, ())


@pytest.mark.parametrize(
    ("step", "made"), [(Step.SUSPENDED, False), (Step.SENT, True), (Step.BUMPED, True)]
)
async def test_a_killed_snapshot_leaves_its_origin_suspended(
    bench: Bench, step: Step, made: bool
) -> None:
    await bench.create()
    await bench.host.lvm.activate(VG, "v1")
    bench.machine.faults.stop("create_snapshot", step)
    with pytest.raises(DeadlineExceeded):
        await bench.snapshot()
    assert await bench.known("s1") == made
    assert (await bench.host.dm.active(VG))["v1"].suspended
    device = bench.machine.device(bench.host.blockdev.lv_device(VG, "v1"))
    with pytest.raises(DeadlineExceeded, match="suspended"):
        device.write(0, 1, "x")
    await bench.host.dm.resume(VG, "v1")
    device.write(0, 1, "x")


async def test_a_removal_killed_in_the_middle_is_finished_by_the_next(bench: Bench) -> None:
    await bench.create("v1")
    await bench.create("v2")  # keeps the id of v1 from coming back at once
    device_id = (await bench.group()).volumes["v1"].device_id
    assert device_id is not None
    bench.machine.faults.stop("remove", Step.UNLISTED)
    with pytest.raises(DeadlineExceeded):
        await bench.host.lvm.remove(VG, ["v1"])
    assert set((await bench.group()).volumes) == {"v2"}
    assert (await bench.pool()).pending == ()
    assert await bench.gap() == 1
    assert await bench.host.dm.pool_has(VG, POOL, device_id)
    await bench.create("v3")
    assert not await bench.host.dm.pool_has(VG, POOL, device_id)
    assert await bench.gap() == 0


async def test_removals_follow_the_vgs_order_not_the_lines(bench: Bench) -> None:
    for name in ("v1", "v2", "v3"):
        await bench.create(name)
    bench.machine.faults.stop("remove", Step.DONE, nth=2)
    with pytest.raises(DeadlineExceeded):
        await bench.host.lvm.remove(VG, ["v3", "v2", "v1"])
    assert set((await bench.group()).volumes) == {"v3"}


async def test_a_deadline_takes_its_time_and_a_crash_none(bench: Bench) -> None:
    bench.machine.faults.stop("create_thin", Step.LISTED)
    with pytest.raises(DeadlineExceeded, match="60 s"):
        await bench.create()
    assert bench.clock.slept_s == [60]
    bench.machine.faults.stop("remove", Step.STARTED, ending=Ending.CRASH)
    with pytest.raises(Crash):
        await bench.host.lvm.remove(VG, ["v1"])
    assert bench.clock.slept_s == [60]


async def test_slow_commands_sleep_and_too_slow_ones_are_killed(bench: Bench) -> None:
    bench.machine.faults.latency_s |= {"*": 0.25, "create_thin": 61}
    with pytest.raises(DeadlineExceeded):
        await bench.create()
    assert (await bench.group()).volumes == {}
    bench.machine.faults.latency_s["create_thin"] = 60
    await bench.create()
    await bench.host.lvm.activate(VG, "v1")
    assert bench.clock.slept_s == [60, 60, 0.25]


async def test_a_refusal_changes_nothing(bench: Bench) -> None:
    before = await bench.group()
    bench.machine.faults.fail("create_thin", CommandFailed(("lvcreate",), 5, "no"), nth=2)
    await bench.create("v1")
    with pytest.raises(CommandFailed):
        await bench.create("v2")
    await bench.create("v3")
    assert set((await bench.group()).volumes) == {"v1", "v3"}
    assert before.volumes == {}


async def test_a_held_command_is_half_done_until_it_is_released(bench: Bench) -> None:
    held = bench.machine.faults.hold("create_thin", Step.LISTED)
    creating = asyncio.create_task(bench.create("v1"))
    await held.reached.wait()
    assert (await bench.pool()).pending == ("v1",)
    waiting = asyncio.create_task(bench.lvm.create_thin(VG, POOL, "v2", size_bytes=GIB, tags=[]))
    await asyncio.sleep(0)
    assert set((await bench.group()).volumes) == {"v1"}  # LVM's own lock keeps the other out
    held.release.set()
    assert set(await asyncio.gather(creating, waiting)) == {commits.CREATE_THIN}
    assert set((await bench.group()).volumes) == {"v1", "v2"}


async def test_the_daemon_can_die_at_every_step_and_lvm_survives(bench: Bench) -> None:
    """Whatever the step, mending as the facts say leaves a pool that works."""

    async def life(one: Bench) -> None:
        await one.create("v1")
        await one.host.lvm.activate(VG, "v1")
        await one.snapshot()
        await one.host.lvm.deactivate(VG, "v1")
        await one.host.lvm.remove(VG, ["v1"])

    await life(bench)
    steps = list(bench.machine.faults.passed)
    assert len(steps) > 15
    for number, at in enumerate(steps, start=1):
        one = await make_bench(bench.directory)
        one.machine.faults.crash_at(number)
        with pytest.raises(Crash, match=at[0]):
            await life(one)
        assert one.machine.faults.passed == steps[:number]
        one.machine.faults.clear()
        await mend(one)
        await one.create("again")
        assert await one.gap() == 0
        assert (await one.pool()).pending == ()
        for name in (await one.group()).volumes:
            await one.host.lvm.activate(VG, name)


async def mend(bench: Bench) -> None:
    for name, info in (await bench.host.dm.active(VG)).items():
        if info.suspended:
            await bench.host.dm.resume(VG, name)
    for name in (await bench.pool()).pending:
        kernel, ours = (await bench.status()).transaction_id, (await bench.pool()).transaction_id
        if not await bench.known(name):
            await bench.host.lvm.remove(VG, [name])
        elif kernel != ours:
            await bench.host.dm.set_transaction_id(VG, POOL, current=kernel, new=ours)


async def test_a_caller_who_left_hides_no_failure_from_the_next(bench: Bench) -> None:
    held = bench.machine.faults.hold("create_thin", Step.STARTED)
    bench.machine.faults.stop("create_thin", Step.LISTED)
    creating = asyncio.create_task(bench.create("v1"))
    await held.reached.wait()
    creating.cancel()
    held.release.set()
    await bench.host.lvm.close()
    assert creating.cancelled()
    assert (await bench.pool()).pending == ("v1",)


async def test_a_name_taken_by_a_lost_creation_is_still_taken(bench: Bench) -> None:
    bench.machine.faults.stop("create_thin", Step.LISTED)
    with pytest.raises(DeadlineExceeded):
        await bench.create("v1")
    with pytest.raises(EbbError, match="exists already"):
        await bench.create("v1")
