"""The one place where processes start.

An argv list (never a shell), a deadline, the C locale, a clean environment, a session of its own,
and a typed failure. `prefix` goes in front of every command line: `("nsenter", "-t", "1", "-m",
"-i", "--")` lets ebbd in a container use the node's tools and mount namespace.

Who leaves and who is killed: a caller that is cancelled takes a reading command with it, but a
mutating one runs on to its end (killing LVM half-way jams the pool). Only the deadline kills, and
then the whole process group. A process in an uninterruptible sleep survives even that; it is left
behind and the error says so.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import structlog

from ebbd.errors import CommandFailed, DeadlineExceeded, HostFailure, Unavailable
from ebbd.host.real.programs import PROGRAMS, SEARCH_PATH, Program

_DEATH_S = 5.0  # how long a killed process may take to go before it is left behind
_TAIL_BYTES = 8192


@dataclass(frozen=True, slots=True)
class Completed:
    """A process that ended with an exit code its caller accepts."""

    argv: tuple[str, ...]
    exit_code: int
    stdout: str
    stderr: str


class Child:
    """A long-lived process: lines go in, its output is kept as a tail for error messages."""

    def __init__(self, argv: tuple[str, ...], process: asyncio.subprocess.Process) -> None:
        self.argv = argv
        self._process = process
        self._tail = b""
        self._said = asyncio.Condition()
        self._silent = process.stdout is None
        self._draining = asyncio.create_task(self._drain())

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        return self._process.returncode

    @property
    def tail(self) -> str:
        """The last output, stdout and stderr together."""
        return self._tail.decode("utf-8", "replace").strip()

    async def write(self, data: bytes) -> None:
        """Raises OSError when the process no longer reads."""
        if self._process.stdin is None:
            raise BrokenPipeError(f"{self.argv[0]} has no standard input")
        self._process.stdin.write(data)
        await self._process.stdin.drain()

    async def says(self, text: str, timeout_s: float) -> bool:
        """Wait until it has printed this; False when it does not in time or ends before."""
        try:
            async with asyncio.timeout(timeout_s), self._said:
                await self._said.wait_for(lambda: text in self.tail or self._silent)
        except TimeoutError:
            return False
        return text in self.tail

    async def wait(self) -> int:
        """Its exit code, once it has ended and its output is read."""
        code = await self._process.wait()
        await asyncio.shield(self._draining)  # a caller that gives up must not end the reading
        return code

    async def end(self, timeout_s: float) -> int | None:
        """Close its input and wait; kill what has not left by then. None: not even that helped."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            async with asyncio.timeout(timeout_s):
                return await self.wait()
        except TimeoutError:
            return await self.kill()

    async def kill(self) -> int | None:
        """SIGKILL to its process group; None when it stays (an uninterruptible sleep)."""
        _kill_group(self.pid)
        try:
            async with asyncio.timeout(_DEATH_S):
                return await self.wait()
        except TimeoutError:
            return None

    async def _drain(self) -> None:
        if self._process.stdout is None:
            return
        while chunk := await self._process.stdout.read(4096):
            async with self._said:
                self._tail = (self._tail + chunk)[-_TAIL_BYTES:]
                self._said.notify_all()
        async with self._said:
            self._silent = True
            self._said.notify_all()


