"""Options of the fault campaign: how much of it to run, and where to write what it did."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.sample import Sample
from faults.tally import Tally


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--every",
        type=int,
        default=1,
        help="of the points of a mutation take every N-th, and the first of each kind (1: all)",
    )
    parser.addoption("--tally", type=Path, help="write faults and checks, by kind, to this file")


@pytest.fixture(scope="session")
def tally(pytestconfig: pytest.Config) -> Iterator[Tally]:
    made = Tally()
    yield made
    if path := pytestconfig.getoption("--tally"):
        made.write(path)


@pytest.fixture(scope="session")
def sample(pytestconfig: pytest.Config) -> Sample:
    return Sample(pytestconfig.getoption("--every"))
