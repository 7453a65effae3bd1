"""Consumers that a test registered, and a freezer that knows who is frozen."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from ebbd.errors import WrongState
from ebbd.host.simulated.faults import Step
from ebbd.host.simulated.machine import DM_MAJOR, Machine
from ebbd.host.values import Consumer


class SimulatedCgroups:
    """`ebbd.host.protocols.Cgroups` in memory."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    async def consumers(self, major: int, minor: int) -> tuple[Consumer, ...]:
        return tuple(
            consumer
            for key, consumers in self._known()
            if key in self._machine.nodes
            and (major, minor) == (DM_MAJOR, self._machine.nodes[key].minor)
            for consumer in consumers
        )

    def frozen(
        self, paths: Sequence[str], *, watchdog_s: float
    ) -> AbstractAsyncContextManager[None]:
        return self._frozen(frozenset(paths), watchdog_s)

    @asynccontextmanager
    async def _frozen(self, paths: frozenset[str], watchdog_s: float) -> AsyncIterator[None]:
        await self._machine.faults.start("frozen")
        known = {
            consumer.path: consumer.freezable
            for _, consumers in self._known()
            for consumer in consumers
        }
        if stuck := sorted(path for path in paths if not known.get(path, False)):
            raise WrongState(
                f"{', '.join(stuck)} cannot be frozen",
                "run the consumer in a cgroup of its own, or stop it for the snapshot",
            )
        thawing = asyncio.get_running_loop().call_later(watchdog_s, self._thaw, paths)
        self._machine.frozen |= paths
        try:
            await self._machine.faults.reach("frozen", Step.DONE)
            yield
        finally:
            thawing.cancel()
            self._thaw(paths)

    def _known(self) -> Iterator[tuple[tuple[str, str], list[Consumer]]]:
        yield from self._machine.users.items()
        yield from self._machine.openers.items()

    def _thaw(self, paths: frozenset[str]) -> None:
        self._machine.frozen -= paths
