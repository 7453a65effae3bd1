"""Locks by key, and steps that end even when their caller left."""

import asyncio

import pytest
from ebbd.errors import NotFound
from ebbd.volumes.operations import KeyedLocks, finish


async def test_one_at_a_time_on_a_key() -> None:
    locks, inside, most = KeyedLocks(), 0, 0

    async def work(*keys: str) -> None:
        nonlocal inside, most
        async with locks.hold(*keys):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    async with asyncio.TaskGroup() as tasks:
        for _ in range(5):
            tasks.create_task(work("a", "b"))
            tasks.create_task(work("b", "a"))
            tasks.create_task(work("b", "b"))
    assert most == 1


async def test_other_keys_do_not_wait() -> None:
    locks = KeyedLocks()
    async with locks.hold("a"), asyncio.timeout(1), locks.hold("b"):
        pass


async def test_no_lock_is_kept_for_a_key_nobody_uses() -> None:
    locks = KeyedLocks()
    async with locks.hold("a"):
        waiting = asyncio.create_task(_hold(locks, "a"))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert len(locks._locks) == 1
    assert not locks._locks


async def test_a_waiter_that_left_does_not_open_the_lock_for_a_third() -> None:
    locks = KeyedLocks()
    async with locks.hold("a"):
        left = asyncio.create_task(_hold(locks, "a"))
        third = asyncio.create_task(_hold(locks, "a"))
        await asyncio.sleep(0)
        left.cancel()
        await asyncio.wait({left})
        assert not third.done()
    await third


async def _hold(locks: KeyedLocks, key: str) -> None:
    async with locks.hold(key):
        pass


async def test_finish_gives_the_result_and_the_failure() -> None:
    async def result() -> int:
        return 7

    async def failure() -> None:
        raise NotFound("x")

    assert await finish(result()) == 7
    with pytest.raises(NotFound):
        await finish(failure())


@pytest.mark.parametrize("fails", [False, True])
async def test_a_step_ends_before_its_caller_leaves(fails: bool) -> None:
    began, may_end, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def step() -> None:
        began.set()
        await may_end.wait()
        ended.set()
        if fails:
            raise NotFound("nobody reads this")

    after = False

    async def operation() -> None:
        nonlocal after
        await finish(step())
        after = True

    caller = asyncio.create_task(operation())
    await began.wait()
    for _ in range(3):
        caller.cancel()
        await asyncio.sleep(0)
    assert not caller.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert ended.is_set()
    assert not after, "the caller's leaving takes effect between two steps"
