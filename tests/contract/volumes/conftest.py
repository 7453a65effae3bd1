"""The engine on the bench's pool, on the host that `--host` names."""

from collections.abc import AsyncIterator

import pytest
from contract.host.bench import Bench
from contract.volumes.engine import Engine, running
from ebbd.volumes.pools import PoolSpec


@pytest.fixture
def spec(bench: Bench) -> PoolSpec:
    return PoolSpec(bench.vg, bench.pool, 4.0)


@pytest.fixture
async def engine(bench: Bench, spec: PoolSpec) -> AsyncIterator[Engine]:
    async with running(bench.host, [spec], bench.directory, max_volumes=2) as started:
        yield started
