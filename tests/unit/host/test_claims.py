"""The lock on a VG, with real processes: who holds it, and what a dead holder left running."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

import pytest
from ebbd.errors import Unavailable
from ebbd.host.real.claims import LOCKS, MARK, Claims
from ebbd.host.real.machine_root import MachineRoot

UUID = "Ab1-Cd2"


class Make(Protocol):
    def __call__(self, run_directory: str = "/run/one", timeout_s: float = 10.0) -> Claims: ...


@pytest.fixture
def claims(tmp_path: Path) -> Iterator[Make]:
    """Claims of a daemon each, on one machine; all are released in the end."""
    made: list[Claims] = []

    def make(run_directory: str = "/run/one", timeout_s: float = 10.0) -> Claims:
        root = MachineRoot(filesystem=tmp_path)
        made.append(Claims(root, run_directory, timeout_s=timeout_s))
        return made[-1]

    yield make
    for one in made:
        one.release()


def lock_file(root: Path) -> Path:
    return root / LOCKS.lstrip("/") / f"{UUID}.lock"


async def test_the_second_is_told_who_holds_it(tmp_path: Path, claims: Make) -> None:
    first, second = claims(), claims("/run/two")
    await first.take("vg", UUID)
    await first.take("vg", UUID)
    with pytest.raises(Unavailable, match=rf"process {os.getpid()}, with run_directory /run/one;"):
        await second.take("vg", UUID)
    await second.take("other", "another-uuid")
    first.release()
    await second.take("vg", UUID)
    assert json.loads(lock_file(tmp_path).read_text())["run_directory"] == "/run/two"


async def test_the_kernel_frees_it_when_its_holder_is_killed(tmp_path: Path, claims: Make) -> None:
    program = (
        "import asyncio, sys, time; from pathlib import Path\n"
        "from ebbd.host.real.claims import Claims\n"
        "from ebbd.host.real.machine_root import MachineRoot\n"
        "held = Claims(MachineRoot(filesystem=Path(sys.argv[1])), '/run/dead', timeout_s=1.0)\n"
        f"asyncio.run(held.take('vg', {UUID!r}))\n"
        "print('held', flush=True); time.sleep(600)\n"
    )
    argv = [sys.executable, "-c", program, str(tmp_path)]
    holder = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert await holder.stdout.readline() == b"held\n"
        with pytest.raises(
            Unavailable, match=f"process {holder.pid}, with run_directory /run/dead"
        ):
            await claims().take("vg", UUID)
    finally:
        holder.kill()
        await holder.wait()
    await claims().take("vg", UUID)


@contextmanager
def left_running(run_directory: str, seconds: float) -> Iterator[int]:
    """A command whose ebbd was killed: somebody else is its parent now."""
    script = f"sleep {seconds} >/dev/null 2>&1 & echo $!"
    told = subprocess.run(
        ["/bin/sh", "-c", script],
        env={MARK: run_directory, "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    pid = int(told.stdout)
    try:
        yield pid
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


async def test_what_a_dead_holder_left_running_is_waited_for(tmp_path: Path, claims: Make) -> None:
    dead = claims(str(tmp_path))
    await dead.take("vg", UUID)
    dead.release()
    with left_running(str(tmp_path), 1.0):
        began = time.monotonic()
        await claims().take("vg", UUID)
        assert time.monotonic() - began > 0.5


async def test_what_does_not_end_is_named(tmp_path: Path, claims: Make) -> None:
    dead = claims(str(tmp_path))
    await dead.take("vg", UUID)
    dead.release()
    with left_running(str(tmp_path), 60.0) as pid:
        again = claims(timeout_s=0.3)
        with pytest.raises(Unavailable, match=rf"process {pid} \(sleep 60"):
            await again.take("vg", UUID)
        # The claim was given back: another may try, and the story is not lost.
        with pytest.raises(Unavailable, match=f"process {pid}"):
            await again.take("vg", UUID)


async def test_own_children_and_other_daemons_commands_do_not_count(
    tmp_path: Path, claims: Make
) -> None:
    dead = claims(str(tmp_path))
    await dead.take("vg", UUID)
    dead.release()
    child = await asyncio.create_subprocess_exec("sleep", "60", env={MARK: str(tmp_path)})
    try:
        with left_running(f"{tmp_path}-other", 60.0):
            await claims(timeout_s=0.5).take("vg", UUID)
    finally:
        child.kill()
        await child.wait()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": "x"}'])
async def test_a_lock_file_cut_short_is_no_obstacle(
    tmp_path: Path, claims: Make, content: str
) -> None:
    lock_file(tmp_path).parent.mkdir(parents=True)
    lock_file(tmp_path).write_text(content)
    await claims().take("vg", UUID)
    with pytest.raises(Unavailable, match=f"process {os.getpid()}"):
        await claims().take("vg", UUID)
