"""How many command lines one operation gives to LVM: by ebbd's count, and by strace's."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from ebb_bench.cluster import Cluster
from ebb_bench.tracing import traced

T = TypeVar("T")


@dataclass(slots=True)
class Counting:
    """`counted` is ebbd's own answer (GetNode), which `traced_lines` must confirm."""

    cluster: Cluster
    command_lines: Callable[[], int]
    ebbd_pid: int
    folder: Path
    counted: dict[str, int] = field(default_factory=dict)
    traced_lines: dict[str, int] = field(default_factory=dict)

    def count(self, name: str, operation: Callable[[], T]) -> T:
        before = self.command_lines()
        with traced(self.ebbd_pid, self.folder) as trace:
            outcome = operation()
        self.counted[name] = self.command_lines() - before
        self.traced_lines[name] = trace.command_lines
        return outcome

    def disagreements(self) -> list[str]:
        return [
            f"{name}: ebbd counts {counted} command lines, strace saw {self.traced_lines[name]}"
            for name, counted in self.counted.items()
            if counted != self.traced_lines[name]
        ]

    def one_life(self, size_mib: int) -> None:
        """A volume from its creation to its deletion, each operation counted by itself."""
        cluster, count = self.cluster, self.count
        cluster.delete(cluster.create("count-first", size_mib))  # the lvm shell runs from here on
        volume_id = count("create", lambda: cluster.create("counted", size_mib))
        used = cluster.used(volume_id, "counted")
        count("stage", lambda: cluster.stage(used))
        count("publish", lambda: cluster.publish(used))
        snapshot_id = count("snapshot", lambda: cluster.snapshot(volume_id, "counted"))
        count("expand", lambda: cluster.expand(volume_id, 2 * size_mib))
        count("stats", lambda: cluster.stats(used))
        count("list", cluster.list_volumes)
        count("capacity", cluster.capacity)
        count("unpublish", lambda: cluster.unpublish(used))
        count("unstage", lambda: cluster.unstage(used))
        count("restage", lambda: cluster.stage(used))
        cluster.unstage(used)
        count("delete_snapshot", lambda: cluster.delete_snapshot(snapshot_id))
        count("delete", lambda: cluster.delete(volume_id))
