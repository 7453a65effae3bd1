"""The project's own files as the guest sees them under /ebb, on a small disk made when they change.

What git would commit is taken (tracked and untracked, not ignored), compiled by the guest's Python,
and completed with a folder .lab/ that makes it runnable: import paths, the project's metadata and
one command for each of [project.scripts] and pytest. All of it derives from pyproject.toml.
"""

import os
import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from ebb_lab import process
from ebb_lab.cache import key_of
from ebb_lab.dependencies import make_disk
from ebb_lab.errors import BuildFailed
from ebb_lab.image import Image
from ebb_lab.progress import Progress

DISK = "source.img"
GUEST_FOLDER = "/ebb"
_RECIPE = "1"  # raise it when the way this disk is made changes
_VERSION = re.compile(r"^__version__(?:: \w+)? = \"([^\"]+)\"", re.MULTILINE)
_NEVER = frozenset({".git", ".venv", "node_modules", "__pycache__", "build", "dist"})


async def list_files(project: Path) -> tuple[PurePosixPath, ...]:
    """The project's files, relative and sorted; from git, or by walking where there is no git."""
    if (project / ".git").exists() and shutil.which("git"):
        listed = await process.build(
            [
                *("git", "-c", f"safe.directory={project}", "-C", project, "ls-files", "-z"),
                *("--cached", "--others", "--exclude-standard"),
            ]
        )
        names = {name for name in listed.decode().split("\0") if name}
    else:
        names = {path.relative_to(project).as_posix() for path in _walk(project)}
    # A file deleted but not committed is still listed by git.
    return tuple(PurePosixPath(name) for name in sorted(names) if (project / name).is_file())


def _walk(folder: Path) -> Iterator[Path]:
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            if entry.name not in _NEVER:
                yield from _walk(entry)
        else:
            yield entry


def source_key(image_key: str, project: Path, files: tuple[PurePosixPath, ...]) -> str:
    """Hash of names, executable bits and content."""

    def parts() -> Iterator[bytes | str]:
        yield _RECIPE
        yield image_key
        for name in files:
            path = project / name
            yield str(name)
            yield "x" if os.access(path, os.X_OK) else "-"
            yield path.read_bytes()

    return key_of(parts())


def run_files(pyproject: dict[str, Any], version: str) -> dict[str, str]:
    """Content of .lab/, by relative path."""
    folders = pyproject["tool"]["hatch"]["build"]["dev-mode-dirs"]
    scripts = {**pyproject["project"].get("scripts", {}), "pytest": "pytest:main"}
    name = pyproject["project"]["name"]
    info = f"site/{name}-{version}.dist-info"
    entry_points = "".join(
        f"{script} = {target}\n"
        for script, target in pyproject["project"].get("scripts", {}).items()
    )
    files = {
        "site/project.pth": "".join(f"{GUEST_FOLDER}/{folder}\n" for folder in folders),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{entry_points}",
    }
    for script, target in scripts.items():
        module, _, function = target.partition(":")
        files[f"bin/{script}"] = (
            "#!/usr/bin/python3\n"
            f"import sys\nfrom {module} import {function}\nsys.exit({function}())\n"
        )
    return files


def read_version(pyproject: dict[str, Any], project: Path) -> str:
    """The version pyproject.toml states, or the `__version__` in the file it points to."""
    if "version" in pyproject["project"]:
        return str(pyproject["project"]["version"])
    path: str = pyproject["tool"]["hatch"]["version"]["path"]
    stated = _VERSION.search((project / path).read_text())
    if stated is None:
        raise BuildFailed(f'{path} has no line `__version__ = "..."`, as pyproject.toml says')
    return stated[1]


async def build_source(
    folder: Path, image: Image, project: Path, files: tuple[PurePosixPath, ...], progress: Progress
) -> None:
    """Make source.img in `folder`."""
    pyproject = tomllib.loads((project / "pyproject.toml").read_text())
    staged = folder / "staged"
    async with progress.step(f"packing {len(files)} source files"):
        for name in files:
            (staged / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(project / name, staged / name, follow_symlinks=False)
        for relative, text in run_files(pyproject, read_version(pyproject, project)).items():
            path = staged / ".lab" / relative
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(0o755 if relative.startswith("bin/") else 0o644)
        command, env = image.python(
            "-m", "compileall", "-q", "-s", str(staged), "-p", GUEST_FOLDER, staged
        )
        compiled = await process.run(command, env=env)
        if compiled.exit_code != 0:  # the guest says so again where the file is imported
            progress.say(f"some files do not compile:\n{compiled.stdout.decode(errors='replace')}")
        await make_disk(staged, folder / DISK)
        shutil.rmtree(staged)
