"""The host of the bench, for tests that want nothing else of it."""

import pytest
from contract.host.bench import Bench
from ebbd.host.protocols import Host


@pytest.fixture
def host(bench: Bench) -> Host:
    return bench.host
