"""Run a plain `lvm` and kill it at a chosen system call (strace's fault injection)."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass

_SUBMIT = "io_submit"
_IOCTL = re.compile(r"ioctl\(\d+, (\w+)")
_TURNING = ("DM_DEV_SUSPEND", "DM_TARGET_MSG")


@dataclass(frozen=True, slots=True)
class Point:
    """The `number`-th call of `call` in a command; `what` it does there."""

    call: str
    number: int
    what: str


class KilledLvm:
    """`lvm_folder` is the LVM_SYSTEM_DIR to use."""

    def __init__(self, lvm_folder: str) -> None:
        strace = shutil.which("strace")
        assert strace is not None, "strace is not installed"
        self._program = strace
        self._environment = {
            **os.environ,
            "LVM_SYSTEM_DIR": lvm_folder,
            "LVM_SUPPRESS_FD_WARNINGS": "1",
            "LC_ALL": "C",
        }

    def points(self, *line: str) -> list[Point]:
        """Run the command to its end; where in it a kill could matter."""
        trace = self._strace("-e", f"trace=ioctl,{_SUBMIT}", *line, expected=0)
        counts = {"ioctl": 0, _SUBMIT: 0}
        found: list[Point] = []
        for entry in trace.splitlines():
            call = entry.split("(", 1)[0]
            if call not in counts:
                continue
            counts[call] += 1
            if call == _SUBMIT and "PWRITE" in entry:
                found.append(Point(call, counts[call], "write"))
            elif (number := _IOCTL.match(entry)) and number[1] in _TURNING:
                found.append(Point(call, counts[call], number[1]))
        return found

    def kill(self, point: Point, *line: str) -> None:
        """Run the command and kill it as it enters that call."""
        inject = f"inject={point.call}:signal=KILL:when={point.number}"
        self._strace("-e", f"trace={point.call}", "-e", inject, *line, expected=-signal.SIGKILL)

    def _strace(self, *arguments: str, expected: int) -> str:
        with tempfile.NamedTemporaryFile("r", encoding="utf-8") as trace:
            done = subprocess.run(
                [self._program, "-qq", "-o", trace.name, *arguments],
                env=self._environment,
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
            )
            assert done.returncode == expected, f"{arguments}: {done}"
            return trace.read()
