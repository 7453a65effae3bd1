"""ebb-csi in this process, over real sockets, in front of an ebb.v1 double.

The double stands for what a healthy ebbd cannot be made to do: be slow, be away, fail oddly,
reveal the deadline it was given. Everything else is tested against `ebbd --simulate`
(tests/contract/csi).
"""

import asyncio
import io
import json
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
from ebb_csi import logs
from ebb_csi.app import EndpointError, Role, Settings, check_free, endpoint_path, serve
from ebb_pb import csi_pb2, csi_pb2_grpc, ebb_pb2
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

Context = grpc.aio.ServicerContext[Any, Any]


class Double:
    """Answers GetNode; DeleteVolume waits for `release`, then succeeds or aborts as told."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.release = asyncio.Event()
        self.remaining_s: float | None = None
        self.cancelled = asyncio.Event()
        self.failure: tuple[StatusCode, str] | None = None

    async def get_node(self, _: ebb_pb2.GetNodeRequest, __: Context) -> ebb_pb2.GetNodeResponse:
        return ebb_pb2.GetNodeResponse(node_id="node-1", node_key="n1", max_volumes=7)

    async def delete_volume(
        self, _: ebb_pb2.DeleteVolumeRequest, context: Context
    ) -> ebb_pb2.DeleteVolumeResponse:
        self.remaining_s = context.time_remaining()
        self.entered.set()
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        if self.failure:
            await context.abort(*self.failure)
        return ebb_pb2.DeleteVolumeResponse(deleted=True)

    def handlers(self) -> Iterator[grpc.GenericRpcHandler]:
        handler: grpc.RpcMethodHandler[Any, Any]
        for service, method, behaviour, request in (
            ("ebb.v1.Node", "GetNode", self.get_node, ebb_pb2.GetNodeRequest),
            ("ebb.v1.Volumes", "DeleteVolume", self.delete_volume, ebb_pb2.DeleteVolumeRequest),
        ):
            handler = grpc.unary_unary_rpc_method_handler(
                cast("Any", behaviour),  # typed for synchronous servers only
                request_deserializer=request.FromString,
                response_serializer=lambda reply: reply.SerializeToString(),
            )
            yield grpc.method_handlers_generic_handler(service, {method: handler})


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short, because a socket's path has at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="ebb-csi-") as made:
        yield Path(made)


@asynccontextmanager
async def double(folder: Path) -> AsyncIterator[Double]:
    made = Double()
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(tuple(made.handlers()))
    server.add_insecure_port(f"unix:{folder}/ebbd.sock")
    await server.start()
    try:
        yield made
    finally:
        await server.stop(None)


class Plugin:
    """A running ebb-csi: a channel to it, what it logged, and its way down."""

    def __init__(
        self, channel: grpc.aio.Channel, log: io.StringIO, stopping: asyncio.Event
    ) -> None:
        self.channel = channel
        self.identity = csi_pb2_grpc.IdentityStub(channel)
        self.controller = csi_pb2_grpc.ControllerStub(channel)
        self.node = csi_pb2_grpc.NodeStub(channel)
        self.health = health_pb2_grpc.HealthStub(channel)
        self.stopping = stopping
        self._log = log

    def lines(self, event: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self._log.getvalue().splitlines()]
        return [line for line in lines if line["event"] == event]


@asynccontextmanager
async def plugin(folder: Path, role: Role = Role.ALL, grace_s: float = 5) -> AsyncIterator[Plugin]:
    settings = Settings(
        role=role,
        endpoint=folder / "csi.sock",
        ebbd=f"unix:{folder}/ebbd.sock",
        driver_name="csi.ebb.internal",
        version="1.2.3",
        grace_s=grace_s,
    )
    log, stopping = io.StringIO(), asyncio.Event()
    async with AsyncExitStack() as stack:
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        tasks.create_task(serve(settings, logs.logger("debug", log), stopping))
        stack.callback(stopping.set)
        channel = await stack.enter_async_context(
            grpc.aio.insecure_channel(f"unix:{folder}/csi.sock")
        )
        await asyncio.wait_for(channel.channel_ready(), 10)
        yield Plugin(channel, log, stopping)


async def status_of(call: Any) -> tuple[StatusCode, str]:  # noqa: ANN401 - any unary call
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call
    return failed.value.code(), failed.value.details() or ""


async def test_roles_offer_their_services_and_health_and_reflection(folder: Path) -> None:
    offered = {
        Role.NODE: {"csi.v1.Identity", "csi.v1.Node"},
        Role.CONTROLLER: {"csi.v1.Identity", "csi.v1.Controller", "csi.v1.GroupController"},
        Role.ALL: {
            "csi.v1.Identity",
            "csi.v1.Controller",
            "csi.v1.GroupController",
            "csi.v1.Node",
        },
    }
    for role, services in offered.items():
        async with plugin(folder, role) as running:
            reflected = reflection_pb2_grpc.ServerReflectionStub(running.channel)
            request = reflection_pb2.ServerReflectionRequest(list_services="")
            async for reply in reflected.ServerReflectionInfo(iter([request])):
                listed = {service.name for service in reply.list_services_response.service}
                break
            assert {name for name in listed if name.startswith("csi.")} == services
            assert "grpc.health.v1.Health" in listed


async def test_a_service_that_the_role_leaves_out_is_unimplemented(folder: Path) -> None:
    async with plugin(folder, Role.NODE) as running:
        call = running.controller.DeleteVolume(csi_pb2.DeleteVolumeRequest(volume_id="v"))
        assert (await status_of(call))[0] is StatusCode.UNIMPLEMENTED


async def health_becomes(running: Plugin, service: str, wanted: int) -> None:
    request = health_pb2.HealthCheckRequest(service=service)
    async for reply in running.health.Watch(request, timeout=20):
        if reply.status == wanted:
            return
    raise AssertionError(f"{service} never became {wanted}")


async def test_health_and_probe_follow_ebbd_and_liveness_does_not(folder: Path) -> None:
    serving = health_pb2.HealthCheckResponse.SERVING
    not_serving = health_pb2.HealthCheckResponse.NOT_SERVING
    async with plugin(folder) as running:
        await health_becomes(running, "csi.v1.Node", not_serving)
        assert (await running.identity.Probe(csi_pb2.ProbeRequest())).ready.value is False
        overall = await running.health.Check(health_pb2.HealthCheckRequest())
        assert overall.status == serving
        async with double(folder):
            await health_becomes(running, "csi.v1.Node", serving)
            assert (await running.identity.Probe(csi_pb2.ProbeRequest())).ready.value is True
        await health_becomes(running, "csi.v1.Node", not_serving)
    assert running.lines("ebbd does not answer")
    assert running.lines("ebbd is connected")


async def test_an_ebbd_that_is_away_is_unavailable_with_a_remedy(folder: Path) -> None:
    async with plugin(folder) as running:
        code, message = await status_of(
            running.controller.DeleteVolume(csi_pb2.DeleteVolumeRequest(volume_id="v"))
        )
    assert code is StatusCode.UNAVAILABLE
    assert "ebbd.sock" in message
    assert "start ebbd" in message


async def test_the_callers_deadline_reaches_ebbd(folder: Path) -> None:
    async with double(folder) as ebbd, plugin(folder) as running:
        request = csi_pb2.DeleteVolumeRequest(volume_id="v")
        ebbd.release.set()
        await running.controller.DeleteVolume(request, timeout=30)
        assert ebbd.remaining_s is not None
        assert 25 < ebbd.remaining_s < 31  # gRPC's clock is coarse
        await running.controller.DeleteVolume(request)
        assert ebbd.remaining_s is None


async def test_a_caller_who_leaves_takes_the_call_to_ebbd_along(folder: Path) -> None:
    async with double(folder) as ebbd, plugin(folder) as running:
        call = running.controller.DeleteVolume(csi_pb2.DeleteVolumeRequest(volume_id="v"))
        await asyncio.wait_for(ebbd.entered.wait(), 10)
        call.cancel()
        await asyncio.wait_for(ebbd.cancelled.wait(), 10)
    assert running.lines("caller left")[0]["method"] == "DeleteVolume"


async def test_a_status_of_ebbds_reaches_the_caller_and_the_log(folder: Path) -> None:
    async with double(folder) as ebbd, plugin(folder) as running:
        ebbd.failure = (StatusCode.FAILED_PRECONDITION, "in use by pod web-0; stop it first")
        ebbd.release.set()
        request = csi_pb2.DeleteVolumeRequest(volume_id="v", secrets={"key": "hunter2"})
        answered = await status_of(running.controller.DeleteVolume(request))
        assert answered == ebbd.failure
        (line,) = running.lines("call failed")
        assert line["code"] == "FAILED_PRECONDITION"
        assert line["request"] == {"volume_id": "v", "secrets": {"key": "***stripped***"}}


async def test_limits_are_checked_before_ebbd_is_asked(folder: Path) -> None:
    async with double(folder) as ebbd, plugin(folder) as running:
        request = csi_pb2.DeleteVolumeRequest(volume_id="v" * 129)
        code, message = await status_of(running.controller.DeleteVolume(request))
        assert code is StatusCode.INVALID_ARGUMENT
        assert message == "volume_id has 129 bytes, CSI allows 128"
        assert not ebbd.entered.is_set()


async def test_stopping_lets_a_call_under_way_finish(folder: Path) -> None:
    async with double(folder) as ebbd, plugin(folder, grace_s=30) as running:
        call = running.controller.DeleteVolume(csi_pb2.DeleteVolumeRequest(volume_id="v"))
        await asyncio.wait_for(ebbd.entered.wait(), 10)
        # Watched from before: a server that is stopping takes no new call, this one included.
        request = health_pb2.HealthCheckRequest(service="csi.v1.Controller")
        watch = running.health.Watch(request, timeout=20)
        async for reply in watch:
            running.stopping.set()
            if reply.status == health_pb2.HealthCheckResponse.NOT_SERVING:
                break
        watch.cancel()
        assert not call.done()
        ebbd.release.set()
        await call
    assert running.lines("stopped")


async def test_stopping_gives_up_on_a_call_after_the_grace(folder: Path) -> None:
    async with double(folder) as ebbd:
        async with plugin(folder, grace_s=0.2) as running:
            call = running.controller.DeleteVolume(csi_pb2.DeleteVolumeRequest(volume_id="v"))
            await asyncio.wait_for(ebbd.entered.wait(), 10)
            running.stopping.set()
            assert (await status_of(call))[0] in {StatusCode.UNAVAILABLE, StatusCode.CANCELLED}
        assert running.lines("stopped")


async def test_a_socket_that_is_served_is_not_taken_and_a_left_over_one_is(folder: Path) -> None:
    async with plugin(folder):
        with pytest.raises(EndpointError, match="another process serves"):
            check_free(folder / "csi.sock")
    left_over = folder / "csi.sock"
    server = await asyncio.start_unix_server(lambda *_: None, left_over)
    server.close()
    await server.wait_closed()
    assert left_over.is_socket()
    async with plugin(folder) as running:
        await running.identity.GetPluginInfo(csi_pb2.GetPluginInfoRequest())
        assert left_over.stat().st_mode & 0o777 == 0o660


async def test_a_folder_that_is_missing_is_named(folder: Path) -> None:
    with pytest.raises(EndpointError, match=r"the folder .*/nowhere does not exist; create it"):
        check_free(folder / "nowhere" / "csi.sock")


@pytest.mark.parametrize(
    "endpoint", ["unix:///csi/csi.sock", "unix:/csi/csi.sock", "/csi/csi.sock"]
)
def test_an_endpoint_is_a_path_however_it_is_written(endpoint: str) -> None:
    assert endpoint_path(endpoint) == Path("/csi/csi.sock")


@pytest.mark.parametrize(
    "endpoint", ["", "csi.sock", "tcp://0.0.0.0:9000", "unix://csi.sock", "unix://csi/csi.sock"]
)
def test_an_endpoint_that_is_no_socket_is_refused(endpoint: str) -> None:
    with pytest.raises(EndpointError, match="give one like unix:"):
        endpoint_path(endpoint)
