"""The one writer of a volume group: mutations in a fair queue, one at a time.

Each flow (a namespace, the CLI, …) has a line of its own and the lines take turns, so that a
burst of one tenant does not hold up another's single volume. Removals that wait are joined into
one command. A caller who leaves takes a waiting mutation away and lets a running one end. After
any failure the VG is settled (ebbd.volumes.recovery) before anybody is answered, and the
mutation's fate is read back from the VG.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from ebbd.errors import EbbError, Unavailable
from ebbd.host.protocols import Lvm
from ebbd.host.values import VolumeGroup
from ebbd.volumes.ledger import Ledger
from ebbd.volumes.mutations import MOST_REMOVALS_AT_ONCE, Mutation, remove
from ebbd.volumes.operations import finish

# Makes the VG's state known again, and leaves the ledger with it.
Settle = Callable[[str], Awaitable[VolumeGroup]]


@dataclass(slots=True, eq=False)
class _Waiting:
    mutation: Mutation
    done: asyncio.Future[None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    started: bool = False


class Writer:
    """Serves one VG; `run` is the task that acts, `submit` is what operations await."""

    def __init__(self, vg: str, lvm: Lvm, ledger: Ledger, settle: Settle) -> None:
        self._vg = vg
        self._lvm = lvm
        self._ledger = ledger
        self._settle = settle
        self._lines: OrderedDict[str, deque[_Waiting]] = OrderedDict()
        self._arrived = asyncio.Event()
        self._unsettled: EbbError | None = None
        self._closed = False

    async def submit(self, mutation: Mutation) -> None:
        """Wait for this mutation's turn and end; raises what it raised."""
        if self._closed:
            raise Unavailable("ebbd is stopping", "try again when it is back")
        waiting = _Waiting(mutation)
        self._lines.setdefault(mutation.flow, deque()).append(waiting)
        self._arrived.set()
        try:
            await asyncio.shield(waiting.done)
        except asyncio.CancelledError:
            if waiting.started:
                await finish(_ended(waiting.done))
            else:
                waiting.done.cancel()
            raise

    async def run(self) -> None:
        """Serve until cancelled; a command that runs then is waited for.

        A defect ends it, after whoever waited was told: nobody may go on writing on top of it.
        """
        try:
            while True:
                await self._arrived.wait()
                while batch := self._next():
                    await finish(self._serve(batch))
                self._arrived.clear()
        finally:
            self._closed = True
            for line in self._lines.values():
                for waiting in line:
                    if not waiting.done.done():
                        waiting.done.set_exception(
                            Unavailable("ebbd is stopping", "try again when it is back")
                        )
            self._lines.clear()

    def _next(self) -> list[_Waiting]:
        """The mutation whose turn it is, and if it removes, the others that wait to remove."""
        first = self._take_turn()
        if first is None:
            return []
        batch = [first]
        if first.mutation.removes:
            batch += self._take_removals(MOST_REMOVALS_AT_ONCE - len(first.mutation.removes))
        for waiting in batch:
            # From here on its caller can leave it, but not take it back.
            waiting.started = True
        return batch

    def _take_removals(self, room: int) -> list[_Waiting]:
        """Out of their lines, removals of at most `room` LVs in all."""
        taken: list[_Waiting] = []
        for line in self._lines.values():
            for waiting in [w for w in line if w.mutation.removes and not w.done.done()]:
                room -= len(waiting.mutation.removes)
                if room < 0:
                    return taken
                line.remove(waiting)
                taken.append(waiting)
        return taken

    def _take_turn(self) -> _Waiting | None:
        while self._lines:
            flow, line = self._lines.popitem(last=False)
            while line and line[0].done.done():
                line.popleft()  # its caller left
            if not line:
                continue
            waiting = line.popleft()
            if line:
                self._lines[flow] = line
            return waiting
        return None

    async def _serve(self, batch: list[_Waiting]) -> None:
        try:
            await self._carry_out(batch)
        except BaseException as defect:
            for waiting in [w for w in batch if not w.done.done()]:
                waiting.done.set_exception(defect)
                waiting.done.exception()  # seen, should the caller have left
            raise

    async def _carry_out(self, batch: list[_Waiting]) -> None:
        if len(batch) > 1:
            names = tuple(name for w in batch for name in w.mutation.removes)
            joined = remove(self._lvm, self._vg, names, flow=batch[0].mutation.flow)
            if await self._attempt(joined) is None:
                for waiting in batch:
                    waiting.done.set_result(None)
                return
        for waiting in batch:
            error = await self._attempt(waiting.mutation)
            if error is None:
                waiting.done.set_result(None)
            else:
                waiting.done.set_exception(error)
                waiting.done.exception()  # seen, should the caller have left

    async def _attempt(self, mutation: Mutation) -> EbbError | None:
        try:
            if self._unsettled is not None:
                await self._mend()
            if mutation.removes and mutation.landed(self._ledger.group(self._vg)):
                return None  # a joined removal that failed half-way had removed these
            if mutation.admit is not None:
                await mutation.admit()
        except EbbError as refused:
            return refused
        self._ledger.begin(self._vg)
        try:
            commits = await mutation.act()
            await self._ledger.record(self._vg, commits, mutation.change)
        except EbbError as failed:
            self._unsettled = failed
            try:
                await self._mend()
            except EbbError as unsettled:
                return unsettled
            return None if mutation.landed(self._ledger.group(self._vg)) else failed
        else:
            return None
        finally:
            self._ledger.end(self._vg)

    async def _mend(self) -> None:
        """Bring LVM and the kernel to agree, or leave the VG closed to writes until they do."""
        cause = self._unsettled
        try:
            await self._settle(self._vg)
        except EbbError as unsettled:
            raise Unavailable(
                f"VG {self._vg} could not be brought to a known state after: {cause}; "
                f"recovery said: {unsettled}",
                "see 'ebb doctor'; ebbd tries again with the next request",
            ) from unsettled
        self._unsettled = None


async def _ended(done: asyncio.Future[None]) -> None:
    await asyncio.wait({done})


def flow_of(namespace: str) -> str:
    """Whose line a mutation waits in."""
    return namespace or "-"
