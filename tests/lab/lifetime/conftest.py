"""One node for the tests of a module: bringing it up costs more than most of them."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab.volumes.running import RunningNode, running_node

POOL_BYTES = 6 << 30


@pytest.fixture(scope="module")
def node() -> Iterator[RunningNode]:
    # Not below /tmp, which is memory in the lab: a pool of several GiB wants a disk.
    with (
        tempfile.TemporaryDirectory(dir="/var/tmp") as folder,
        running_node(Path(folder), "ebblife", POOL_BYTES) as running,
    ):
        yield running
