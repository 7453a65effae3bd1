"""One name is one volume, wherever, whenever and however often it is asked for."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from contract.csi.client import refused
from contract.routing.fleet import Fleet, Listed, eventually, fleet, in_time
from ebb_csi.places import Place
from ebb_pb import csi_pb2
from ebbd.host.simulated.faults import Step
from grpc import StatusCode


@pytest.fixture
async def three() -> AsyncIterator[Fleet]:
    async with fleet("a", "b", "c") as made:
        yield made


def made_on(three: Fleet) -> dict[str, int]:
    return {node_id: node.volumes for node_id, node in three.nodes.items()}


def node_of(volume: csi_pb2.Volume) -> str:
    [topology] = volume.accessible_topology
    [node] = topology.segments.values()
    return str(node)


async def test_a_volume_is_found_wherever_an_earlier_try_made_it(three: Fleet) -> None:
    async with three.controller() as csi:
        first = await csi.create_on("v", "b")
        again = (
            await csi.create_on("v"),
            await csi.create_on("v", "a"),
            await csi.create_on("v", "c", "a", requisite=["a", "b", "c"]),
        )
    assert all(volume == first for volume in again)
    async with three.controller() as csi:  # nothing is remembered
        assert await csi.create_on("v", "a", "b", requisite=["a", "b"]) == first
    assert made_on(three) == {"a": 0, "b": 1, "c": 0}


async def test_a_volume_where_it_may_not_be_is_not_made_a_second_time(three: Fleet) -> None:
    async with three.controller() as csi:
        await csi.create_on("v", "b")
        failure = await refused(csi.create_on("v", "a", requisite=["a"]))
        assert failure.code() is StatusCode.ALREADY_EXISTS
        assert "exists on node b" in str(failure.details())
        failure = await refused(csi.create_on("w", requisite=["no-such-node"]))
        assert failure.code() is StatusCode.RESOURCE_EXHAUSTED
    assert made_on(three) == {"a": 0, "b": 1, "c": 0}


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("step", [Step.STARTED, Step.LISTED, Step.SENT, Step.BUMPED, Step.DONE])
async def test_a_try_that_timed_out_on_one_node_is_not_repeated_on_another(
    three: Fleet, step: Step, restarted: bool
) -> None:
    """The first try is still under way in the node when the second prefers another one."""
    held = three["a"].hold("create_thin", step)
    async with three.controller() as csi:
        failure = await refused(csi.create_on("v", "a", timeout_s=1))
        assert failure.code() is StatusCode.DEADLINE_EXCEEDED
        assert held.reached.is_set()
        if not restarted:
            second = asyncio.ensure_future(csi.create_on("v", "b", requisite=["a", "b"]))
            await asyncio.sleep(0.2)
            assert not second.done()
            held.release.set()
            assert node_of(await second) == "a"
    if restarted:
        async with three.controller() as csi:
            second = asyncio.ensure_future(csi.create_on("v", "b", requisite=["a", "b"]))
            await asyncio.sleep(0.2)
            assert not second.done()
            held.release.set()
            assert node_of(await second) == "a"
    assert made_on(three) == {"a": 1, "b": 0, "c": 0}


async def test_a_try_of_unknown_end_has_to_be_cleared_up_first(three: Fleet) -> None:
    """Even where the second try does not allow the first one's node, as strict topology has it."""
    held = three["a"].hold("create_thin", Step.DONE)
    async with three.controller() as csi:
        await refused(csi.create_on("v", "a", timeout_s=1))
        held.release.set()
        await three["a"].stop()
        failure = await refused(csi.create_on("v", "b", requisite=["b"]))
        assert failure.code() is StatusCode.UNAVAILABLE
        assert "node a" in str(failure.details())
        await csi.create_on("another", "b", requisite=["b"])  # which was never in doubt
        await three["a"].start()

        async def found() -> bool:
            failure = await refused(csi.create_on("v", "b", requisite=["b"]))
            return failure.code() is StatusCode.ALREADY_EXISTS

        await eventually(found)
    assert made_on(three) == {"a": 1, "b": 1, "c": 0}


async def test_what_a_node_refused_may_be_made_on_another(three: Fleet) -> None:
    async with three.controller() as csi:
        request = csi.create_request("v", required_bytes=1 << 49)
        request.accessibility_requirements.preferred.add().segments[
            "topology.csi.ebb.internal/node"
        ] = "a"
        failure = await refused(csi.controller.CreateVolume(request))
        assert failure.code() is StatusCode.RESOURCE_EXHAUSTED
        await three["a"].stop()
        assert node_of(await csi.create_on("v", "b", requisite=["b"])) == "b"


async def test_equal_requests_at_once_are_one_volume(three: Fleet) -> None:
    async with three.controller() as csi:
        tries = [csi.create_on("v", node) for node in ("a", "b", "c") * 4]
        tries += [csi.create_on("v") for _ in range(4)]
        volumes = await asyncio.gather(*tries)
    assert len({volume.volume_id for volume in volumes}) == 1
    assert sum(made_on(three).values()) == 1


async def test_without_topology_every_node_has_to_be_asked(three: Fleet) -> None:
    async with three.controller() as csi:
        await three["c"].stop()
        for request in (csi.create_on("v"), csi.create_on("v", "a")):
            failure = await refused(request)
            assert failure.code() is StatusCode.UNAVAILABLE
            assert "node c (" in str(failure.details())
    async with three.controller() as csi:  # which never met c
        failure = await refused(csi.create_on("v"))
        assert failure.code() is StatusCode.UNAVAILABLE
        assert "may be on a node that cannot be asked: c (" in str(failure.details())
        failure = await refused(csi.create_on("v", "a", requisite=["a", "c"]))
        assert failure.code() is StatusCode.UNAVAILABLE
        assert node_of(await csi.create_on("v", requisite=["a"])) == "a"
    assert made_on(three) == {"a": 1, "b": 0, "c": 0}


async def test_a_node_that_was_not_discovered_yet_is_waited_for(three: Fleet) -> None:
    places = Listed((Place(three["a"].address), Place(three["b"].address)))
    async with three.controller(places) as csi:
        failure = await refused(csi.create_on("v", "c", requisite=["c"]))
        assert failure.code() is StatusCode.UNAVAILABLE
        assert "c (it has not been seen yet)" in str(failure.details())
        places.places = (*places.places, Place(three["c"].address))
        assert node_of(await csi.create_on("v", "a", requisite=["a"])) == "a"

        await in_time(lambda: csi.room("c"))
        assert node_of(await csi.create_on("w", "c", requisite=["c"])) == "c"


async def test_nobody_saying_where_the_node_with_most_room_takes_it(three: Fleet) -> None:
    async with three.controller() as csi:
        for node in ("a", "c"):
            await csi.create_on(f"on-{node}", node)
        assert node_of(await csi.create_on("v")) == "b"
        assert node_of(await csi.create_on("w", "no-such-node")) == "a"


async def test_a_name_that_looks_like_an_id_is_a_name(three: Fleet) -> None:
    async with three.controller() as csi:
        other = await csi.create_on("v", "b")
        named = await csi.create_on(other.volume_id, "a")
        assert node_of(named) == "a"
        assert await csi.create_on(other.volume_id, "c") == named
    assert made_on(three) == {"a": 1, "b": 1, "c": 0}
