"""A block device as a filesystem sees it: chunks that remember what was written there."""

from dataclasses import dataclass

from ebbd.errors import DeadlineExceeded, HostFailure, NoRoom, WrongState
from ebbd.host.simulated.pool import OutOfDataSpaceError, ThinStore
from ebbd.host.simulated.state import Node, PoolRecord


@dataclass(frozen=True, slots=True)
class Device:
    """A plain disk (neither node nor pool), or an active thin LV.

    IO on a suspended device would wait: here it is DeadlineExceeded at once.
    """

    path: str
    major: int
    minor: int
    size_bytes: int
    chunk_bytes: int
    store: ThinStore
    device_id: int
    node: Node | None = None
    pool: PoolRecord | None = None

    @property
    def read_only(self) -> bool:
        return self.node is not None and self.node.read_only

    def read(self, chunk: int) -> object | None:
        """The stamp of a chunk; None where nothing was written."""
        self._check()
        return self.store.read(self.device_id, chunk)

    def write(self, first: int, count: int, stamp: object) -> None:
        """Stamp chunks. NoRoom: the pool ran out of blocks half-way."""
        self._check()
        if self.read_only:
            raise WrongState(f"{self.path} is read-only", "write to a volume made from it")
        if self.pool is not None and self.pool.mode == "ro":
            raise NoRoom(
                f"write error on {self.path}: the pool's metadata is full",
                "extend the pool's metadata (lvextend --poolmetadatasize)",
            )
        try:
            self.store.write(self.device_id, first, count, stamp)
        except OutOfDataSpaceError as full:
            raise NoRoom(
                f"write error on {self.path}: the pool has no free data block",
                "extend the pool or delete snapshots",
            ) from full

    def discard(self, first: int, count: int) -> int:
        """Unmap chunks; bytes given back by this device (sharers keep theirs)."""
        self._check()
        return self.store.discard(self.device_id, first, count) * self.chunk_bytes

    def _check(self) -> None:
        if self.node is not None and self.node.suspended:
            raise DeadlineExceeded(
                f"{self.path} is suspended and its IO waits", "resume the device"
            )
        if self.pool is not None and self.pool.failed:
            raise HostFailure(f"IO error on {self.path}: its pool has failed", "see dmesg")
