"""Make, find and remove paths without ever following a symlink.

Target paths come from outside. Each component is opened below the one before it with O_NOFOLLOW, so
a link that is put in place between a check and its use leads nowhere. Everything here blocks.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ebbd.errors import InvalidInput, NotFound, WrongState

_DIRECTORY_MODE = 0o750
_FILE_MODE = 0o640
_WALK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Place:
    """A path as it was when it was opened: its parent directory, its name there, and itself."""

    parent: int
    name: str
    itself: int

    def close(self) -> None:
        os.close(self.itself)
        os.close(self.parent)


class GuardedPaths:
    """Paths of the file system that begins at `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def kind(self, path: str) -> int | None:
        """stat.S_IFMT of what is there, None when nothing is. Raises InvalidInput for a link."""
        try:
            with self.parent(path) as (parent, name):
                return _kind(path, parent, name)
        except NotFound:
            return None

    def open(self, path: str) -> Place:
        """The path opened (O_PATH); the caller closes it. Raises NotFound, InvalidInput."""
        with self.parent(path) as (parent, name):
            try:
                itself = os.open(name, _WALK, dir_fd=parent)
            except FileNotFoundError as error:
                raise NotFound(f"{path} does not exist", "make it first") from error
            if stat.S_ISLNK(os.fstat(itself).st_mode):
                os.close(itself)
                raise _link(path, name)
            return Place(os.dup(parent), name, itself)

    def make_directory(self, path: str) -> None:
        with self.parent(path) as (parent, name):
            try:
                os.mkdir(name, _DIRECTORY_MODE, dir_fd=parent)
            except FileExistsError:
                _require(path, _kind(path, parent, name), stat.S_IFDIR, "a directory")

    def make_file(self, path: str) -> None:
        with self.parent(path) as (parent, name):
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
            try:
                os.close(os.open(name, flags, _FILE_MODE, dir_fd=parent))
            except FileExistsError:
                found = _kind(path, parent, name)
                # A device node is what a published raw volume looks like: bound over the file.
                if found != stat.S_IFBLK:
                    _require(path, found, stat.S_IFREG, "a file")

    def remove(self, path: str) -> None:
        try:
            with self.parent(path) as (parent, name):
                found = _kind(path, parent, name)
                if found is None:
                    return
                if found == stat.S_IFDIR:
                    os.rmdir(name, dir_fd=parent)
                elif _is_empty_file(parent, name):
                    os.unlink(name, dir_fd=parent)
                else:
                    raise WrongState(
                        f"{path} is not an empty file, as ebb makes them",
                        "ebb removes no data: remove it yourself",
                    )
        except NotFound:
            return
        except OSError as error:
            if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
                raise WrongState(
                    f"{path} is not empty", "ebb removes no data: empty it yourself"
                ) from error
            if error.errno == errno.EBUSY:
                raise WrongState(f"{path} is a mount point", "unmount it first") from error
            raise

    @contextmanager
    def parent(self, path: str) -> Iterator[tuple[int, str]]:
        """The opened parent directory and the last component of an absolute path."""
        parts = path.split("/")
        if parts[0] or ".." in parts or "." in parts or "\0" in path:
            raise InvalidInput(f"{path!r} is not a plain absolute path", "leave out . and ..")
        names = [part for part in parts if part]
        if not names:
            raise InvalidInput(f"{path!r} cannot be a target", "name a path below /")
        current = os.open(self._root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for name in names[:-1]:
                below = _step(path, current, name)
                os.close(current)
                current = below
            yield current, names[-1]
        finally:
            os.close(current)


def _step(path: str, parent: int, name: str) -> int:
    try:
        below = os.open(name, _WALK, dir_fd=parent)
    except FileNotFoundError as error:
        raise NotFound(f"{path}: {name} does not exist", "make its parent directories") from error
    found = stat.S_IFMT(os.fstat(below).st_mode)
    if found == stat.S_IFDIR:
        return below
    os.close(below)
    if found == stat.S_IFLNK:
        raise _link(path, name)
    raise WrongState(f"{path}: {name} is not a directory", "choose another path")


def _kind(path: str, parent: int, name: str) -> int | None:
    try:
        found = stat.S_IFMT(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return None
    if found == stat.S_IFLNK:
        raise _link(path, name)
    return found


def _is_empty_file(parent: int, name: str) -> bool:
    found = os.stat(name, dir_fd=parent, follow_symlinks=False)
    return stat.S_ISREG(found.st_mode) and found.st_size == 0


def _require(path: str, found: int | None, wanted: int, what: str) -> None:
    if found != wanted:
        raise WrongState(f"{path} exists and is not {what}", "remove it or choose another path")


def _link(path: str, name: str) -> InvalidInput:
    return InvalidInput(
        f"{path}: {name} is a symbolic link", "name the real path (readlink -f shows it)"
    )
