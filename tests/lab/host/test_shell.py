"""The running lvm shell when things go wrong: it dies, hangs, is not there, or its caller leaves.

A command is held at a place of our choosing by taking the VG's own lock, as any other LVM command
may (lvm2: lib/locking/file_locking.c, /run/lock/lvm/V_<vg>).
"""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from ebbd.errors import CommandFailed, DeadlineExceeded, InvalidInput
from ebbd.host.real.lvm_commands import LvmCommands
from ebbd.host.real.programs import PROGRAMS, locate
from ebbd.host.real.run import Runner
from lab.host.ground import MIB, POOL, Ground, opened, run


@asynccontextmanager
async def locked(vg: str) -> AsyncIterator[None]:
    """Another LVM command holds the VG."""
    process = await asyncio.create_subprocess_exec(
        *("flock", f"/run/lock/lvm/V_{vg}", "sh", "-c", "echo held; read line"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert await process.stdout.readline() == b"held\n"
    try:
        yield
    finally:
        process.stdin.close()
        await process.wait()


async def shells(ground: Ground) -> list[int]:
    """Processes whose LVM_SYSTEM_DIR is this ground's."""
    return await asyncio.to_thread(_shells, f"LVM_SYSTEM_DIR={ground.lvm_folder}\0".encode())


def _shells(wanted: bytes) -> list[int]:
    found: list[int] = []
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            try:
                environment = (process / "environ").read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if wanted in environment:
                found.append(int(process.name))
    return found


async def names(ground: Ground) -> set[str]:
    return set((await ground.host.lvm.read(ground.vg)).volumes)


async def test_many_commands_one_process(ground: Ground) -> None:
    await ground.thin("a")
    (first,) = await shells(ground)
    await ground.thin("b")
    await ground.host.lvm.remove(ground.vg, ["a"])
    assert await shells(ground) == [first]
    assert await names(ground) == {"b"}


@pytest.mark.timeout(300)
async def test_a_shell_that_dies_is_told_and_replaced(ground: Ground) -> None:
    await ground.thin("a")
    (first,) = await shells(ground)
    async with locked(ground.vg):
        asking = asyncio.create_task(ground.thin("b"))
        await waiting_for_lock(first)
        os.kill(first, signal.SIGKILL)
        with pytest.raises(CommandFailed) as caught:
            await asking
        assert caught.value.exit_code < 0
    assert await names(ground) == {"a"}
    await ground.thin("b")
    assert await names(ground) == {"a", "b"}
    assert await shells(ground) != [first]


async def waiting_for_lock(pid: int) -> None:
    """Until the process waits in flock(2): an arrow marks waiters in /proc/locks."""
    waiter = re.compile(rf"-> FLOCK\s+ADVISORY\s+\w+\s+{pid}\s")
    async with asyncio.timeout(60):
        while not waiter.search(Path("/proc/locks").read_text(encoding="ascii")):  # noqa: ASYNC110, ASYNC240 - the kernel has no event for it
            await asyncio.sleep(0.02)


@pytest.mark.timeout(300)
async def test_the_deadline_kills_and_the_next_command_works() -> None:
    async with opened(deadline_s=20) as ground:
        await ground.thin("a")
        before = await shells(ground)
        async with locked(ground.vg):
            with pytest.raises(DeadlineExceeded, match="longer than 20 s and LVM was killed"):
                await ground.thin("b")
        assert await shells(ground) == []
        assert await names(ground) == {"a"}
        await ground.thin("b")
        assert await names(ground) == {"a", "b"}
        assert await shells(ground) != before


@pytest.mark.timeout(300)
async def test_a_caller_that_leaves_disturbs_nobody(ground: Ground) -> None:
    await ground.thin("a")
    (shell,) = await shells(ground)
    async with locked(ground.vg):
        leaving = asyncio.create_task(ground.thin("b"))
        await waiting_for_lock(shell)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        staying = asyncio.create_task(ground.thin("c"))
    await staying
    assert await names(ground) == {"a", "b", "c"}
    assert await shells(ground) == [shell]


@pytest.mark.timeout(300)
async def test_an_lvm_without_a_shell_is_used_by_processes(tmp_path: Path, ground: Ground) -> None:
    """Built without a line editor, `lvm` alone refuses; its commands are the same."""
    real = locate(PROGRAMS)
    wrapper = tmp_path / "lvm"
    wrapper.write_text(
        '#!/bin/sh\n[ $# -gt 0 ] || { echo "Please supply an LVM command." >&2; exit 3; }\n'
        f'exec {real["lvm"]} "$@"\n',
        encoding="ascii",
    )
    wrapper.chmod(0o755)
    runner = Runner({**real, "lvm": str(wrapper)}, timeout_s=60)
    folder = tmp_path / "system"
    commands = LvmCommands(runner, str(folder), visible_folder=folder, timeout_s=60)
    await commands.accept([ground.device])
    for number in range(2):
        line = f"lvcreate --yes -an -V 64m --thinpool {POOL} -n v{number} {ground.vg}"
        await commands.run(*line.split())
    assert commands.lines == 2
    assert await names(ground) == {"v0", "v1"}
    answer = await commands.run("lvs", "-o", "lv_name", "--select", "segtype=thin", ground.vg)
    assert {row["lv_name"] for row in answer.reports["lv"]} == {"v0", "v1"}
    await commands.close()
    await runner.close()


@pytest.mark.timeout(300)
async def test_a_line_too_long_for_the_shell_passes(ground: Ground) -> None:
    many = [f"v{number}" for number in range(66)]
    tags = [f"t{number}" for number in range(40)]
    await ground.host.lvm.create_thin(ground.vg, POOL, "tagged", size_bytes=MIB, tags=tags)
    assert (await ground.host.lvm.read(ground.vg)).volumes["tagged"].tags == set(tags)
    for name in many:
        await ground.thin(name)
    lines = ground.host.lvm.command_lines
    await ground.host.lvm.remove(ground.vg, many)
    assert ground.host.lvm.command_lines == lines + 1
    assert await names(ground) == {"tagged"}


@pytest.mark.parametrize("word", ["a b", "#a", "a'b", 'a"b', "a\nb", "", "a\\b", "é"])
async def test_no_word_can_become_two_commands(tmp_path: Path, word: str) -> None:
    runner = Runner(locate(PROGRAMS), timeout_s=60)
    commands = LvmCommands(runner, str(tmp_path), visible_folder=tmp_path, timeout_s=60)
    with pytest.raises(InvalidInput):
        await commands.run("lvs", word)
    assert commands.lines == 0
    await commands.close()


async def test_the_latest_metadata_is_in_etc_lvm_backup(ground: Ground) -> None:
    await ground.thin("kept")
    backup = Path("/etc/lvm/backup") / ground.vg
    assert "kept {" in backup.read_text(encoding="ascii")
    assert not list(Path("/etc/lvm/archive").glob(f"{ground.vg}_*"))  # noqa: ASYNC240 - as above
    assert await run("vgs", "--noheadings", "-o", "vg_seqno", ground.vg)
