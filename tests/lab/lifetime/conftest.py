"""One node for all tests of the folder: bringing it up costs more than most of them."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab.volumes.running import MIB, RunningNode, loop_disk, running_node

POOL_BYTES = 3 << 30


@pytest.fixture(scope="session")
def second_disk() -> Iterator[str]:
    """Made before the node and gone after it: the node's VG may have been put on it too."""
    with loop_disk(Path("/var/tmp"), "ebblife-second", 768 * MIB) as device:
        yield device


@pytest.fixture(scope="session")
def node(second_disk: str) -> Iterator[RunningNode]:
    # Not below /tmp, which is memory in the lab: a pool of several GiB wants a disk.
    del second_disk
    with (
        tempfile.TemporaryDirectory(dir="/var/tmp") as folder,
        running_node(Path(folder), "ebblife", POOL_BYTES) as running,
    ):
        yield running
