"""The watchdog as it is started: a process that thaws files."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from ebbd.host.real import thaw_watchdog


class Watchdog:
    def __init__(self, folder: Path) -> None:
        self.procs = folder / "cgroup.procs"
        self.freezers = [folder / name for name in ("a", "gone", "b")]
        for freezer in (self.procs, self.freezers[0], self.freezers[2]):
            freezer.write_text("1", encoding="ascii")

    async def start(self, seconds: float) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(thaw_watchdog.__file__), str(self.procs)),
            *(str(seconds), *map(str, self.freezers)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        assert await process.stdout.readline() == b"watching\n"
        return process

    def states(self) -> list[str]:
        return [self.freezers[at].read_text(encoding="ascii") for at in (0, 2)]


@pytest.fixture
def watchdog(tmp_path: Path) -> Watchdog:
    return Watchdog(tmp_path)


async def test_it_thaws_when_its_time_is_up(watchdog: Watchdog) -> None:
    process = await watchdog.start(0.2)
    assert await process.wait() == 0
    assert watchdog.states() == ["0", "0"]
    assert process.stdin is not None
    process.stdin.close()


async def test_it_thaws_when_its_starter_is_gone(watchdog: Watchdog) -> None:
    process = await watchdog.start(600)
    assert watchdog.states() == ["1", "1"]
    assert watchdog.procs.read_text(encoding="ascii") == "0"  # it moved itself to the root cgroup
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        os.kill(process.pid, number)  # a service manager stopping the unit does not stop it
    assert process.stdin is not None
    process.stdin.close()
    assert await process.wait() == 0
    assert watchdog.states() == ["0", "0"]
