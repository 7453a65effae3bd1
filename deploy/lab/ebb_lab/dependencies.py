"""The guest's Python packages: a disk of their own, rebuilt when pyproject.toml's lists change.

They are resolved, fetched and compiled by the guest's own Python (see Image.python), so environment
markers and wheel tags are the guest's whatever Python the host has. Only wheels are taken: no
compiler is needed.
"""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ebb_lab import process
from ebb_lab.cache import key_of
from ebb_lab.errors import BuildFailed
from ebb_lab.image import Image
from ebb_lab.progress import Progress

DISK = "deps.img"
GUEST_FOLDER = "/opt/ebb"
_RECIPE = "1"  # raise it when the way this disk is made changes
_SPARE_MIB = 16
_SPARE_FILES = 1024


def requirements(pyproject: dict[str, Any]) -> tuple[str, ...]:
    """[project].dependencies and the dependency group `test`, groups included by it expanded."""
    return (*pyproject["project"]["dependencies"], *_group(pyproject, "test", ()))


def _group(pyproject: dict[str, Any], name: str, including: tuple[str, ...]) -> Iterator[str]:
    if name in including:
        raise BuildFailed(f"pyproject.toml: dependency group {name!r} includes itself")
    for item in pyproject["dependency-groups"][name]:
        if isinstance(item, str):
            yield item
        else:
            yield from _group(pyproject, item["include-group"], (*including, name))


def read_requirements(project: Path) -> tuple[str, ...]:
    return requirements(tomllib.loads((project / "pyproject.toml").read_text()))


def dependencies_key(image_key: str, wanted: tuple[str, ...]) -> str:
    return key_of([_RECIPE, image_key, *wanted])


async def build_dependencies(
    folder: Path, image: Image, wanted: tuple[str, ...], progress: Progress
) -> None:
    """Make deps.img in `folder`."""
    site = folder / "site"
    async with progress.step(f"installing {len(wanted)} Python packages for the guest"):
        command, env = image.python(
            image.pip,
            "install",
            "--no-input",
            "--disable-pip-version-check",
            "--no-warn-script-location",
            "--root-user-action=ignore",
            "--no-compile",
            "--only-binary=:all:",
            "--target",
            site,
            *wanted,
        )
        await process.build(command, env=env)
        command, env = image.python(
            "-m", "compileall", "-q", "-s", str(site), "-p", GUEST_FOLDER, site
        )
        await process.build(command, env=env)
        await make_disk(site, folder / DISK)
        await process.build(["rm", "-rf", site])


async def make_disk(content: Path, disk: Path) -> None:
    """An ext4 image of a folder, without root. No journal: it is never written for keeps."""
    count, size_mib = _measure(content)
    await process.build(
        [
            *("mke2fs", "-q", "-F", "-t", "ext4", "-O", "^has_journal", "-m", "0"),
            *("-E", "root_owner=0:0", "-N", str(count + _SPARE_FILES), "-d", content, disk),
            f"{size_mib + size_mib // 10 + _SPARE_MIB}M",
        ]
    )


def _measure(content: Path) -> tuple[int, int]:
    """Number of files, and MiB in blocks of 4 KiB with one more each for directories and maps."""
    sizes = [path.lstat().st_size for path in content.rglob("*")]
    return len(sizes), sum(-(-size // 4096) + 1 for size in sizes) * 4096 // 2**20
