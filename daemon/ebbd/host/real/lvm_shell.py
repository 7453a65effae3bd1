"""One running `lvm` shell: command lines in, one JSON document a command out.

A thin create through it takes 0.2 s where a process takes 1.0 s (emulated machine). It starts at
first use and again after a crash or a kill. One command at a time; a caller that leaves does not
disturb the command. Limits found the hard way: `--devices` crashes 2.03.16, a line of 64 words or
more gets no answer at all, and a word that begins with `#` ends the line.
"""

import asyncio
import contextlib
import os
from collections.abc import Mapping, Sequence

import structlog

from ebbd.errors import CommandFailed, DeadlineExceeded
from ebbd.host.real import lvm_answer
from ebbd.host.real.lvm_answer import Answer
from ebbd.host.real.run import Child, Runner

LONGEST_LINE = 63
_NO_SHELL = 3  # what `lvm` without a line editor compiled in ends with when given no command
_LEAVE_S = 10.0


class NoShell(Exception):
    """This LVM has no shell; nothing was run."""


class LvmShell:
    """Talks to the shell. `environment` names its LVM_SYSTEM_DIR."""

    def __init__(self, runner: Runner, environment: Mapping[str, str]) -> None:
        self._runner = runner
        self._environment = dict(environment)
        self._child: Child | None = None
        self._answers: asyncio.StreamReader | None = None
        self._transport: asyncio.ReadTransport | None = None
        self._answered = False
        self._log = structlog.get_logger("ebbd.host.lvm")

    async def command(self, argv: Sequence[str], timeout_s: float) -> Answer:
        """Give it one line and wait for the answer; calls must not overlap.

        Raises NoShell (nothing ran), DeadlineExceeded (the shell was killed) and CommandFailed
        with a negative exit code (it crashed): after either the command's fate is unknown.
        """
        if self._child is None or self._child.exit_code is not None:
            await self._start()
        child, answers = self._child, self._answers
        if child is None or answers is None:
            raise AssertionError("started without a child")
        try:
            async with asyncio.timeout(timeout_s):
                # A dead shell is met as the end of its answers, whatever writing to it says.
                with contextlib.suppress(OSError):
                    await child.write(" ".join(argv).encode("ascii") + b"\n")
                document = b""
                while (answer := lvm_answer.parse(document)) is None:
                    if not (chunk := await answers.read(65536)):
                        return await self._ended(child, argv)
                    document += chunk
        except TimeoutError as error:
            gone = await child.kill() is not None
            await self._forget()
            state = "was killed" if gone else "cannot be killed (the kernel holds it)"
            raise DeadlineExceeded(
                f"{' '.join(argv)} took longer than {timeout_s:g} s and LVM {state}",
                "look at the kernel log and the health of the disk, then try again",
            ) from error
        self._answered = True
        return answer

    async def close(self) -> None:
        """End the shell (it must be idle)."""
        if self._child is not None and self._child.exit_code is None:
            await self._child.end(_LEAVE_S)
        await self._forget()

    async def _start(self) -> None:
        await self._forget()
        receive, send = os.pipe()
        try:
            environment = {**self._environment, "LVM_REPORT_FD": str(send)}
            self._child = await self._runner.start(
                [self._runner.path("lvm")], environment=environment, pass_fds=(send,)
            )
        except BaseException:
            os.close(receive)
            raise
        finally:
            os.close(send)  # ours: so that the shell's end is the end of the pipe
        self._answers = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(self._answers)
        self._transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: protocol, os.fdopen(receive, "rb", buffering=0)
        )
        self._answered = False

    async def _ended(self, child: Child, argv: Sequence[str]) -> Answer:
        code = await child.wait()
        tail = child.tail
        await self._forget()
        if code == _NO_SHELL and not self._answered:
            raise NoShell
        self._log.warning("lvm shell ended", exit_code=code, output=tail[-400:])
        # Its exit code says nothing about the command: report it as a death by signal does.
        raise CommandFailed(tuple(argv), -abs(code) or -1, f"the lvm shell ended: {tail[-400:]}")

    async def _forget(self) -> None:
        if self._transport is not None:
            self._transport.close()
        self._child = self._answers = self._transport = None
