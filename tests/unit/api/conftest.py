"""A served engine a test."""

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from unit.api.served import Served, serve
from unit.volumes.rig import Rig


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    # Its own short directory: a socket's path has 107 bytes.
    with tempfile.TemporaryDirectory() as directory:
        async with serve(Rig(tmp_path / "mounts"), Path(directory)) as made:
            yield made