class Runner:
    """Starts processes of the machine that `prefix` leads to.

    `programs` maps names to absolute paths (programs.locate), `timeout_s` is the deadline of a
    command that names none, `environment` is added to each command's.
    """

    def __init__(
        self,
        programs: Mapping[str, str],
        *,
        prefix: tuple[str, ...] = (),
        timeout_s: float = 60.0,
        catalogue: Sequence[Program] = PROGRAMS,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._programs = dict(programs)
        self._prefix = prefix
        self._timeout_s = timeout_s
        self._environment = dict(environment or {})
        self._packages = {program.name: program.package for program in catalogue}
        self._running: set[asyncio.Task[Completed]] = set()
        self._log = structlog.get_logger("ebbd.host.run")

    def found(self, program: str) -> str | None:
        """Where the program lies, None when it is not installed."""
        return self._programs.get(program)

    def path(self, program: str) -> str:
        """Where the program lies. Raises Unavailable with the package as the remedy."""
        if program not in self._programs:
            package = self._packages.get(program, program)
            raise Unavailable(f"{program} is not installed", f"apt-get install {package}")
        return self._programs[program]

    async def run(
        self,
        program: str,
        *arguments: str,
        mutates: bool,
        timeout_s: float | None = None,
        stdin: str | None = None,
        environment: Mapping[str, str] | None = None,
        accepted: Collection[int] = (0,),
        pass_fds: Sequence[int] = (),
    ) -> Completed:
        """Run to the end. `mutates`: let it finish though the caller is cancelled.

        `pass_fds` are open in the process under the same numbers.

        Raises CommandFailed on an exit code that is not accepted, DeadlineExceeded after
        killing it at the deadline, Unavailable when the program is not installed.
        """
        argv = (*self._prefix, self.path(program), *arguments)
        deadline_s = self._timeout_s if timeout_s is None else timeout_s
        task = asyncio.create_task(
            self._execute(
                argv, deadline_s, stdin, self._environment | dict(environment or {}), pass_fds
            )
        )
        self._running.add(task)
        task.add_done_callback(self._ended)
        try:
            completed = await asyncio.shield(task)
        except asyncio.CancelledError:
            if not mutates:
                task.cancel()
            raise
        if completed.exit_code not in accepted:
            raise CommandFailed((program, *arguments), completed.exit_code, completed.stderr)
        return completed

    async def start(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
        prefixed: bool = True,
    ) -> Child:
        """Start a long-lived process; `argv[0]` is a path (see `path`)."""
        line = (*(self._prefix if prefixed else ()), *argv)
        process = await _spawn(
            line,
            self._environment | dict(environment or {}),
            asyncio.subprocess.STDOUT,
            pass_fds,
        )
        return Child(line, process)

    async def close(self) -> None:
        """Let every running command end (each has its deadline), then return."""
        while self._running:
            await asyncio.wait(self._running)

    def _ended(self, task: asyncio.Task[Completed]) -> None:
        """Also retrieves what nobody may be waiting for any more."""
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.debug("command ended with an error", error=str(error))

    async def _execute(
        self,
        argv: tuple[str, ...],
        timeout_s: float,
        stdin: str | None,
        environment: Mapping[str, str],
        pass_fds: Sequence[int],
    ) -> Completed:
        process = await _spawn(argv, environment, asyncio.subprocess.PIPE, pass_fds)
        talk = asyncio.ensure_future(process.communicate((stdin or "").encode()))
        try:
            async with asyncio.timeout(timeout_s):
                stdout, stderr = await asyncio.shield(talk)
        except (TimeoutError, asyncio.CancelledError) as error:
            gone = await _put_down(process, talk)
            if isinstance(error, asyncio.CancelledError):
                raise
            state = "was killed" if gone else "cannot be killed (the kernel holds it)"
            raise DeadlineExceeded(
                f"{' '.join(argv)} took longer than {timeout_s:g} s and {state}",
                "look at the kernel log and the health of the disk, then try again",
            ) from error
        return Completed(
            argv,
            process.returncode or 0,
            stdout.decode("utf-8", "replace"),
            stderr.decode("utf-8", "replace"),
        )


async def _spawn(
    argv: Sequence[str],
    environment: Mapping[str, str],
    stderr: int,
    pass_fds: Sequence[int] = (),
) -> asyncio.subprocess.Process:
    try:
        return await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
            env={"PATH": ":".join(SEARCH_PATH), "LC_ALL": "C", "HOME": "/", **environment},
            cwd="/",
            start_new_session=True,
            pass_fds=tuple(pass_fds),
        )
    except OSError as error:
        raise HostFailure(f"{argv[0]} cannot be started: {error}", "is it installed?") from error


async def _put_down(
    process: asyncio.subprocess.Process, talk: "asyncio.Future[tuple[bytes, bytes]]"
) -> bool:
    """Kill the process group; True once it is gone and its pipes are read."""
    _kill_group(process.pid)
    done, _pending = await asyncio.wait({talk}, timeout=_DEATH_S)
    if done:
        return True
    talk.cancel()
    return False


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
