"""Data to compare: written through a mount or to a raw device, and read back around any cache."""

import hashlib
import os
import random
from pathlib import Path

from lab.volumes.running import MIB, Use, run

FILES = 12
BLOCK_PIECES = 6


def write(use: Use, filesystem: str, seed: int) -> None:
    """Replace the contents by what `seed` says, on disk when this returns."""
    source = random.Random(seed)  # noqa: S311 - data to compare, no secret
    if filesystem:
        for number in range(FILES):
            path = use.target / f"folder{number % 3}" / f"file{number}"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(source.randbytes(source.randrange(1, MIB)))
        (use.target / "folder0" / "link").unlink(missing_ok=True)
        (use.target / "folder0" / "link").symlink_to(f"../seed-{seed}")
        run("sync", "--file-system", str(use.target))
        return
    with use.target.open("r+b") as device:
        for piece in range(BLOCK_PIECES):
            device.seek(piece * 5 * MIB + 4096)
            device.write(source.randbytes(MIB))
        device.flush()
        os.fsync(device.fileno())


def digest(use: Use, filesystem: str) -> str:
    """Of everything there is: names, links and bytes, or the device's first 32 MiB."""
    if not filesystem:
        return _of_device(use.target)
    whole = hashlib.sha256()
    for path in sorted(use.target.rglob("*")):
        if path.name == "lost+found":
            continue
        whole.update(str(path.relative_to(use.target)).encode())
        if path.is_symlink():
            whole.update(str(path.readlink()).encode())
        elif path.is_file():
            whole.update(path.read_bytes())
    return whole.hexdigest()


def _of_device(path: Path) -> str:
    run("blockdev", "--flushbufs", str(path))
    with path.open("rb") as device:
        return hashlib.sha256(device.read(32 * MIB)).hexdigest()
