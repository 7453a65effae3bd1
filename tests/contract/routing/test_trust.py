"""The controller trusts a node only as far as its certificate goes, and takes up new ones."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, cast

import grpc
import pytest
from contract.csi.client import refused
from contract.routing.fleet import Fleet, Listed, eventually, fleet
from ebb_cli import authority
from ebb_csi.places import Place
from ebb_pb import ebb_pb2
from ebbd.host.simulated.faults import Step
from grpc import StatusCode
from tls_site import Files, Site


@pytest.fixture
async def two() -> AsyncIterator[Fleet]:
    async with fleet("a", "b") as made:
        yield made


async def test_a_node_at_anothers_address_is_not_that_node(two: Fleet) -> None:
    """The file sends calls for b to a, which has a good certificate, but its own."""
    two.file.write_text(f"b: {two['a'].address}\n")
    async with two.controller() as csi:
        failure = await refused(csi.delete("v-aaaaaaaa-aaaaaaaaaaaaaaaa"))
        assert failure.code() is StatusCode.UNAVAILABLE
    assert two["a"].calls("DeleteVolume") == []


class Liar:
    """A node that was taken over: it has its own certificate and says what it likes."""

    def __init__(self, node_id: str, node_key: str) -> None:
        self._says = ebb_pb2.GetNodeResponse(node_id=node_id, node_key=node_key)
        self.deleted: list[str] = []

    async def get_node(self, _: ebb_pb2.GetNodeRequest, __: object) -> ebb_pb2.GetNodeResponse:
        return self._says

    async def delete_volume(
        self, request: ebb_pb2.DeleteVolumeRequest, _: object
    ) -> ebb_pb2.DeleteVolumeResponse:
        self.deleted.append(request.volume_id)
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


@asynccontextmanager
async def lying(site: Site, files: Files, liar: Liar) -> AsyncIterator[str]:
    """The address at which the liar serves with this certificate."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(tuple(liar.handlers()))
    pair = (files.key.read_bytes(), files.certificate.read_bytes())
    credentials = grpc.ssl_server_credentials(
        [pair], site.ca_file.read_bytes(), require_client_auth=True
    )
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


async def test_a_node_that_says_it_is_another_is_believed_as_far_as_its_certificate(
    two: Fleet,
) -> None:
    async with two.controller() as csi:
        volume_id = (await csi.create_on("v", "b")).volume_id
    liar = Liar("b", volume_id.split("-")[1])
    async with lying(two.site, two["a"].files, liar) as address:
        places = Listed((Place(address), Place(two["b"].address)))
        async with two.controller(places) as csi:
            assert address in {line["subject"] for line in csi.said("trouble")}
            await csi.attach(volume_id, "b")  # which the liar cannot answer
            await two["b"].stop()
            failure = await refused(csi.delete(volume_id))
            assert failure.code() is StatusCode.UNAVAILABLE
        async with two.controller(places) as csi:  # which never met the true b
            failure = await refused(csi.delete(volume_id))
            assert failure.code() is StatusCode.UNAVAILABLE
        two.file.write_text(f"b: {address}\n")
        async with two.controller() as csi:
            failure = await refused(csi.delete(volume_id))
            assert failure.code() is StatusCode.UNAVAILABLE
    assert liar.deleted == []


async def test_a_node_that_claims_anothers_key_gets_neither_of_them_calls(two: Fleet) -> None:
    async with two.controller() as csi:
        volume_id = (await csi.create_on("v", "b")).volume_id
    liar = Liar("a", volume_id.split("-")[1])
    async with lying(two.site, two["a"].files, liar) as address:
        two.file.write_text(f"a: {address}\nb: {two['b'].address}\n")
        async with two.controller() as csi:
            failure = await refused(csi.delete(volume_id))
            assert failure.code() is StatusCode.UNAVAILABLE
            assert "nodes a and b both say" in str(failure.details())
    assert liar.deleted == []


@pytest.mark.parametrize("right", ["stats", "use"])
async def test_a_controller_without_the_right_is_told_which_it_needs(
    two: Fleet, right: str
) -> None:
    async with two.controller(client=two.site.client(right)) as csi:
        assert await csi.room("a") > 0
        failure = await refused(csi.create_on("v", "a"))
        assert failure.code() is StatusCode.INTERNAL
        assert f"needs the right 'change', the client's certificate has '{right}'" in str(
            failure.details()
        )
    assert two["a"].volumes == 0


@pytest.mark.parametrize("whose", ["stranger", "ended"])
async def test_a_controller_with_a_bad_certificate_gets_nothing(two: Fleet, whose: str) -> None:
    client = (
        Site(two.folder / "other").client("change")
        if whose == "stranger"
        else two.site.client("change", days=-1)
    )
    async with two.controller(client=client) as csi:
        failure = await refused(csi.create_on("v", "a"))
        assert failure.code() is StatusCode.UNAVAILABLE
        assert csi.said("trouble")
    assert [node.calls("GetNode") for node in two.nodes.values()] == [[], []]


async def test_new_certificates_are_taken_up_and_running_calls_end_well(two: Fleet) -> None:
    """Another CA altogether, on both sides, while a creation is under way."""
    async with two.controller() as csi:
        held = two["a"].hold("create_thin", Step.LISTED)
        creating = asyncio.ensure_future(csi.create_on("v", "a"))
        await held.reached.wait()
        new = Site(two.site.folder, authority.new_authority(datetime.now(UTC), 30))
        for node_id in two.nodes:
            new.node(node_id)
        new.client("change")

        async def taken() -> bool:
            return bool(csi.said("certificate taken"))

        await eventually(taken)
        assert await csi.room("b") > 0  # over new connections
        assert not creating.done()
        held.release.set()
        volume = await creating
        await csi.delete(volume.volume_id)
        assert two["a"].volumes == 0
    assert len(csi.said("certificate taken")) == 1


async def test_half_a_rotation_changes_nothing(two: Fleet) -> None:
    async with two.controller() as csi:
        key = two.site.folder / "client-change.key"
        key.write_bytes(two.site.client("use").key.read_bytes())

        async def noticed() -> bool:
            return any("do not belong together" in line["why"] for line in csi.said("trouble"))

        await eventually(noticed)
        await csi.create_on("v", "a")
        assert csi.said("certificate taken") == []
