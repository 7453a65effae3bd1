"""Real processes: what a caller gets, who is killed and who is left alone."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from ebbd.errors import CommandFailed, DeadlineExceeded, HostFailure, Unavailable
from ebbd.host.real.programs import Program
from ebbd.host.real.run import Runner

PROGRAMS = {"sh": "/bin/sh", "python": sys.executable, "gone": "/no/such/program"}


@pytest.fixture
async def runner() -> AsyncIterator[Runner]:
    made = Runner(PROGRAMS, timeout_s=20, catalogue=[Program("mkfs.xfs", "xfsprogs")])
    yield made
    await made.close()


async def appears(path: Path) -> str:
    async with asyncio.timeout(20):
        while not path.exists() or not path.read_text(encoding="ascii").endswith("\n"):  # noqa: ASYNC110, ASYNC240 - another process makes it
            await asyncio.sleep(0.01)
    return path.read_text(encoding="ascii").strip()  # noqa: ASYNC240 - a line of a test's own file


async def ended(pid: int) -> None:
    """Until the process is gone (a pidfd becomes readable)."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    gone = asyncio.Event()
    asyncio.get_running_loop().add_reader(descriptor, gone.set)
    try:
        async with asyncio.timeout(20):
            await gone.wait()
    finally:
        asyncio.get_running_loop().remove_reader(descriptor)
        os.close(descriptor)


async def test_output_input_and_a_clean_environment(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LVM_SYSTEM_DIR", "/elsewhere")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    script = 'cat; echo "$LC_ALL|${LVM_SYSTEM_DIR-unset}|$EXTRA|$PWD|$2"; echo err >&2'
    done = await runner.run(
        *("sh", "-c", script, "sh", "a", "b c; rm"),
        mutates=False,
        stdin="in ",
        environment={"EXTRA": "x"},
    )
    assert (done.exit_code, done.stdout, done.stderr) == (0, "in C|unset|x|/|b c; rm\n", "err\n")


async def test_a_failure_is_typed(runner: Runner) -> None:
    with pytest.raises(CommandFailed, match="sh ended with 3: no good") as caught:
        await runner.run("sh", "-c", "echo no good >&2; exit 3", mutates=False)
    assert caught.value.exit_code == 3
    done = await runner.run("sh", "-c", "exit 3", mutates=False, accepted=(0, 3))
    assert done.exit_code == 3


async def test_a_death_by_signal_is_a_negative_code(runner: Runner) -> None:
    with pytest.raises(CommandFailed) as caught:
        await runner.run("sh", "-c", "kill -9 $$", mutates=True)
    assert caught.value.exit_code == -9


async def test_what_is_not_installed_names_its_package(runner: Runner) -> None:
    with pytest.raises(Unavailable, match=r"mkfs\.xfs is not installed; apt-get install xfsprogs"):
        await runner.run("mkfs.xfs", mutates=True)
    with pytest.raises(HostFailure, match="/no/such/program cannot be started"):
        await runner.run("gone", mutates=True)


async def test_the_prefix_comes_first() -> None:
    runner = Runner({"echo": "/bin/echo"}, prefix=("/usr/bin/env", "MARK=1"), timeout_s=20)
    done = await runner.run("echo", "x", mutates=False)
    assert done.argv == ("/usr/bin/env", "MARK=1", "/bin/echo", "x")
    assert done.stdout == "x\n"


async def test_the_deadline_kills_the_whole_group(runner: Runner, tmp_path: Path) -> None:
    file = tmp_path / "pid"
    script = f"sleep 600 & echo $! > {file}; wait"
    running = asyncio.create_task(runner.run("sh", "-c", script, mutates=True, timeout_s=2))
    child = int(await appears(file))
    with pytest.raises(DeadlineExceeded, match="longer than 2 s and was killed"):
        await running
    await ended(child)


async def test_a_reading_command_leaves_with_its_caller(runner: Runner, tmp_path: Path) -> None:
    file = tmp_path / "pid"
    running = asyncio.create_task(
        runner.run("sh", "-c", f"echo $$ > {file}; exec sleep 600", mutates=False)
    )
    process = int(await appears(file))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await ended(process)


async def test_a_mutating_command_outlives_its_caller(runner: Runner, tmp_path: Path) -> None:
    started, go, done = tmp_path / "started", tmp_path / "go", tmp_path / "done"
    os.mkfifo(go)
    script = f"echo $$ > {started}; read line < {go}; echo $line > {done}"
    running = asyncio.create_task(runner.run("sh", "-c", script, mutates=True))
    await appears(started)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    closing = asyncio.create_task(runner.close())
    await asyncio.to_thread(go.write_text, "finished\n", "ascii")
    await closing
    assert done.read_text(encoding="ascii") == "finished\n"


async def test_a_long_lived_child(runner: Runner) -> None:
    script = "read a; echo got $a; echo more >&2; read b; exit 4"
    child = await runner.start(["/bin/sh", "-c", script])
    await child.write(b"this\n")
    assert await child.says("more", 20)
    assert child.tail.splitlines() == ["got this", "more"]
    assert child.exit_code is None
    assert await child.end(20) == 4


async def test_a_child_that_does_not_leave_is_killed(runner: Runner) -> None:
    child = await runner.start(["/bin/sh", "-c", "trap '' TERM HUP; while :; do sleep 600; done"])
    assert await child.end(0.1) == -9
    assert not await child.says("anything", 0.1)
