"""A folder of things that are slow to make: each entry is a folder named KIND-HASH of its inputs.

An entry is built in a temporary folder and renamed into place, so that a half-made one is never
seen. Two builders of one entry wait for each other (flock); whoever uses an entry holds a shared
lock on it, and entries nobody has used for a while and nobody holds are removed.
"""

import asyncio
import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

from ebb_lab.progress import Progress

_HELD = ".held"
_LOCK_RETRY_S = 0.2


def default_root() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "ebb" / "lab"


def key_of(parts: Iterable[bytes | str]) -> str:
    """A short hash of the parts, in order; where one part ends and the next begins counts."""
    digest = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        digest.update(b"%d:" % len(raw))
        digest.update(raw)
    return digest.hexdigest()[:16]


class Cache:
    """The newest few entries of a kind stay anyway; others go when unused for long."""

    def __init__(self, root: Path, *, keep_newest: int = 3) -> None:
        self.root = root
        self._keep_newest = keep_newest

    def has(self, kind: str, key: str) -> bool:
        return (self.root / f"{kind}-{key}" / _HELD).exists()

    @asynccontextmanager
    async def entry(
        self,
        kind: str,
        key: str,
        make: Callable[[Path], Awaitable[None]],
        progress: Progress,
        *,
        forget_after_s: float,
    ) -> AsyncIterator[Path]:
        """The folder of this entry, made by `make(folder)` if it is missing; held while in use.

        When one is made, others of its kind that were not used for `forget_after_s` are removed.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        folder = self.root / f"{kind}-{key}"
        while (held := self._hold(folder)) is None:
            async with self._builder_lock(kind, key, progress):
                if not self.has(kind, key):
                    await self._make(folder, make)
                    self._prune(kind, forget_after_s)
        with held:
            yield folder

    def _hold(self, folder: Path) -> IO[bytes] | None:
        """An open file with a shared lock on the entry; None when there is no (whole) entry."""
        try:
            held = (folder / _HELD).open("rb")
        except FileNotFoundError:
            return None
        fcntl.flock(held, fcntl.LOCK_SH)
        if not (folder / _HELD).exists():  # pruned between opening and locking
            held.close()
            return None
        os.utime(folder / _HELD)
        return held

    @asynccontextmanager
    async def _builder_lock(self, kind: str, key: str, progress: Progress) -> AsyncIterator[None]:
        with (self.root / f"{kind}-{key}.lock").open("wb") as lock:
            if not _try_lock(lock):
                async with progress.step(f"waiting for another builder of the {kind} image"):
                    while not _try_lock(lock):  # noqa: ASYNC110 - flock has no event to await
                        await asyncio.sleep(_LOCK_RETRY_S)
            yield

    async def _make(self, folder: Path, make: Callable[[Path], Awaitable[None]]) -> None:
        building = Path(tempfile.mkdtemp(prefix=f"{folder.name}.making-", dir=self.root))
        try:
            await make(building)
        except BaseException:
            shutil.rmtree(building)
            raise
        _put_in_place(building, folder)

    def _prune(self, kind: str, forget_after_s: float) -> None:
        """Forget what was not used for long; also what a killed builder left behind."""
        entries = [
            (held.stat().st_mtime, held.parent) for held in self.root.glob(f"{kind}-*/{_HELD}")
        ]
        entries.sort(reverse=True)
        oldest_kept = time.time() - forget_after_s
        for used_at, folder in entries[self._keep_newest :]:
            if used_at < oldest_kept:
                self._remove_unless_held(folder)
        for folder in self.root.glob(f"{kind}-*.making-*"):
            if folder.stat().st_mtime < oldest_kept:
                shutil.rmtree(folder)

    def _remove_unless_held(self, folder: Path) -> None:
        with (folder / _HELD).open("rb") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            (folder / _HELD).unlink()
            shutil.rmtree(folder)
            (self.root / f"{folder.name}.lock").unlink(missing_ok=True)


def _put_in_place(building: Path, folder: Path) -> None:
    building.chmod(0o755)
    (building / _HELD).touch()
    building.rename(folder)


def _try_lock(lock: IO[bytes]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
