"""The same services on a TCP address, for those who bring a certificate with a right.

A server of its own: what it has passes Admission, and nothing else is on it (health and reflection
are for the socket). Without a client's certificate no handshake succeeds.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import structlog

from ebbd.api.admission import Admission
from ebbd.api.failures import FailureInterceptor
from ebbd.api.services import Services
from ebbd.config import ListenConfig
from ebbd.errors import HostFailure

OPTIONS = (
    ("grpc.max_send_message_length", 64 * 1024 * 1024),
    # gRPC would share the port with another process that asks likewise: calls would go to either.
    ("grpc.so_reuseport", 0),
    # A controller pings idle connections, to notice a node that lost its power.
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5000),
)


@asynccontextmanager
async def serving_tls(
    listen: ListenConfig | None,
    node_id: str,
    node_key: str,
    services: Services,
    log: structlog.stdlib.BoundLogger,
    *,
    grace_s: float,
) -> AsyncIterator[None]:
    """Serve while open, as `serving` does; nothing where `listen` is None.

    Raises InvalidInput (the certificate's files) and HostFailure (the address).
    """
    if listen is None:
        yield
        return
    # Time and memory that only those who listen shall pay.
    from ebbd.api.certificates import Rotation  # noqa: PLC0415 - see above

    rotation = Rotation(listen, node_id, log)
    server = grpc.aio.server(
        interceptors=[FailureInterceptor(log), Admission(node_key)], options=OPTIONS
    )
    services.add_to(server)
    try:
        server.add_secure_port(listen.address, rotation.credentials())
    except RuntimeError as refused:
        raise HostFailure(
            f"cannot listen on {listen.address}: {refused}", "give api.listen another address"
        ) from refused
    try:
        await server.start()
        log.info("listening", address=listen.address)
        yield
    finally:
        await server.stop(grace_s)
