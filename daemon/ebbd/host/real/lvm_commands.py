"""Give command lines to LVM, one at a time, and count them.

Through the shell where there is one and the line is short enough, by a process of its own
otherwise: both answer in the same JSON, under the same configuration of ours. The command runs in a
task that belongs to this object, so a caller that leaves neither kills it nor lets the next one in.
"""

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path

from ebbd.errors import CommandFailed, InvalidInput
from ebbd.host.real import lvm_answer, lvm_config
from ebbd.host.real.lvm_answer import Answer
from ebbd.host.real.lvm_shell import LONGEST_LINE, LvmShell, NoShell
from ebbd.host.real.run import Runner

# The shell splits at blanks, knows quotes, and takes a leading # for a comment.
_WORD = re.compile(r"(?!#)[!#-&(-\[\]-~]+")
_SUCCEEDED = lvm_answer.SUCCESS
_EXIT_FAILED = 5


class LvmCommands:
    """LVM under our own configuration, which `accept` writes.

    `folder` is the configuration's folder as LVM sees it, `visible_folder` as this process does
    (they differ when a prefix leads out of a container). `timeout_s` is the hard deadline: then
    LVM is killed, and what it was doing must be read back.
    """

    def __init__(
        self,
        runner: Runner,
        folder: str,
        *,
        visible_folder: Path,
        timeout_s: float,
        shell: bool = True,
    ) -> None:
        self._runner = runner
        self._environment = {
            "LVM_SYSTEM_DIR": folder,
            "LVM_SUPPRESS_FD_WARNINGS": "1",
            "HOME": folder,
        }
        self._visible_folder = visible_folder
        self._timeout_s = timeout_s
        self._shell: LvmShell | None = LvmShell(runner, self._environment) if shell else None
        self._configuration = ""
        self._one_at_a_time = asyncio.Lock()
        self._running: set[asyncio.Task[Answer]] = set()
        self.lines = 0

    async def accept(self, devices: Sequence[str], system_id: str = "") -> None:
        """Let LVM see these devices from now on, and no others."""
        wanted = lvm_config.configuration(devices, system_id)
        async with self._one_at_a_time:
            if wanted == self._configuration:
                return
            if self._shell is not None:
                await self._shell.close()  # it reads its configuration when it starts
            lvm_config.write(self._visible_folder, wanted)
            self._configuration = wanted

    async def run(self, *argv: str, timeout_s: float | None = None) -> Answer:
        """One command line. Raises what the answer means (lvm_answer.failure).

        DeadlineExceeded, and CommandFailed with a negative exit code, leave the outcome unknown.
        """
        answer = await self.ask(*argv, timeout_s=timeout_s)
        if answer.return_code != _SUCCEEDED:
            raise lvm_answer.failure(argv, answer)
        return answer

    async def ask(self, *argv: str, timeout_s: float | None = None) -> Answer:
        """One command line, its answer as it is."""
        for word in argv:
            if not _WORD.fullmatch(word):
                raise InvalidInput(
                    f"{word!r} cannot stand on an LVM command line",
                    "no blanks, quotes, backslashes or control characters, no leading #",
                )
        deadline_s = self._timeout_s if timeout_s is None else timeout_s
        task = asyncio.create_task(self._serial(argv, deadline_s))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        task.add_done_callback(_retrieve)
        return await asyncio.shield(task)

    async def physical_volumes(self, vg: str) -> tuple[str, ...]:
        """The VG's devices as the machine's own LVM configuration sees them (a process)."""
        self.lines += 1
        completed = await self._runner.run(
            "lvm",
            *("pvs", "--reportformat", "json", "--options", "pv_name,vg_name"),
            mutates=False,
            timeout_s=self._timeout_s,
            environment={"LVM_SUPPRESS_FD_WARNINGS": "1"},
        )
        rows = lvm_answer.report_rows(completed.stdout, "pv")
        return tuple(row["pv_name"] for row in rows if row["vg_name"] == vg)

    async def close(self) -> None:
        """Let running commands end (a mkfs whose caller has left, too), then end the shell."""
        while self._running:
            await asyncio.wait(self._running)
        await self._runner.close()
        async with self._one_at_a_time:
            if self._shell is not None:
                await self._shell.close()

    async def _serial(self, argv: Sequence[str], timeout_s: float) -> Answer:
        async with self._one_at_a_time:
            self.lines += 1
            if self._shell is not None and len(argv) <= LONGEST_LINE:
                try:
                    return await self._shell.command(argv, timeout_s)
                except NoShell:
                    self._shell = None
            return await self._process(argv, timeout_s)

    async def _process(self, argv: Sequence[str], timeout_s: float) -> Answer:
        completed = await self._runner.run(
            "lvm",
            *argv,
            mutates=True,
            timeout_s=timeout_s,
            environment=self._environment,
            accepted=range(256),
        )
        answer = lvm_answer.parse(completed.stdout.encode())
        if answer is None:
            raise CommandFailed(
                ("lvm", *argv),
                completed.exit_code or _EXIT_FAILED,
                completed.stderr or completed.stdout,
            )
        return answer


def _retrieve(task: "asyncio.Task[Answer]") -> None:
    """A command whose caller has left may fail with nobody looking."""
    if not task.cancelled():
        task.exception()
