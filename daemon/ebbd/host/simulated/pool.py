"""Thin sharing: which chunk of which thin device lies in which block of a pool.

The model of dm-thin's metadata: a map per device from virtual chunk to block, and a reference
count per block. A snapshot copies the map and shares every block; a write to a shared block takes
a new one; the last reference gives the block back. Blocks carry a stamp, whatever the writer
put there, so that a snapshot's content can be told from its origin's.

Nothing here waits, and nothing knows about LVM.
"""


class OutOfDataSpaceError(Exception):
    """The pool has no free block for a write (the kernel's word for it)."""


class ThinStore:
    """The blocks of one pool (or of one plain disk, as a store with a single device).

    `blocks` counts data blocks; devices are known by their 24-bit ids. KeyError: no such device.
    """

    def __init__(self, blocks: int) -> None:
        self.blocks = blocks
        self.mappings = 0  # over all devices: what the pool's metadata has to hold
        self._maps: dict[int, dict[int, int]] = {}
        self._references: dict[int, int] = {}
        self._stamps: dict[int, object] = {}
        self._next_block = 0
        self._freed: list[int] = []

    @property
    def used(self) -> int:
        return len(self._references)

    @property
    def devices(self) -> frozenset[int]:
        return frozenset(self._maps)

    def create(self, device_id: int) -> None:
        self._refuse_taken(device_id)
        self._maps[device_id] = {}

    def snapshot(self, origin_id: int, device_id: int) -> None:
        """The new device shares every block that the origin has at this moment."""
        self._refuse_taken(device_id)
        shared = dict(self._maps[origin_id])
        for block in shared.values():
            self._references[block] += 1
        self._maps[device_id] = shared
        self.mappings += len(shared)

    def delete(self, device_id: int) -> None:
        mapping = self._maps.pop(device_id)
        self.mappings -= len(mapping)
        for block in mapping.values():
            self._release(block)

    def write(self, device_id: int, first: int, count: int, stamp: object) -> None:
        """Stamp `count` chunks from `first` on, while blocks last (OutOfDataSpaceError)."""
        mapping = self._maps[device_id]
        for chunk in range(first, first + count):
            block = mapping.get(chunk)
            if block is None or self._references[block] > 1:
                fresh = self._take()
                if block is None:
                    self.mappings += 1
                else:
                    self._release(block)
                mapping[chunk] = block = fresh
            self._stamps[block] = stamp

    def discard(self, device_id: int, first: int, count: int) -> int:
        """Unmap; the chunks that were mapped and now are not."""
        mapping = self._maps[device_id]
        mapped = [chunk for chunk in range(first, first + count) if chunk in mapping]
        for chunk in mapped:
            self._release(mapping.pop(chunk))
        self.mappings -= len(mapped)
        return len(mapped)

    def read(self, device_id: int, chunk: int) -> object | None:
        """The chunk's stamp; None where nothing was ever written (the kernel reads zeros)."""
        block = self._maps[device_id].get(chunk)
        return None if block is None else self._stamps[block]

    def mapped(self, device_id: int) -> int:
        return len(self._maps[device_id])

    def exclusive(self, device_id: int) -> int:
        """Chunks that no other device shares: what deleting this one gives back."""
        return sum(self._references[block] == 1 for block in self._maps[device_id].values())

    def _refuse_taken(self, device_id: int) -> None:
        if device_id in self._maps:
            raise FileExistsError(f"thin device {device_id} is in the pool already")

    def _take(self) -> int:
        if self.used >= self.blocks:
            raise OutOfDataSpaceError
        if self._freed:
            block = self._freed.pop()
        else:
            block = self._next_block
            self._next_block += 1
        self._references[block] = 1
        return block

    def _release(self, block: int) -> None:
        self._references[block] -= 1
        if not self._references[block]:
            del self._references[block], self._stamps[block]
            self._freed.append(block)
