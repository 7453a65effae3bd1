"""One node for all that is killed on it: a thin pool, ebbd that dies on order, ebb-csi."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from faults.calls import Calls
from faults.scenarios import Stage, opened
from faults.witness import Witness
from lab.volumes.running import RunningNode, running_node

TESTS = Path(__file__).resolve().parents[2]
POOL_BYTES = 3 << 30


@contextmanager
def consumer(directory: Path) -> Iterator[Path]:
    """A process in a cgroup of its own that sits in a directory; its cgroup."""
    cgroup = Path("/sys/fs/cgroup/faults-consumer")
    cgroup.mkdir(exist_ok=True)
    script = f"echo $$ > {cgroup}/cgroup.procs && cd {directory} && exec sleep infinity"
    with subprocess.Popen(["/bin/sh", "-c", script]) as process:
        try:
            yield cgroup
        finally:
            (cgroup / "cgroup.freeze").write_text("0")
            process.kill()
    cgroup.rmdir()


@dataclass(frozen=True, slots=True)
class Theatre:
    """`orders` is where the mortal ebbd looks for what shall become of it."""

    node: RunningNode
    stage: Stage
    orders: Path


@pytest.fixture(scope="module")
def theatre() -> Iterator[Theatre]:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as made:
        folder = Path(made)
        orders = folder / "orders.json"
        mortal = (
            *("env", f"PYTHONPATH={TESTS}", sys.executable),
            *("-m", "faults.mortal", "--orders", str(orders)),
        )
        with running_node(folder, "faults", POOL_BYTES, ebbd_command=mortal) as node:
            witness = Witness(node)
            stage = opened(Calls(node, "ext4"), witness)
            # Group snapshots hold it still, so that a death in one can leave it frozen.
            with consumer(stage.kept_at) as cgroup:
                witness.cgroups.append(cgroup)
                yield Theatre(node, stage, orders)
