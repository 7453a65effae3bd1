"""What a lab costs on this machine: boots and commands timed from the host, as a table and as JSON.

The seconds are those of somebody who waits: host work, emulation and ssh together.
"""

import json
import os
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from ebb_lab.lab import Lab
from ebb_lab.model import Disk
from ebb_lab.progress import Progress

_BOOTS = 3
_REPEATS = 7
_POOL = Disk("pool", 4 * 2**30)
_COPIED_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Figure:
    """Seconds: the best, the middle and the worst of `count` times."""

    what: str
    count: int
    best_s: float
    median_s: float
    worst_s: float


def summarise(what: str, took_s: list[float]) -> Figure:
    return Figure(what, len(took_s), min(took_s), statistics.median(took_s), max(took_s))


def table(figures: list[Figure]) -> str:
    width = max(len(figure.what) for figure in figures)
    lines = [f"{'seconds':<{width}}  {'best':>7}  {'median':>7}  {'worst':>7}  times"]
    lines += [
        f"{f.what:<{width}}  {f.best_s:7.2f}  {f.median_s:7.2f}  {f.worst_s:7.2f}  {f.count:5}"
        for f in figures
    ]
    return "\n".join(lines)


async def measure(progress: Progress) -> list[Figure]:
    """Boots labs one after the other; minutes under emulation."""
    figures = [
        await _boots("from nothing to a command run", progress, ebbd=False),
        await _boots("from nothing to ebbd answering", progress, ebbd=True),
    ]
    async with Lab(disks=[_POOL], progress=progress) as lab:
        await lab.run(["modprobe", "-a", "dm-thin-pool"])
        await lab.run(["vgcreate", "vg", _POOL.device])
        await lab.run(["lvcreate", "--type", "thin-pool", "--size", "1G", "--name", "pool", "vg"])
        commands: dict[str, list[str]] = {
            "a command (true)": ["true"],
            "python3 starts": ["python3", "-c", "0"],
            "python3 imports grpc and pydantic": ["python3", "-c", "import grpc, pydantic"],
            "lvs": ["lvs"],
            "ebb --version": ["ebb", "--version"],
        }
        async with progress.step("timing commands"):
            for what, argv in commands.items():
                figures.append(await _repeated(what, partial(lab.run, argv)))
            figures.append(await _repeated("16 MiB out of the lab", partial(_copy_out, lab)))
    return figures


def write_json(figures: list[Figure], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    load_1, load_5, _ = os.getloadavg()
    told = {
        "figures": [asdict(figure) for figure in figures],
        "cpus": os.cpu_count(),
        "load_average": {"1_min": load_1, "5_min": load_5},
    }
    path.write_text(json.dumps(told, indent=2) + "\n")


async def _boots(what: str, progress: Progress, *, ebbd: bool) -> Figure:
    async def boot() -> None:
        async with Lab(progress=progress, ebbd=ebbd) as lab:
            await lab.run(["true"])

    return await _repeated(what, boot, _BOOTS)


async def _repeated(
    what: str, action: Callable[[], Awaitable[object]], count: int = _REPEATS
) -> Figure:
    took_s: list[float] = []
    for _ in range(count):
        started = time.monotonic()
        await action()
        took_s.append(time.monotonic() - started)
    return summarise(what, took_s)


async def _copy_out(lab: Lab) -> None:
    await lab.run(["head", "-c", str(_COPIED_BYTES), "/dev/zero"])
