"""What systemd hears of ebbd, on a socket that stands in for systemd's."""

import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ebbd.errors import HostFailure
from ebbd.notify import READY, STOPPING, ServiceManager


@contextmanager
def listening(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(address)
        systemd.settimeout(5)
        yield systemd


def test_each_state_is_a_datagram(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with listening(address) as systemd:
        manager = ServiceManager.of({"NOTIFY_SOCKET": address})
        manager.tell(READY)
        manager.tell(STOPPING)
        assert [systemd.recv(64), systemd.recv(64)] == [b"READY=1", b"STOPPING=1"]


def test_an_abstract_socket_is_written_with_an_at_sign() -> None:
    name = f"ebbd-{secrets.token_hex(8)}"
    with listening(f"\0{name}") as systemd:
        ServiceManager(f"@{name}").tell(READY)
        assert systemd.recv(64) == b"READY=1"


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": ""}])
def test_without_a_manager_nobody_is_told(environment: dict[str, str]) -> None:
    ServiceManager.of(environment).tell(READY)


def test_a_manager_that_is_not_there_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(HostFailure, match=r"does not hear READY=1.*NOTIFY_SOCKET"):
        ServiceManager(str(tmp_path / "nobody")).tell(READY)
