"""A simulated node a test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from contract.volumes.engine import Engine
from unit.volumes.rig import Rig


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


@pytest.fixture
async def engine(rig: Rig) -> AsyncIterator[Engine]:
    async with rig.start() as started:
        yield started
