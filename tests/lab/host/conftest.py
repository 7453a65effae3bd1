from collections.abc import AsyncIterator

import pytest
from lab.host.ground import Ground, opened


@pytest.fixture
async def ground() -> AsyncIterator[Ground]:
    async with opened() as made:
        yield made
