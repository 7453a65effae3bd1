"""Real processes: what they say, how they fail, and that none outlives its owner."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from ebb_lab import BuildFailed, MissingTool, process

OWNER = """
import asyncio, sys
from ebb_lab import process, scratch

async def main():
    async with scratch.scratch_folder() as folder:
        child = await process.start(["sleep", "600"])
        print(child.pid, folder, flush=True)
        await child.wait()

asyncio.run(main())
"""


async def test_output_and_exit_code() -> None:
    done = await process.run(["sh", "-c", "cat; echo err >&2; exit 3"], input=b"in")
    assert (done.exit_code, done.stdout, done.stderr) == (3, b"in", b"err\n")


async def test_a_build_step_that_fails_says_what_it_said() -> None:
    with pytest.raises(BuildFailed, match=r"(?s)exit code 3:\nno such disk"):
        await process.build(["sh", "-c", "echo no such disk >&2; exit 3"])


async def test_a_missing_program_is_named_with_the_remedy() -> None:
    with pytest.raises(MissingTool, match="no-such-program is not installed: `make setup`"):
        await process.run(["no-such-program"])


async def test_ending_what_has_ended_keeps_its_exit_code() -> None:
    child = await process.start(["sh", "-c", "exit 7"])
    await child.communicate()
    assert await process.end(child) == 7
    running = await process.start(["sleep", "600"])
    assert await process.end(running) == -signal.SIGKILL


def test_an_owner_that_is_killed_takes_child_and_scratch_folder_along() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        pid, folder = owner.stdout.readline().split()
        child = os.pidfd_open(int(pid))
        assert Path(folder).is_dir()
        owner.kill()
    # A pidfd becomes readable when its process ends.
    assert select.select([child], [], [], 20)[0] == [child]
    os.close(child)
    _wait_until_gone(Path(folder))


def _wait_until_gone(folder: Path) -> None:
    """The watcher that removes it is nobody's child any more: there is nothing to wait on."""
    waiting = 'while [ -e "$1" ]; do sleep 0.05; done'
    waited = subprocess.run(
        ["/usr/bin/timeout", "20", "sh", "-c", waiting, "sh", folder], check=False
    )
    assert waited.returncode == 0, f"{folder} is still there"
