"""Where the machine's files are, seen from this process.

On the machine itself that is `/`. From a container whose commands go through `nsenter -t 1 -m -i`,
the machine's mount namespace is below /proc/1/root and its mount table is that of process 1, while
the paths in requests and on command lines stay the machine's.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class MachineRoot:
    """`filesystem`: the machine's `/`; `mount_table` and `mount_namespace`: of its
    mount namespace.
    """

    filesystem: Path = Path("/")
    proc: Path = Path("/proc")
    mount_table: Path = Path("/proc/self/mountinfo")
    mount_namespace: Path | None = None  # None: this process is in it

    def path(self, absolute: str) -> Path:
        """The machine's absolute path as this process reaches it."""
        return self.filesystem / absolute.lstrip("/")
