from pathlib import Path

import pytest
from unit.simulated.bench import Bench, make_bench


@pytest.fixture
async def bench(tmp_path: Path) -> Bench:
    return await make_bench(tmp_path)
