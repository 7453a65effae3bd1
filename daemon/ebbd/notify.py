"""Tell the service manager how far ebbd is: sd_notify(3), one datagram to $NOTIFY_SOCKET."""

import socket
from collections.abc import Mapping

from ebbd.errors import HostFailure

READY = "READY=1"
STOPPING = "STOPPING=1"


class ServiceManager:
    """`address` None: nobody waits to be told (no systemd, or a unit without Type=notify)."""

    def __init__(self, address: str | None) -> None:
        self._address = address

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "ServiceManager":
        return cls(environment.get("NOTIFY_SOCKET") or None)

    def tell(self, state: str) -> None:
        """Raises HostFailure: a manager that hears nothing would end ebbd as not started."""
        if self._address is None:
            return
        # An abstract socket is written with @, and known to the kernel with a zero byte.
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            try:
                channel.sendto(state.encode("ascii"), address)
            except OSError as refused:
                raise HostFailure(
                    f"the service manager does not hear {state} at {self._address}: {refused}",
                    "start ebbd from its unit, or without NOTIFY_SOCKET in its environment",
                ) from refused
