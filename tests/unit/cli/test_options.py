"""Global options: the later one wins, and what holds when there is none."""

from pathlib import Path

import pytest
from ebb_cli.options import Globals, Output


def test_the_later_option_wins_and_silence_keeps_the_earlier() -> None:
    before = Globals(Path("/a"), 5, Output.JSON, quiet=True)
    assert Globals().over(before) == before
    assert Globals(Path("/b"), 0, Output.WIDE, no_color=True).over(before) == Globals(
        Path("/b"), 0, Output.WIDE, quiet=True, no_color=True
    )


def test_the_socket_comes_from_the_option_then_the_environment_then_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("EBB_SOCKET", raising=False)
    assert Globals().socket_path == Path("/run/ebb/ebbd.sock")
    monkeypatch.setenv("EBB_SOCKET", "")
    assert Globals().socket_path == Path("/run/ebb/ebbd.sock")
    monkeypatch.setenv("EBB_SOCKET", "/env")
    assert Globals().socket_path == Path("/env")
    assert Globals(socket=Path("/option")).socket_path == Path("/option")


@pytest.mark.parametrize(("given", "waits"), [(None, 120), (0, None), (0.5, 0.5)])
def test_how_long_an_answer_may_take(given: float | None, waits: float | None) -> None:
    assert Globals(timeout=given).timeout_s == waits
