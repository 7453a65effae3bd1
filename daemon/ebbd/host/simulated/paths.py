"""Directories and target files on the real filesystem, within the allowed directories.

A CO makes the parents of its targets really and looks for the targets really, so the simulated
host makes them really as well: plain directories and empty files, and never a mount.
"""

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from ebbd.errors import InvalidInput, NotFound, WrongState


def make_directory(path: str, allowed: Sequence[str]) -> None:
    mode = _allowed_mode(path, allowed)
    if mode is None:
        Path(path).mkdir(mode=0o750, exist_ok=True)  # made by another call meanwhile: fine
    elif not stat.S_ISDIR(mode):
        raise WrongState(f"{path} is not a directory", "remove it, or use another path")


def make_file(path: str, allowed: Sequence[str]) -> None:
    mode = _allowed_mode(path, allowed)
    if mode is None:
        Path(path).touch(mode=0o640)
    elif not stat.S_ISREG(mode):
        raise WrongState(f"{path} is not a plain file", "remove it, or use another path")


def remove_path(path: str, allowed: Sequence[str]) -> None:
    mode = _allowed_mode(path, allowed, parent_needed=False)
    if mode is None:
        return
    if stat.S_ISREG(mode) and Path(path).stat().st_size == 0:
        Path(path).unlink()
        return
    if not stat.S_ISDIR(mode):
        raise WrongState(
            f"{path} is not an empty file, as ebb makes them",
            "ebb removes no data: remove it yourself",
        )
    try:
        Path(path).rmdir()
    except OSError as error:
        raise WrongState(f"{path} is not empty", "look at what is in it; it is left") from error


def kind_of(path: str) -> str | None:
    """`directory`, `file` or None, wherever it is; a symlink is refused."""
    mode = _mode(path, parent_needed=False)
    if mode is None:
        return None
    return "directory" if stat.S_ISDIR(mode) else "file"


def _allowed_mode(path: str, allowed: Sequence[str], *, parent_needed: bool = True) -> int | None:
    """As `_mode`, but only below an allowed directory."""
    mode = _mode(path, parent_needed=parent_needed)
    if not any(Path(path).is_relative_to(root) for root in allowed):
        raise InvalidInput(
            f"{path} is outside of the allowed directories",
            f"use a path below {' or '.join(allowed) or '(none is allowed)'}",
        )
    return mode


def _mode(path: str, *, parent_needed: bool) -> int | None:
    """The st_mode at `path`, None if nothing is there."""
    parts = Path(path)
    if not parts.is_absolute() or ".." in parts.parts:
        raise InvalidInput(f"{path!r} is not an absolute path without ..", "give a plain path")
    for part in (*reversed(parts.parents), parts):
        try:
            mode = os.lstat(part).st_mode
        except FileNotFoundError as missing:
            if part != parts and parent_needed:
                raise NotFound(f"{part} does not exist", f"make {part} first") from missing
            return None
        except NotADirectoryError as not_directory:
            raise WrongState(
                f"{part.parent} is not a directory", "choose another path"
            ) from not_directory
        if stat.S_ISLNK(mode):
            raise InvalidInput(f"{part} is a symlink", "give the path that it points to")
    return mode
