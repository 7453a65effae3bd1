"""One bench a test, on the host that `--host` names."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from contract.host.bench import Bench
from contract.host.simulated_bench import simulated_bench
from contract.host.suitability import missing

if TYPE_CHECKING:
    from contract.host.real_bench import Ground


@pytest.fixture(scope="session")
def ground(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> "Iterator[Ground | None]":
    """The real VG of this run, or None on the simulated host.

    A machine that cannot be a real host fails every test, in words.
    """
    if pytestconfig.getoption("--host") != "real":
        yield None
        return
    if lacking := missing():
        pytest.fail(
            f"--host=real cannot run on this machine: {'; '.join(lacking)}. "
            "Run it in the lab (`make lab` gives a shell in it), or leave --host out"
        )
    from contract.host.real_bench import clear, make_ground  # noqa: PLC0415 - Linux as root only

    folder = tmp_path_factory.mktemp("ground")
    try:
        yield asyncio.run(make_ground(folder))
    finally:
        asyncio.run(clear(folder))


@pytest.fixture
async def bench(ground: "Ground | None", tmp_path: Path) -> AsyncIterator[Bench]:
    if ground is None:
        opened = simulated_bench(tmp_path)
    else:
        from contract.host.real_bench import real_bench  # noqa: PLC0415 - as above

        opened = real_bench(tmp_path, ground)
    async with opened as made:
        yield made
