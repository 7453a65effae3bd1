"""One node for all that is killed on it: a thin pool, ebbd that dies on order, ebb-csi."""

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from faults.calls import Calls
from faults.scenarios import Stage, opened
from faults.witness import Witness
from lab.volumes.running import RunningNode, running_node

TESTS = Path(__file__).resolve().parents[2]
POOL_BYTES = 3 << 30


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
            calls = Calls(node, "ext4")
            yield Theatre(node, opened(calls, Witness(node)), orders)
