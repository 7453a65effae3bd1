"""Why a socket does not answer: looked at with real sockets, and told with a remedy."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ebb_cli.connection import Reach, Socket, examine, explain
from ebb_cli.failures import ExitCode

NOBODY = 65534


@contextmanager
def listening(path: Path, *, backlog: int = 1) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(os.fspath(path))
        server.listen(backlog)
        yield server


@contextmanager
def unprivileged() -> Iterator[None]:
    """Root may do everything, so a test of permissions has to become somebody else."""
    own = os.geteuid()
    if own == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(own)


def test_a_listening_socket_answers(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with listening(path):
        path.chmod(0o660)
        found = examine(path)
    assert (found.reach, found.mode) == (Reach.ANSWERS, 0o660)
    assert found.group


def test_nothing_there(tmp_path: Path) -> None:
    assert examine(tmp_path / "no" / "s").reach is Reach.MISSING


def test_a_file_in_the_way_of_a_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert examine(tmp_path / "file" / "s").reach is Reach.MISSING


def test_a_file_is_no_socket(tmp_path: Path) -> None:
    (tmp_path / "s").touch()
    assert examine(tmp_path / "s").reach is Reach.NOT_A_SOCKET


def test_a_socket_that_was_left_behind(tmp_path: Path) -> None:
    with listening(tmp_path / "s"):
        pass
    assert examine(tmp_path / "s").reach is Reach.REFUSED


def test_a_socket_of_another_kind(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(os.fspath(tmp_path / "s"))
        found = examine(tmp_path / "s")
    assert found.reach is Reach.UNREACHABLE
    assert found.error in explain(found).what


def test_a_daemon_that_accepts_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ebb_cli.connection._CONNECT_TIMEOUT_S", 0.05)
    path = tmp_path / "s"
    with listening(path, backlog=0), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as first:
        first.connect(os.fspath(path))
        assert examine(path).reach is Reach.HANGS


def test_a_socket_without_permission(tmp_path: Path) -> None:
    path = tmp_path / "s"
    tmp_path.chmod(0o755)
    parents = [it for it in tmp_path.parents if not it.stat().st_mode & 0o001]
    with listening(path):
        path.chmod(0)
        with unprivileged():
            found = examine(path)
    assert found.reach is Reach.DENIED
    # With every parent open to others the socket's own group can be named, else it cannot.
    assert bool(found.group) == (os.geteuid() != 0 or not parents)


def test_a_directory_without_permission(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    with listening(closed / "s"):
        closed.chmod(0)
        with unprivileged():
            found = examine(closed / "s")
        closed.chmod(0o700)
    assert found == Socket(closed / "s", Reach.DENIED)


@pytest.mark.parametrize("reach", list(Reach))
def test_every_explanation_names_the_socket_and_the_way_out(reach: Reach) -> None:
    error = explain(Socket(Path("/run/ebb/ebbd.sock"), reach, "ebb", 0o660, "why"))
    assert "/run/ebb/ebbd.sock" in error.what
    assert error.remedy
    assert error.exit_code is ExitCode.UNAVAILABLE


def test_who_lacks_permission_learns_which_group_has_it() -> None:
    error = explain(Socket(Path("/s"), Reach.DENIED, "storage", 0o660))
    assert error.what == 'no permission to use the socket /s (mode 0660, group "storage")'
    assert "usermod -aG storage" in error.remedy


@pytest.mark.parametrize("reach", [Reach.MISSING, Reach.REFUSED])
def test_who_finds_no_daemon_learns_how_to_start_it(reach: Reach) -> None:
    assert "systemctl start ebbd" in explain(Socket(Path("/s"), reach)).remedy


def test_nobody_is_told_to_join_the_group_root() -> None:
    remedy = explain(Socket(Path("/s"), Reach.DENIED, "root", 0o660)).remedy
    assert "usermod" not in remedy
    assert "groupadd ebb" in remedy
    assert "sudo" in remedy
