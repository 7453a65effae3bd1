"""Freeze cgroups (cgroup.freeze of cgroup v2), wait until they are, and thaw whatever happens.

The watchdog is a process of its own (thaw_watchdog.py). It is ready before anything freezes, thaws
when its time is up or when its standard input ends, as it does when ebbd dies, and lives in the
root cgroup so that neither a frozen cgroup nor systemd's killing of our unit takes it along.
"""

import asyncio
import os
import select
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from ebbd.errors import WrongState
from ebbd.host.real import thaw_watchdog
from ebbd.host.real.consumers import cgroup_of, find, freezable
from ebbd.host.real.machine_root import MachineRoot
from ebbd.host.real.offload import offload
from ebbd.host.real.run import Child, Runner
from ebbd.host.values import Consumer

_FREEZE_S = 10.0
_READY_S = 20.0
_LEAVE_S = 5.0


class RealCgroups:
    """The Cgroups protocol; `mount` is where cgroup2 is mounted."""

    def __init__(self, runner: Runner, root: MachineRoot, mount: Path) -> None:
        self._runner = runner
        self._root = root
        self._mount = mount

    async def consumers(self, major: int, minor: int) -> tuple[Consumer, ...]:
        return await offload(
            f"consumers of {major}:{minor}", find, self._root, major, minor, os.getpid()
        )

    @asynccontextmanager
    async def frozen(self, paths: Sequence[str], *, watchdog_s: float) -> AsyncIterator[None]:
        groups = await offload("cgroups to freeze", self._to_freeze, paths)
        watchdog = await self._start_watchdog(groups, watchdog_s)
        try:
            await offload("freezing", _freeze, groups, _FREEZE_S)
            yield
        finally:
            # A cancelled caller must not leave before its consumers run again.
            await asyncio.shield(self._thaw(groups, watchdog))

    def _to_freeze(self, paths: Sequence[str]) -> list[Path]:
        """The cgroups' folders; one that somebody else has frozen is theirs to thaw."""
        own = cgroup_of(self._root.proc / str(os.getpid()))
        groups: list[Path] = []
        for path in paths:
            group = self._mount / path.lstrip("/")
            if not freezable(path, own):
                raise WrongState(
                    f"cgroup {path} cannot be frozen: ebbd itself runs in it",
                    "run the consumer in a cgroup of its own (a pod, a systemd unit)",
                )
            try:
                already = (group / "cgroup.freeze").read_text("ascii").strip() == "1"
            except FileNotFoundError as error:
                raise WrongState(
                    f"cgroup {path} is not there or cannot be frozen", "has its consumer ended?"
                ) from error
            if not already:
                groups.append(group)
        return groups

    async def _start_watchdog(self, groups: Sequence[Path], watchdog_s: float) -> Child:
        program = Path(thaw_watchdog.__file__)
        child = await self._runner.start(
            [
                *(sys.executable, "-I", "-S", str(program)),
                *(str(self._mount / "cgroup.procs"), f"{watchdog_s:g}"),
                *(str(group / "cgroup.freeze") for group in groups),
            ],
            prefixed=False,
        )
        if not await child.says(thaw_watchdog.READY, _READY_S):
            await child.kill()
            raise WrongState(
                f"the watchdog that would thaw does not start: {child.tail}",
                "nothing was frozen; is the machine overloaded?",
            )
        return child

    async def _thaw(self, groups: Sequence[Path], watchdog: Child) -> None:
        await offload(
            "thawing", thaw_watchdog.thaw, [str(each / "cgroup.freeze") for each in groups]
        )
        await watchdog.end(_LEAVE_S)


def _freeze(groups: Sequence[Path], timeout_s: float) -> None:
    for group in groups:
        try:
            (group / "cgroup.freeze").write_text("1", "ascii")
        except OSError as error:
            raise WrongState(
                f"cgroup {group} cannot be frozen: {error}", "has its consumer ended?"
            ) from error
    until = time.monotonic() + timeout_s
    for group in groups:
        if not _wait_frozen(group, until):
            raise WrongState(
                f"cgroup {group} does not freeze within {timeout_s:g} s",
                "a process in it waits for a disk in the kernel; look for state D in ps",
            )


def _wait_frozen(group: Path, until: float) -> bool:
    """The kernel signals a change of cgroup.events as POLLPRI."""
    with (group / "cgroup.events").open(encoding="ascii") as events:
        poll = select.poll()
        poll.register(events, select.POLLPRI)
        while "frozen 1" not in events.read():
            left = until - time.monotonic()
            if left <= 0:
                return False
            poll.poll(left * 1000)
            events.seek(0)
    return True
