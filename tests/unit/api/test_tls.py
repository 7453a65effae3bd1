"""ebb.v1 over real TLS on 127.0.0.1: who gets in, what each right allows, and new certificates."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
from cryptography import x509
from ebb_cli import authority
from ebb_pb import ebb_pb2 as pb
from ebb_pb import ebb_pb2_grpc
from ebb_pb.identities import NODE_KEY_METADATA
from ebbd.api.services import Services
from ebbd.api.tls_server import serving_tls
from ebbd.config import ListenConfig
from ebbd.errors import HostFailure, InvalidInput
from ebbd.host.simulated.faults import Step
from ebbd.inspect.checks import Check
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc
from structlog.testing import LogCapture
from tls_site import Files, Site, free_port
from unit.api.served import logger, services_of
from unit.volumes.rig import Rig

NODE = "node-1"


@dataclass
class Secured:
    rig: Rig
    site: Site
    port: int
    key: str
    log: LogCapture
    services: Services

    def lines(self, event: str) -> list[dict[str, object]]:
        return [dict(line) for line in self.log.entries if line["event"] == event]


def listening(site: Site, port: int, files: Files) -> ListenConfig:
    return ListenConfig(
        address=f"127.0.0.1:{port}",
        certificate=str(files.certificate),
        key=str(files.key),
        client_ca=str(site.ca_file),
    )


@asynccontextmanager
async def secured(folder: Path, files: Files | None = None) -> AsyncIterator[Secured]:
    site, port, rig, capture = Site(folder / "tls"), free_port(), Rig(folder / "m"), LogCapture()

    async def diagnose() -> list[Check]:
        return []

    async with rig.start() as engine:
        services = services_of(engine, diagnose)
        key = engine.store.naming.key
        listen = listening(site, port, files or site.node(NODE))
        async with serving_tls(listen, NODE, key, services, logger(capture), grace_s=5.0):
            yield Secured(rig, site, port, key, capture, services)


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Secured]:
    async with secured(tmp_path) as made:
        yield made


async def failure(call: Any) -> tuple[StatusCode, str]:  # noqa: ANN401 - any unary call
    with pytest.raises(grpc.aio.AioRpcError) as told:
        await call
    return told.value.code(), told.value.details() or ""


async def ask(channel: grpc.aio.Channel) -> pb.GetNodeResponse:
    async with channel:
        return await ebb_pb2_grpc.NodeStub(channel).GetNode(pb.GetNodeRequest(), timeout=20)


async def test_each_right_gets_what_it_is_for_and_no_more(node: Secured) -> None:
    allowed = {"stats": 1, "use": 2, "change": 3}
    for right, calls in allowed.items():
        async with node.site.channel(node.port, node.site.client(right)) as channel:
            volumes = ebb_pb2_grpc.VolumesStub(channel)
            attempts = (
                volumes.ListVolumes(pb.ListVolumesRequest()),
                volumes.TrimVolume(pb.TrimVolumeRequest(volume_id="v")),
                volumes.CreateVolume(pb.CreateVolumeRequest(name="a")),
            )
            needs = ("stats", "use", "change")
            for number, attempt in enumerate(attempts):
                if number >= calls:
                    code, told = await failure(attempt)
                    assert code is StatusCode.PERMISSION_DENIED
                    assert f"needs the right '{needs[number]}'" in told
                    assert f"has '{right}'" in told
                elif number == 1:
                    assert (await failure(attempt))[0] is StatusCode.NOT_FOUND
                else:
                    await cast("Awaitable[object]", attempt)
    denied = [line for line in node.lines("call") if line["code"] == "PERMISSION_DENIED"]
    assert {line["caller"] for line in denied} == {"client-stats", "client-use"}


async def test_a_certificate_without_a_right_may_not_even_look(node: Secured) -> None:
    for name in ("ebb:///rights/all", "http://example.org"):
        usage = authority.client("odd", "x").usage
        uri = x509.UniformResourceIdentifier(name)
        files = node.site.issue("odd", authority.Leaf("odd", (uri,), usage))
        code, told = await failure(ask(node.site.channel(node.port, files)))
        assert code is StatusCode.PERMISSION_DENIED
        assert "has no right" in told


async def test_no_certificate_a_strangers_a_nodes_and_an_ended_one_get_no_connection(
    node: Secured, tmp_path: Path
) -> None:
    strangers = Site(tmp_path / "strangers").client("change")
    for files in (
        None,
        strangers,
        node.site.node("node-2"),
        node.site.client("change", days=-1),
    ):
        code, _ = await failure(ask(node.site.channel(node.port, files)))
        assert code is StatusCode.UNAVAILABLE
    assert node.lines("call") == []


async def test_without_tls_nothing_is_served(node: Secured) -> None:
    code, _ = await failure(ask(grpc.aio.insecure_channel(f"127.0.0.1:{node.port}")))
    assert code is StatusCode.UNAVAILABLE
    assert node.lines("call") == []


async def test_a_node_answers_to_its_own_name_only(node: Secured) -> None:
    client = node.site.client("stats")
    assert (await ask(node.site.channel(node.port, client, NODE))).node_key == node.key
    code, _ = await failure(ask(node.site.channel(node.port, client, "node-2")))
    assert code is StatusCode.UNAVAILABLE


async def test_a_call_that_means_another_key_is_not_served(node: Secured) -> None:
    async with node.site.channel(node.port, node.site.client("change")) as channel:
        volumes = ebb_pb2_grpc.VolumesStub(channel)
        request = pb.DeleteVolumeRequest(volume_id="v-aaaaaaaa-aaaaaaaaaaaaaaaa")
        code, told = await failure(
            volumes.DeleteVolume(request, metadata=((NODE_KEY_METADATA, "aaaaaaaa"),))
        )
        assert code is StatusCode.UNAVAILABLE
        assert f"this node's key is {node.key} now, not aaaaaaaa" in told
        await volumes.DeleteVolume(request, metadata=((NODE_KEY_METADATA, node.key),))


async def test_streams_and_health_are_not_offered(node: Secured) -> None:
    async with node.site.channel(node.port, node.site.client("change")) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        code, _ = await failure(health.Check(health_pb2.HealthCheckRequest()))
        assert code is StatusCode.UNIMPLEMENTED


async def test_new_files_are_used_for_new_connections_and_old_calls_go_on(node: Secured) -> None:
    site, client = node.site, node.site.client("change")
    held = node.rig.hold("create_thin", Step.LISTED)
    async with site.channel(node.port, client) as channel:
        volumes = ebb_pb2_grpc.VolumesStub(channel)
        running = asyncio.ensure_future(volumes.CreateVolume(pb.CreateVolumeRequest(name="a")))
        await held.reached.wait()
        new = Site(site.folder, authority.new_authority(datetime.now(UTC), 9))
        assert (await failure(ask(site.channel(node.port, client))))[0] is StatusCode.UNAVAILABLE
        new.node(NODE)
        assert (await ask(new.channel(node.port, new.client("stats")))).node_id == NODE
        # The connection that was there goes on, with the call on it and with new ones.
        await ebb_pb2_grpc.NodeStub(channel).GetNode(pb.GetNodeRequest())
        held.release.set()
        assert (await running).created
    assert (await failure(ask(site.channel(node.port, client))))[0] is StatusCode.UNAVAILABLE


async def test_files_that_are_not_right_change_nothing_and_are_told_once(node: Secured) -> None:
    client = node.site.client("stats")
    certificate = node.site.folder / f"{NODE}.crt"
    before = certificate.read_bytes()
    other = node.site.node("node-2").certificate.read_bytes()
    for wrong, told in (
        (b"no certificate", "not a certificate"),
        (other, "do not belong together"),
    ):
        certificate.write_bytes(wrong)
        for _ in range(2):
            assert (await ask(node.site.channel(node.port, client))).node_id == NODE
        [line] = node.lines("certificate not taken")
        assert told in str(line["why"])
        node.log.entries.clear()
    certificate.unlink()
    assert (await ask(node.site.channel(node.port, client))).node_id == NODE
    certificate.write_bytes(before)
    assert (await ask(node.site.channel(node.port, client))).node_id == NODE


async def test_a_start_with_another_nodes_certificate_is_refused(tmp_path: Path) -> None:
    files = Site(tmp_path / "tls").node("node-2")
    with pytest.raises(InvalidInput, match="does not name node 'node-1': it lacks node-1"):
        async with secured(tmp_path, files):
            pass


async def test_a_start_without_the_files_names_what_makes_them(tmp_path: Path) -> None:
    missing = Files(tmp_path / "none.crt", tmp_path / "none.key")
    with pytest.raises(InvalidInput, match=r"none\.crt cannot be read.*ebb certs init"):
        async with secured(tmp_path, missing):
            pass


async def test_a_port_that_is_taken_is_an_error_in_words(node: Secured) -> None:
    listen = listening(node.site, node.port, node.site.node(NODE))
    log = logger(LogCapture())
    with pytest.raises(HostFailure, match=r"cannot listen on 127\.0\.0\.1"):
        async with serving_tls(listen, NODE, "k", node.services, log, grace_s=1):
            pass
