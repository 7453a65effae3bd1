"""The layout of a simulated filesystem: a value that lies in chunk 0 of its device.

Because it lies on the device, a snapshot carries the filesystem's identity and its files, as on
a real disk. Files are runs of chunks; each chunk is stamped with its file's content.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

Runs = tuple[tuple[int, int], ...]  # (first chunk, how many)


@dataclass(frozen=True, slots=True)
class File:
    size_bytes: int
    content: object
    runs: Runs


@dataclass(frozen=True, slots=True)
class Superblock:
    """`metadata_chunks` counts chunk 0 itself; `clean` is False while the log wants replay."""

    kind: str
    uuid: str
    size_bytes: int
    chunk_bytes: int
    metadata_chunks: int
    files: tuple[tuple[str, File], ...] = ()
    clean: bool = True

    @property
    def chunks(self) -> int:
        return self.size_bytes // self.chunk_bytes

    @property
    def used_chunks(self) -> int:
        return sum(count for _, file in self.files for _, count in file.runs)

    def file(self, name: str) -> File | None:
        return dict(self.files).get(name)

    def with_file(self, name: str, size_bytes: int, content: object) -> "Superblock | None":
        """The layout with this file in it (an older one of that name replaced); None: no space."""
        without = self.without_file(name)
        wanted = -(-size_bytes // self.chunk_bytes)
        runs: list[tuple[int, int]] = []
        for first, count in without.free_runs():
            taken = min(count, wanted)
            if taken:
                runs.append((first, taken))
                wanted -= taken
        if wanted:
            return None
        file = File(size_bytes, content, tuple(runs))
        return replace(without, files=(*without.files, (name, file)))

    def without_file(self, name: str) -> "Superblock":
        return replace(self, files=tuple(item for item in self.files if item[0] != name))

    def free_runs(self) -> Runs:
        """Chunks that no file and no metadata uses, in order."""
        taken = sorted(run for _, file in self.files for run in file.runs)
        edges = [(0, self.metadata_chunks), *taken, (self.chunks, 0)]
        gaps = [(a + n, b - a - n) for (a, n), (b, _) in pairwise(edges)]
        return tuple((first, count) for first, count in gaps if count > 0)
