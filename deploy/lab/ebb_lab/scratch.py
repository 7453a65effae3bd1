"""What a lab writes on the host: one temporary folder, gone with the lab in any case."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from ebb_lab import process
from ebb_lab.model import Disk

ROOT_OVERLAY = "root.qcow2"


@dataclass(frozen=True, slots=True)
class DiskFile:
    """A disk and the file on the host that holds it."""

    disk: Disk
    path: Path


def disk_file(folder: Path, disk: Disk) -> DiskFile:
    return DiskFile(disk, folder / f"disk-{disk.name}.img")


@asynccontextmanager
async def scratch_folder() -> AsyncIterator[Path]:
    """A folder that is removed in any case, by a watcher if this process is killed."""
    folder = Path(tempfile.mkdtemp(prefix="ebb-lab-"))
    watcher = await process.start_survivor(
        ["sh", "-c", 'trap "" INT TERM HUP; cat >/dev/null; rm -rf -- "$1"', "sh", folder]
    )
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
        await process.end(watcher)


async def make_disks(folder: Path, disks: Iterable[Disk], root_disk: Path) -> None:
    """Empty, sparse scratch disks, and what the guest will change of its root disk."""
    for disk in disks:
        with disk_file(folder, disk).path.open("wb") as file:
            file.truncate(disk.size_bytes)
    await process.build(
        [
            *("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw"),
            *("-b", root_disk, folder / ROOT_OVERLAY),
        ]
    )
