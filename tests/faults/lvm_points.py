"""The points of an LVM command at which its death can matter, and strace to kill it there.

The LVM that is killed is the shell of a running ebbd: strace attaches to it, so neither ebbd nor
LVM is started in another way than anywhere.
"""

import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ATTACH_S = 30.0
# flock is here for what comes after: LVM lets go of its locks when all is written.
TRACED = ("ioctl", "io_submit", "flock")
_LINE = re.compile(r"(?:\d+ +)?(?P<call>[a-z_]+)\(")
_REQUEST = re.compile(r"ioctl\(\d+[^,]*, (?P<name>\w+)")
_ACTING = frozenset(
    {
        *("DM_DEV_CREATE", "DM_DEV_REMOVE", "DM_DEV_RENAME", "DM_DEV_SUSPEND"),
        *("DM_TABLE_LOAD", "DM_TABLE_CLEAR", "DM_TARGET_MSG"),
    }
)


@dataclass(frozen=True, slots=True)
class Point:
    """Death on entry to the `number`-th `call`: right before or right after `what`."""

    call: str
    number: int
    what: str


def points(trace: str) -> list[Point]:
    """Before and after each ioctl that acts and each metadata write.

    Between two traced calls LVM changes nothing, so to die after one is to die as it enters the
    next, whatever that is.
    """
    counts: Counter[str] = Counter()
    found: dict[tuple[str, int], Point] = {}
    after = ""
    for line in trace.splitlines():
        matched = _LINE.match(line)
        if matched is None or (call := matched["call"]) not in TRACED:
            continue
        counts[call] += 1
        place = (call, counts[call])
        if after:
            found[place] = Point(*place, f"after {after}")
        after = _acting(call, line)
        if after:
            found[place] = Point(*place, f"before {after}")
    return list(found.values())


def _acting(call: str, line: str) -> str:
    if call == "io_submit":
        return "write" if "PWRITE" in line else ""
    request = _REQUEST.search(line) if call == "ioctl" else None
    return request["name"] if request and request["name"] in _ACTING else ""


def shell_of(ebbd_pid: int) -> int:
    """ebbd's LVM shell."""
    children = Path(f"/proc/{ebbd_pid}/task/{ebbd_pid}/children").read_text().split()
    [shell] = [int(pid) for pid in children if Path(f"/proc/{pid}/comm").read_text() == "lvm\n"]
    return shell


@contextmanager
def traced(pid: int, output: Path) -> Iterator[None]:
    """What this process calls meanwhile is in `output` afterwards."""
    with _attached(pid, "-o", str(output), "-e", f"trace={','.join(TRACED)}"):
        yield


@contextmanager
def killed_at(pid: int, point: Point) -> Iterator[None]:
    """This process is killed as it enters that call; AssertionError if it lived on."""
    inject = f"inject={point.call}:signal=KILL:when={point.number}"
    with _attached(pid, "-o", "/dev/null", "-e", f"trace={point.call}", "-e", inject) as strace:
        yield
        try:
            strace.wait(timeout=ATTACH_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"LVM did not come to {point}") from None


@contextmanager
def _attached(pid: int, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    program = shutil.which("strace")
    assert program is not None, "strace is not installed"
    strace = subprocess.Popen(
        [program, "-qq", "-p", str(pid), *options], stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    try:
        _wait_until_traced(pid, strace)
        yield strace
    finally:
        if strace.poll() is None:
            strace.send_signal(signal.SIGINT)  # it lets go of what it traces
        strace.communicate(timeout=ATTACH_S)


def _wait_until_traced(pid: int, strace: subprocess.Popen[bytes]) -> None:
    end_s = time.monotonic() + ATTACH_S
    while time.monotonic() < end_s:
        assert strace.poll() is None, "strace ended at once"
        status = Path(f"/proc/{pid}/status").read_text()
        if f"\nTracerPid:\t{strace.pid}\n" in status:
            return
        time.sleep(0.01)
    raise AssertionError(f"strace did not attach to {pid}")
