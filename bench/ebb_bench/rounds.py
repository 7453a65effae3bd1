"""The same work over CSI and by hand, alternated in one volume group, timed."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from ebb_bench.bare import Bare
from ebb_bench.cluster import Cluster
from ebb_bench.machine import settle
from ebb_bench.series import Compared, compare

T = TypeVar("T")


@dataclass(slots=True)
class Rounds:
    """Times by what was done; `compared` when all rounds are through."""

    cluster: Cluster
    bare: Bare
    size_mib: int
    over_csi_s: dict[str, list[float]] = field(default_factory=dict)
    bare_s: dict[str, list[float]] = field(default_factory=dict)

    def compared(self) -> dict[str, Compared]:
        return {name: compare(csi_s, self.bare_s[name]) for name, csi_s in self.over_csi_s.items()}

    def both(
        self, name: str, turn: int, over_csi: Callable[[], T], by_hand: Callable[[], object]
    ) -> T:
        """Do it both ways. Turns alternate who is first: the second finds caches warm."""
        if turn % 2:
            self._timed(self.bare_s, name, by_hand)
            return self._timed(self.over_csi_s, name, over_csi)
        outcome = self._timed(self.over_csi_s, name, over_csi)
        self._timed(self.bare_s, name, by_hand)
        return outcome

    def one(self, turn: int) -> None:
        """One round of everything; what it made is gone afterwards."""
        size_mib, cluster, bare = self.size_mib, self.cluster, self.bare
        name, kept = f"turn{turn}", f"turn{turn}-kept"
        volume_id = self.both(
            "create",
            turn,
            lambda: cluster.create(name, size_mib),
            lambda: bare.create(name, size_mib),
        )
        bare.deactivate(name)
        snapshot_id = self.both(
            "snapshot",
            turn,
            lambda: cluster.snapshot(volume_id, name),
            lambda: bare.snapshot(name, kept),
        )
        self.both(
            "delete_snapshot",
            turn,
            lambda: cluster.delete_snapshot(snapshot_id),
            lambda: bare.delete(kept),
        )
        bare.activate(name)  # as lvcreate leaves it, and an administrator removes it
        self.both("delete", turn, lambda: cluster.delete(volume_id), lambda: bare.delete(name))
        self._in_use(turn)

    def _in_use(self, turn: int) -> None:
        size_mib, cluster, bare = self.size_mib, self.cluster, self.bare
        name, kept = f"ready{turn}", f"ready{turn}-kept"
        used = self.both(
            "ready",
            turn,
            lambda: cluster.ready(name, size_mib),
            lambda: bare.ready(name, size_mib),
        )
        snapshot_id = self.both(
            "snapshot_active",
            turn,
            lambda: cluster.snapshot(used.volume_id, name),
            lambda: bare.snapshot(name, kept),
        )
        bare.unmount(name)
        bare.delete(kept, name)
        cluster.release(used)
        cluster.delete_snapshot(snapshot_id)
        cluster.delete(used.volume_id)

    def create_among_many(self, turn: int, label: str) -> None:
        name = f"{label}-{turn}"
        volume_id = self.both(
            label,
            turn,
            lambda: self.cluster.create(name, self.size_mib),
            lambda: self.bare.create(name, self.size_mib),
        )
        self.cluster.delete(volume_id)
        self.bare.delete(name)

    def burst(self, turn: int, count: int) -> None:
        """`count` volumes, over CSI all at once (they stay), by hand one after the other."""
        names = [f"burst{turn}-{number}" for number in range(count)]

        def by_hand() -> None:
            for name in names:
                self.bare.create(name, self.size_mib)

        self.both(
            f"burst_{count}",
            turn,
            lambda: self.cluster.create_together(names, self.size_mib),
            by_hand,
        )
        self.bare.delete(*names)

    def _timed(self, into: dict[str, list[float]], name: str, work: Callable[[], T]) -> T:
        settle()
        began_s = time.monotonic()
        outcome = work()
        into.setdefault(name, []).append(time.monotonic() - began_s)
        return outcome
