"""One ebbd a volume group: a lock that the kernel frees when its holder dies.

A file named for the VG's UUID, flock-ed: two daemons with different configurations meet at it, and
so do one in a container and one beside it, since it is the machine's own file. It says who holds it
and outlives the holder, so that the next one can ask what the last one left running: a command
whose ebbd was killed works on by itself, and to act beside it would be to act on a state that is
not there any more.
"""

import asyncio
import fcntl
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path

from ebbd.errors import Unavailable
from ebbd.host.real.machine_root import MachineRoot
from ebbd.host.real.offload import offload

LOCKS = "/run/lock/ebb"
# In the environment of every command that an ebbd starts; its value is the run_directory.
MARK = "EBBD_RUN_DIRECTORY"
_POLL_S = 0.1
_GONE = (FileNotFoundError, ProcessLookupError, PermissionError)


@dataclass(frozen=True, slots=True)
class Holder:
    """Who wrote the lock file."""

    pid: int
    run_directory: str


class Claims:
    """The VGs that this process holds, by UUID."""

    def __init__(self, root: MachineRoot, run_directory: str, *, timeout_s: float) -> None:
        self._root = root
        self._own = Holder(os.getpid(), run_directory)
        self._timeout_s = timeout_s
        self._held: dict[str, TextIOWrapper] = {}

    async def take(self, vg: str, uuid: str) -> None:
        """Hold this VG until `release`. Raises Unavailable naming the holder, or the command of a
        dead one that does not end within the deadline.
        """
        if uuid in self._held:
            return
        file, former = await offload(f"claim on VG {vg}", self._lock, vg, uuid)
        try:
            if former is not None:
                await self._outlive(vg, former)
            await offload(f"claim on VG {vg}", _write, file, self._own)
        except BaseException:
            file.close()
            raise
        self._held[uuid] = file

    def release(self) -> None:
        for file in self._held.values():
            file.close()
        self._held.clear()

    def _lock(self, vg: str, uuid: str) -> tuple[TextIOWrapper, Holder | None]:
        folder = self._root.path(LOCKS)
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        file = (folder / f"{uuid}.lock").open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as held:
            holder = _read(file)
            file.close()
            raise Unavailable(
                f"VG {vg} is another ebbd's: {_told(holder)}",
                "stop that one, or give this one pools of its own",
            ) from held
        return file, _read(file)

    async def _outlive(self, vg: str, former: Holder) -> None:
        """Wait until no command of the former holder runs any more."""
        left: list[str] = []
        try:
            async with asyncio.timeout(self._timeout_s):
                while left := await offload(  # noqa: ASYNC110 - they are not our children
                    "commands of a former ebbd", self._left_by, former
                ):
                    await asyncio.sleep(_POLL_S)
        except TimeoutError as error:
            raise Unavailable(
                f"a command of the ebbd before this one still works on VG {vg}: {'; '.join(left)}",
                "look at the kernel log and the health of the disk, then start ebbd again",
            ) from error

    def _left_by(self, former: Holder) -> list[str]:
        """Commands with that mark whose ebbd is gone: children of this process are its own."""
        mark = f"{MARK}={former.run_directory}".encode()
        found = []
        for process in self._root.proc.iterdir():
            if not process.name.isdecimal():
                continue
            with suppress(*_GONE):
                if (
                    mark in (process / "environ").read_bytes().split(b"\0")
                    and _parent(process) != self._own.pid
                ):
                    command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    found.append(f"process {process.name} ({command.strip()})")
        return found


def _parent(process: Path) -> int:
    """proc(5): the fourth field, behind a name that may hold blanks and brackets."""
    return int((process / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()[1])


def _read(file: TextIOWrapper) -> Holder | None:
    """None: the file is new, or its writer died before it had written."""
    file.seek(0)
    try:
        told = json.loads(file.read())
        return Holder(int(told["pid"]), str(told["run_directory"]))
    except (ValueError, KeyError, TypeError):
        return None


def _write(file: TextIOWrapper, holder: Holder) -> None:
    file.seek(0)
    file.truncate()
    json.dump({"pid": holder.pid, "run_directory": holder.run_directory}, file)
    file.flush()


def _told(holder: Holder | None) -> str:
    if holder is None:
        return "one that has just started"
    return f"process {holder.pid}, with run_directory {holder.run_directory}"
