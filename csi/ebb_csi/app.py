"""The composition root: settings in, a server with the services of its role out."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

import grpc
from ebb_pb import csi_pb2, csi_pb2_grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from structlog.typing import FilteringBoundLogger

from ebb_csi import placement
from ebb_csi.calls import Calls
from ebb_csi.controller import Controller
from ebb_csi.credentials import TlsFiles, read
from ebb_csi.fleet import Fleet
from ebb_csi.group import GroupController
from ebb_csi.identity import Identity
from ebb_csi.node import Node
from ebb_csi.places import Places
from ebb_csi.roster import LOOK_EVERY_S, Roster
from ebb_csi.router import CHANNEL_OPTIONS, OneNode, Router

SOCKET_MODE = 0o660  # whoever may connect may delete volumes: the owner and its group


class Role(StrEnum):
    """Which services a socket offers."""

    NODE = "node"  # beside kubelet: Identity, Node
    CONTROLLER = "controller"  # beside the sidecars: Identity, Controller, GroupController
    ALL = "all"  # one node, one socket


@dataclass(frozen=True, slots=True)
class Nodes:
    """Where many nodes are, and the files by which they and this plugin know each other."""

    places: Places
    tls: TlsFiles
    look_every_s: float = LOOK_EVERY_S

    def __str__(self) -> str:
        return str(self.places)


@dataclass(frozen=True, slots=True)
class Settings:
    """`endpoint` is a path to listen on, `ebbd` a gRPC target to call or the nodes to call."""

    role: Role
    endpoint: Path
    ebbd: str | Nodes
    driver_name: str
    version: str
    grace_s: float


class EndpointError(Exception):
    """The endpoint cannot be served; the message says what to do."""


def endpoint_path(endpoint: str) -> Path:
    """`unix:///csi/csi.sock`, `unix:/csi/csi.sock` or `/csi/csi.sock` as a path."""
    parts = urlsplit(endpoint)
    if parts.scheme not in {"", "unix"} or parts.netloc or not parts.path.startswith("/"):
        raise EndpointError(
            f"{endpoint!r} is no unix socket with an absolute path; give one like "
            "unix:///csi/csi.sock"
        )
    return Path(parts.path)


def check_free(path: Path) -> None:
    """Refuse to take the socket of a process that still serves it; a left-over file is fine."""
    if not path.parent.is_dir():
        raise EndpointError(f"the folder {path.parent} does not exist; create it")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return
        except OSError as error:
            raise EndpointError(
                f"{path} cannot be used: {error}; give another --endpoint"
            ) from error
    raise EndpointError(f"another process serves {path}; stop it, or give another --endpoint")


async def serve(settings: Settings, log: FilteringBoundLogger, stopping: asyncio.Event) -> None:
    """Serve until `stopping` is set, then let calls under way finish for `grace_s` seconds.

    Raises EndpointError when the endpoint cannot be had.
    """
    check_free(settings.endpoint)
    async with AsyncExitStack() as stack:
        router = await stack.enter_async_context(routing(settings.ebbd, log))
        server = grpc.aio.server(interceptors=[Calls(log)])
        names = add_services(server, settings, router)
        checks = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(checks, server)
        reflection.enable_server_reflection(
            (*names, health.SERVICE_NAME, reflection.SERVICE_NAME), server
        )
        # Bound under another name and renamed: at no moment can anybody connect who may not.
        hidden = settings.endpoint.with_name(f".{settings.endpoint.name}.{os.getpid()}")
        server.add_insecure_port(f"unix:{hidden}")
        await server.start()
        stack.push_async_callback(server.stop, None)  # where what follows fails or is cancelled
        publish_socket(hidden, settings.endpoint)
        stack.callback(settings.endpoint.unlink, missing_ok=True)
        log.info(
            "serving", role=settings.role, endpoint=str(settings.endpoint), ebbd=str(settings.ebbd)
        )
        async with asyncio.TaskGroup() as tasks:
            background = (
                tasks.create_task(report_health(router, checks, names, log)),
                tasks.create_task(router.run()),
            )
            await stopping.wait()
            for task in background:
                task.cancel()
        log.info("stopping", grace_s=settings.grace_s)
        await checks.enter_graceful_shutdown()
        await server.stop(settings.grace_s)
    log.info("stopped")


@asynccontextmanager
async def routing(ebbd: str | Nodes, log: FilteringBoundLogger) -> AsyncIterator[Router]:
    """The way to one ebbd, or to many: those are asked who they are before anything is served.

    Raises CredentialsError and PlacesError when the files are not right from the start.
    """
    if isinstance(ebbd, str):
        async with grpc.aio.insecure_channel(ebbd, options=CHANNEL_OPTIONS) as channel:
            yield OneNode(channel)
        return
    roster = Roster(ebbd.places, lambda: read(ebbd.tls), log, look_every_s=ebbd.look_every_s)
    if ebbd.places.complete:
        await ebbd.places.look()  # a file that is wrong now is told now
    await roster.look()
    try:
        yield Fleet(roster)
    finally:
        await roster.close()


def publish_socket(hidden: Path, path: Path) -> None:
    hidden.chmod(SOCKET_MODE)
    hidden.replace(path)


def add_services(server: grpc.aio.Server, settings: Settings, router: Router) -> tuple[str, ...]:
    """Add what the role offers; returns the services' full names."""
    key = placement.topology_key(settings.driver_name)
    identity = Identity(settings.driver_name, settings.version, router)
    csi_pb2_grpc.add_IdentityServicer_to_server(identity, server)
    names = ["Identity"]
    if settings.role in {Role.CONTROLLER, Role.ALL}:
        csi_pb2_grpc.add_ControllerServicer_to_server(Controller(key, router), server)
        csi_pb2_grpc.add_GroupControllerServicer_to_server(GroupController(router), server)
        names += ["Controller", "GroupController"]
    if settings.role in {Role.NODE, Role.ALL}:
        csi_pb2_grpc.add_NodeServicer_to_server(Node(key, router), server)
        names += ["Node"]
    services = csi_pb2.DESCRIPTOR.services_by_name
    return tuple(services[name].full_name for name in names)


async def report_health(
    router: Router,
    checks: health.aio.HealthServicer,
    names: tuple[str, ...],
    log: FilteringBoundLogger,
) -> None:
    """Keep grpc.health.v1 true: each CSI service serves while ebbd (of many: any) is connected.

    The overall health ("") says only that this process answers, so that a liveness probe does not
    restart the plugin for ebbd's absence.
    """
    serving: bool | None = None  # not known yet, which counts as no
    await set_health(checks, names, serving=False)
    async for ready in router.readiness():
        if ready == serving:
            continue
        serving = ready
        await set_health(checks, names, serving)
        if serving:
            log.info("ebbd is connected")
        else:
            log.warning("ebbd does not answer")


async def set_health(
    checks: health.aio.HealthServicer, names: tuple[str, ...], serving: bool
) -> None:
    answer = health_pb2.HealthCheckResponse
    for name in names:
        await checks.set(name, answer.SERVING if serving else answer.NOT_SERVING)
