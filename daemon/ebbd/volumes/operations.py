"""How operations share the node: one at a time on a thing, and no step torn in half.

Two rules. Operations that name the same volume or snapshot wait for each other, so that two equal
requests at once become one creation and one "already there". And a step that changes the machine
is never cancelled half-way because its caller left (facts: a killed LVM jams its pool): the step
ends, then the caller's leaving takes effect between two steps, where every operation may stop.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

T = TypeVar("T")


class KeyedLocks:
    """A lock for each key in use; none is kept for a key that nobody holds or awaits."""

    def __init__(self) -> None:
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}

    @property
    def held(self) -> frozenset[str]:
        """Every key that somebody holds or awaits: what is being worked on now."""
        return frozenset(self._locks)

    @asynccontextmanager
    async def hold(self, *keys: str) -> AsyncIterator[None]:
        """Hold all the keys; taken in sorted order, so that no two callers can deadlock."""
        async with AsyncExitStack() as stack:
            for key in sorted(set(keys)):
                await stack.enter_async_context(self._hold_one(key))
            yield

    @asynccontextmanager
    async def _hold_one(self, key: str) -> AsyncIterator[None]:
        lock, users = self._locks.get(key, (asyncio.Lock(), 0))
        self._locks[key] = (lock, users + 1)
        try:
            async with lock:
                yield
        finally:
            lock, users = self._locks.pop(key)
            if users > 1:
                self._locks[key] = (lock, users - 1)


async def finish(work: Coroutine[Any, Any, T]) -> T:
    """Run a step to its end even if this task is cancelled meanwhile, then be cancelled.

    When the caller left, the step's own failure has no reader any more; CancelledError goes up.
    """
    step = asyncio.ensure_future(work)
    left: asyncio.CancelledError | None = None
    while not step.done():
        try:
            await asyncio.wait({step})
        except asyncio.CancelledError as cancelled:
            left = cancelled
    if left is not None:
        if not step.cancelled():
            step.exception()  # marks it as seen
        raise left
    return step.result()
