"""The gRPC server on its unix socket: 0660, root and one group, nobody else."""

import grp
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import structlog
from ebb_pb import ebb_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from ebbd.api.failures import FailureInterceptor
from ebbd.api.services import Services
from ebbd.errors import HostFailure

SOCKET_MODE = 0o660


@asynccontextmanager
async def serving(
    socket_path: str,
    group: str,
    services: Services,
    log: structlog.stdlib.BoundLogger,
    *,
    grace_s: float,
) -> AsyncIterator[None]:
    """Serve while open; on the way out no new call is taken and running ones get `grace_s`."""
    server = grpc.aio.server(
        interceptors=[FailureInterceptor(log)],
        options=[("grpc.max_send_message_length", 64 * 1024 * 1024)],
    )
    services.add_to(server)
    ready = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(ready, server)
    names = [service.full_name for service in ebb_pb2.DESCRIPTOR.services_by_name.values()]
    reflection.enable_server_reflection(
        [*names, health.SERVICE_NAME, reflection.SERVICE_NAME], server
    )
    # Bound under another name and renamed: at no moment can anybody connect to it with other
    # rights than the final ones.
    path = Path(socket_path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    _make_parent(path)
    _bind(server, temporary)
    try:
        await server.start()
        own = _publish_socket(temporary, path, group, log)
        try:
            for name in ["", *names]:
                await ready.set(name, health_pb2.HealthCheckResponse.SERVING)
            yield
        finally:
            await ready.enter_graceful_shutdown()
            await server.stop(grace_s)
            _remove(path, own)
    finally:
        await server.stop(None)
        temporary.unlink(missing_ok=True)


def _make_parent(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)


def _bind(server: grpc.aio.Server, temporary: Path) -> None:
    former = os.umask(0o777 & ~SOCKET_MODE)
    try:
        server.add_insecure_port(f"unix:{temporary}")
    except RuntimeError as refused:
        raise HostFailure(
            f"cannot listen on {temporary}: {refused}", "give api.socket another path"
        ) from refused
    finally:
        os.umask(former)


def _remove(path: Path, inode: int) -> None:
    """The socket, unless a daemon started after us has put its own there."""
    if path.exists() and path.stat().st_ino == inode:
        path.unlink()


def _publish_socket(
    temporary: Path, path: Path, group: str, log: structlog.stdlib.BoundLogger
) -> int:
    """Rights, then the name by which it is known; the socket's inode number."""
    try:
        os.chown(temporary, -1, grp.getgrnam(group).gr_gid)
    except KeyError:
        log.warning("no such group, only root may connect", group=group, remedy="groupadd ebb")
    except PermissionError as refused:
        if os.geteuid() == 0:
            raise HostFailure(
                f"{temporary} cannot be given to group {group}: {refused}"
            ) from refused
    temporary.chmod(SOCKET_MODE)
    temporary.replace(path)
    return path.stat().st_ino
