"""The one place where the lab starts programs on the host.

Always an argument list, never a shell. Every child is bound to the process that started it by the
kernel (PR_SET_PDEATHSIG, through setpriv), so that nothing outlives a lab that was killed. Children
get a session of their own: a Ctrl-C in the terminal reaches the lab, which then ends them in order.
"""

import asyncio
import os
import shlex
import shutil
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ebb_lab.errors import BuildFailed, MissingTool

_BOUND = ("setpriv", "--pdeathsig", "KILL", "--")
# An owner that died before the child was bound to it sends no signal: the child looks once, after.
_UNLESS_ORPHANED = ("sh", "-c", '[ "$PPID" = "$0" ] && exec "$@"')
_STREAM_LIMIT_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Completed:
    exit_code: int
    stdout: bytes
    stderr: bytes


def find(program: str) -> str:
    """Path of a program of the host. /sbin counts, which is not on every user's PATH."""
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
    if found is None:
        raise MissingTool(f"{program} is not installed: `make setup` installs what the lab needs")
    return found


async def start(
    argv: Sequence[str | Path],
    *,
    stdin: int | IO[bytes] | None = DEVNULL,
    stdout: int | IO[bytes] | None = PIPE,
    stderr: int | IO[bytes] | None = PIPE,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    own_session: bool = True,
) -> Process:
    """A running child that dies with this process."""
    program, *rest = (str(word) for word in argv)
    return await asyncio.create_subprocess_exec(
        find(_BOUND[0]),
        *_BOUND[1:],
        *_UNLESS_ORPHANED,
        str(os.getpid()),
        find(program),
        *rest,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        env=env,
        cwd=cwd,
        start_new_session=own_session,
        limit=_STREAM_LIMIT_BYTES,
    )


async def start_survivor(argv: Sequence[str | Path]) -> Process:
    """A child that outlives this process, to clean up behind it: its standard input ends then."""
    program, *rest = (str(word) for word in argv)
    return await asyncio.create_subprocess_exec(
        find(program), *rest, stdin=PIPE, stdout=DEVNULL, stderr=DEVNULL, start_new_session=True
    )


async def end(process: Process) -> int:
    """Kill it, unless it has ended, and reap it; its exit code."""
    if process.returncode is None:
        # Not process.kill(): it polls, and would reap the child under asyncio's watcher (3.11),
        # which then invents an exit code.
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
    return await process.wait()


async def run(
    argv: Sequence[str | Path],
    *,
    input: bytes | None = None,  # noqa: A002 - the name asyncio's own communicate() uses
    stdout: int | IO[bytes] = PIPE,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Completed:
    """Run to the end and collect what it printed. Cancelling kills it."""
    process = await start(
        argv,
        stdin=DEVNULL if input is None else PIPE,
        stdout=stdout,
        env=env,
        cwd=cwd,
    )
    try:
        out, err = await process.communicate(input)
    finally:
        exit_code = await end(process)
    return Completed(exit_code, out or b"", err or b"")


async def build(
    argv: Sequence[str | Path],
    *,
    input: bytes | None = None,  # noqa: A002 - the name asyncio's own communicate() uses
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> bytes:
    """Run a step of a build; its standard output, or BuildFailed with the end of what it said."""
    done = await run(argv, input=input, env=env, cwd=cwd)
    if done.exit_code != 0:
        said = (done.stderr + done.stdout).decode(errors="replace").strip()[-4000:]
        command = shlex.join(str(word) for word in argv)
        raise BuildFailed(f"{command}\nended with exit code {done.exit_code}:\n{said}")
    return done.stdout
