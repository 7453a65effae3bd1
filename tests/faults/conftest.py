"""Options of the fault campaign: how much of it to run, and where to write what it did."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.sample import Sample
from faults.tally import Tally


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "whole_campaign: not in a sample")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--every",
        type=int,
        default=1,
        help="of the points of a mutation take every N-th, and the first of each kind (1: all)",
    )
    parser.addoption("--tally", type=Path, help="write faults and checks, by kind, to this file")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A sample goes through some of the mutations: only finding their points takes its time."""
    if config.getoption("--every") == 1:
        return
    left_out = [item for item in items if item.get_closest_marker("whole_campaign")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """A campaign takes long: what failed is told at once, and not only at its end."""
    if report.failed:
        print(f"\n{report.nodeid} failed:\n{report.longreprtext}")  # noqa: T201 - see above


@pytest.fixture(scope="session")
def tally(pytestconfig: pytest.Config) -> Iterator[Tally]:
    made = Tally()
    yield made
    if path := pytestconfig.getoption("--tally"):
        made.write(path)


@pytest.fixture(scope="session")
def sample(pytestconfig: pytest.Config) -> Sample:
    return Sample(pytestconfig.getoption("--every"))
