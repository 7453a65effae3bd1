"""Files into and out of the guest, as tar archives over its connection."""

import os
import shlex
from pathlib import Path, PurePosixPath

from ebb_lab import process
from ebb_lab.guest import Guest, to_result


async def put(guest: Guest, local: Path, remote: str) -> None:
    """A file to the path `remote`, or what is in a folder into the folder `remote`."""
    into = shlex.quote(remote)
    if (content := _content(local)) is None:
        content = await process.build(["tar", "-C", local, "-cf", "-", "."])
        script = f"mkdir -p {into} && tar -C {into} -xf - --no-same-owner"
    else:
        mode = "755" if os.access(local, os.X_OK) else "644"
        parent = shlex.quote(str(PurePosixPath(remote).parent))
        script = f"mkdir -p {parent} && cat >{into} && chmod {mode} {into}"
    argv = ["sh", "-c", script]
    to_result(argv, await guest.run(argv, input=content)).check()


async def get(guest: Guest, remote: str, local: Path) -> None:
    """What is in a folder of the guest into a folder of the host, or a file to a file."""
    code, _, _ = await guest.run(["test", "-d", remote])
    is_folder = code == 0
    argv = ["tar", "-C", remote, "-cf", "-", "."] if is_folder else ["cat", remote]
    done = await guest.run(argv)
    to_result(argv, done).check()
    if is_folder:
        await process.build(["mkdir", "-p", local])
        await process.build(["tar", "-C", local, "-xf", "-", "--no-same-owner"], input=done[1])
    else:
        _write(local, done[1])


def _content(local: Path) -> bytes | None:
    """A file's bytes; None for a folder."""
    return None if local.is_dir() else local.read_bytes()


def _write(local: Path, content: bytes) -> None:
    local.parent.mkdir(parents=True, exist_ok=True)
    local.write_bytes(content)
