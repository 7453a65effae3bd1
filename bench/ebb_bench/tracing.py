"""A second opinion on ebbd's own count of command lines: strace on ebbd and its lvm shell."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ebb_bench.machine import lvm_shells, started
from ebb_bench.trace_text import count_command_lines

_LONGEST_READ = 65536
_ENDS_WITHIN_S = 30.0


class NotTraced(RuntimeError):
    """strace could not be attached."""


@dataclass(slots=True)
class Trace:
    """`command_lines` is known when the traced block is left."""

    command_lines: int = -1


@contextmanager
def traced(ebbd_pid: int, folder: Path) -> Iterator[Trace]:
    """Count what is given to LVM while this is open. strace slows it: take no times meanwhile."""
    shells = lvm_shells(ebbd_pid)
    log = folder / "strace.log"
    pids = [ebbd_pid, *shells]
    attach = [word for pid in pids for word in ("--attach", str(pid))]
    argv = [
        *("strace", "--follow-forks", "--trace=execve,read", "--signal=none"),
        *("--string-limit", str(_LONGEST_READ), "--output", str(log), *attach),
    ]
    trace = Trace()
    with started(argv) as strace:
        if strace.stderr is None:
            raise AssertionError("started without a stderr")
        attached = 0
        while attached < len(pids):
            if not (line := strace.stderr.readline()):
                raise NotTraced(f"strace ended with {strace.wait()}; is the kernel's ptrace free?")
            attached += " attached" in line
        try:
            yield trace
        finally:
            strace.send_signal(signal.SIGINT)
            # It says who it let go of, and a full pipe would hold it up.
            strace.communicate(timeout=_ENDS_WITHIN_S)
    with log.open(encoding="utf-8", errors="backslashreplace") as lines:
        trace.command_lines = count_command_lines(lines, shells)
