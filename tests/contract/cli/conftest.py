"""Daemons to talk to, and an `ebb` that talks to them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from contract.cli.process import CalledEbb, Ebb
from contract.cli.scripted import Script, playing
from contract.cli.simulated import Simulated, simulated


@pytest.fixture
def script(tmp_path: Path) -> Iterator[Script]:
    """A daemon that says what the test tells it to say."""
    script = Script(tmp_path / "ebbd.sock")
    with playing(script):
        yield script


@pytest.fixture
def ebb(script: Script) -> Ebb:
    """`ebb` for the scripted daemon."""
    return CalledEbb(script.socket)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulated]:
    """One real `ebbd --simulate` for a module's tests; each uses names of its own."""
    with simulated(tmp_path_factory.mktemp("ebbd")) as running:
        yield running
