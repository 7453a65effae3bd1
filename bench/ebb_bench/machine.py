"""What is asked of the machine: programs run by hand, and what /proc says of the daemons."""

import os
import subprocess  # noqa: TID251 - the benchmarks' one door: they type what an administrator would
from collections.abc import Mapping, Sequence
from pathlib import Path

_DEADLINE_S = 300.0


class CommandRefused(RuntimeError):
    """A command typed by hand ended with an error: the figures would be about something else."""


def typed(*argv: str, environment: Mapping[str, str] | None = None) -> str:
    """Run one command to its end; its output. Raises CommandRefused with what it said."""
    done = subprocess.run(
        argv,
        check=False,
        stdin=subprocess.DEVNULL,  # a question would wait for ever
        capture_output=True,
        text=True,
        env={**os.environ, "LC_ALL": "C", **(environment or {})},
        timeout=_DEADLINE_S,
    )
    if done.returncode != 0:
        raise CommandRefused(f"{' '.join(argv)} ended with {done.returncode}: {done.stderr}")
    return done.stdout


def started(argv: Sequence[str]) -> subprocess.Popen[str]:
    """A process that goes on; its stderr is ours to read."""
    return subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)


def settle() -> None:
    """Let udev finish with what was done before, so that it is not charged to what comes next."""
    typed("udevadm", "settle")


def lvm_shells(ebbd_pid: int, proc: Path = Path("/proc")) -> list[int]:
    """The lvm processes that ebbd has running."""
    return [pid for pid, name, parent in _processes(proc) if name == "lvm" and parent == ebbd_pid]


def rss_bytes(pid: int, proc: Path = Path("/proc")) -> int:
    """Resident memory, shared libraries included (proc(5), VmRSS)."""
    for line in (proc / str(pid) / "status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"{proc}/{pid}/status has no VmRSS: is {pid} a process that runs?")


def cpu_s(pid: int, ticks_per_s: int, proc: Path = Path("/proc")) -> float:
    """Seconds of processor that a process has used, in user and in kernel mode."""
    fields = _after_name((proc / str(pid) / "stat").read_text())
    return (int(fields[11]) + int(fields[12])) / ticks_per_s  # utime, stime of proc(5)


def cpu_model(proc: Path = Path("/proc")) -> str:
    """As the kernel names the processor; under emulation it says so."""
    for line in (proc / "cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return "unknown"


def _processes(proc: Path) -> list[tuple[int, str, int]]:
    found = []
    for folder in proc.glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while we looked
        name = stat[stat.index("(") + 1 : stat.rindex(")")]
        found.append((int(folder.name), name, int(_after_name(stat)[1])))
    return found


def _after_name(stat: str) -> list[str]:
    """The fields of /proc/PID/stat from the state on: a name may hold blanks and parentheses."""
    return stat[stat.rindex(")") + 1 :].split()
