"""A throwaway storage node on any machine: Debian's kernel, real LVM and cgroups, under QEMU."""

from ebb_lab.errors import (
    BuildFailed,
    CommandFailed,
    LabError,
    LabLost,
    LabTimeout,
    MissingTool,
)
from ebb_lab.lab import Lab
from ebb_lab.model import Disk, Forward, Result
from ebb_lab.progress import Progress

__all__ = [
    "BuildFailed",
    "CommandFailed",
    "Disk",
    "Forward",
    "Lab",
    "LabError",
    "LabLost",
    "LabTimeout",
    "MissingTool",
    "Progress",
    "Result",
]
