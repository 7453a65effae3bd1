"""Where a simulated operation can be stopped, held or refused, and a trace of what it passed.

Every mutation walks named steps, those between which a real LVM can die (a thin create is two VG
commits around a pool message). A test stops one there, as a deadline's kill or as the daemon's
own death, or walks through all of them: run once, count `passed`, then crash at 1, 2, 3 ….
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum, StrEnum

from ebbd.errors import DeadlineExceeded, EbbError


class Step(StrEnum):
    """A point *after* which an operation can stop."""

    STARTED = "started"  # nothing is written yet
    LISTED = "listed"  # first commit: in the VG with its tags, unknown to the kernel
    SUSPENDED = "suspended"  # an active origin is suspended, no message sent
    SENT = "sent"  # the kernel's pool did it, its transaction id is one behind LVM's
    BUMPED = "bumped"  # transaction ids agree, the message is still in the VG metadata
    UNLISTED = "unlisted"  # first commit of a removal: gone from the VG, still in the pool
    HALF = "half"  # a filesystem half made: blocks written, no signature yet
    DONE = "done"  # all of it happened; the answer is lost


class Ending(Enum):
    """How a stopped operation looks to its caller."""

    DEADLINE = "deadline"  # the command was killed: DeadlineExceeded
    CRASH = "crash"  # the daemon itself died: Crash


class Crash(BaseException):
    """The daemon died here. No `except Exception` of the daemon may catch it; the test does."""


@dataclass(slots=True)
class Hold:
    """An operation that waits at a step: `reached` is set when it is there, `release` lets go."""

    reached: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class _Plan:
    operation: str
    step: Step
    passes_left: int  # 1: the next time
    act: Ending | Hold | EbbError


class Faults:
    """What will go wrong, armed by a test; nothing is armed in the product mode.

    `passed` lists (operation, step) in the order they were reached. `sleep` and `latency_s`
    (seconds by operation, "*" for all) make commands slow; with a test's own sleep, without
    real time.
    """

    def __init__(
        self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep, *, deadline_s: float = 60.0
    ) -> None:
        self.passed: list[tuple[str, Step]] = []
        self.latency_s: dict[str, float] = {}
        self.deadline_s = deadline_s
        self._sleep = sleep
        self._plans: list[_Plan] = []
        self._crash_at: int | None = None

    def stop(
        self, operation: str, step: Step, *, nth: int = 1, ending: Ending = Ending.DEADLINE
    ) -> None:
        """Stop the `nth` next `operation` (a protocol method's name) once `step` is reached."""
        self._plans.append(_Plan(operation, step, nth, ending))

    def fail(self, operation: str, error: EbbError, *, nth: int = 1) -> None:
        """The `nth` next `operation` is refused with this error before it did anything."""
        self._plans.append(_Plan(operation, Step.STARTED, nth, error))

    def hold(self, operation: str, step: Step, *, nth: int = 1) -> Hold:
        """The `nth` next `operation` waits at `step` until it is released."""
        held = Hold()
        self._plans.append(_Plan(operation, step, nth, held))
        return held

    def crash_at(self, step_number: int) -> None:
        """The daemon dies at the `step_number`-th step from now (1: the next), whatever it is."""
        self._crash_at = len(self.passed) + step_number

    def clear(self) -> None:
        """Disarm everything and forget the trace: a daemon started again."""
        self._plans.clear()
        self._crash_at = None
        self.passed.clear()

    async def start(self, operation: str) -> None:
        """An operation begins: its latency, then its first step."""
        latency_s = self.latency_s.get(operation, self.latency_s.get("*", 0.0))
        if latency_s > self.deadline_s:
            await self._sleep(self.deadline_s)
            raise self._killed(operation)
        await self._sleep(latency_s)
        await self.reach(operation, Step.STARTED)

    async def reach(self, operation: str, step: Step) -> None:
        """Called by the simulated parts after each step."""
        self.passed.append((operation, step))
        if self._crash_at is not None and len(self.passed) >= self._crash_at:
            raise Crash(f"{operation} at {step}")
        for plan in [p for p in self._plans if (p.operation, p.step) == (operation, step)]:
            plan.passes_left -= 1
            if plan.passes_left:
                continue
            self._plans.remove(plan)
            await self._act(operation, plan.act)

    async def _act(self, operation: str, act: Ending | Hold | EbbError) -> None:
        if isinstance(act, Hold):
            act.reached.set()
            await act.release.wait()
        elif isinstance(act, EbbError):
            raise act
        elif act is Ending.CRASH:
            raise Crash(operation)
        else:
            await self._sleep(self.deadline_s)
            raise self._killed(operation)

    def _killed(self, operation: str) -> DeadlineExceeded:
        return DeadlineExceeded(
            f"{operation} took longer than {self.deadline_s:g} s and was killed",
            "what it left behind is looked at before anything else is answered",
        )
