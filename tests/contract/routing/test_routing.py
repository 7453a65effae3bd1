"""One controller, three nodes: each call reaches its node, and a node that is down is its own
volumes' trouble only.
"""

from collections.abc import AsyncIterator

import pytest
from contract.csi.client import from_snapshot, from_volume, mount, node_topology, refused
from contract.routing.fleet import Fleet, Listed, Node, eventually, fleet, in_time
from ebb_csi.places import FromFile, Place
from ebb_pb import csi_pb2
from grpc import StatusCode
from tls_site import free_port

MALFORMED = ("no-such-volume", "v-short-abc", "v-AAAAAAAA-aaaaaaaaaaaaaaaa", "../../etc")
STRANGERS = "v-zzzzzzzz-aaaaaaaaaaaaaaaa"


@pytest.fixture
async def three() -> AsyncIterator[Fleet]:
    async with fleet("a", "b", "c") as made:
        yield made


async def test_each_call_goes_to_the_node_that_owns_the_volume(three: Fleet) -> None:
    async with three.controller() as csi:
        for node in three.nodes:
            volume = await csi.create_on(f"on-{node}", node)
            assert volume.accessible_topology == [node_topology(node)]
            await csi.controller.ControllerModifyVolume(
                csi_pb2.ControllerModifyVolumeRequest(
                    volume_id=volume.volume_id, mutable_parameters={"priority": "gold"}
                )
            )
            await csi.controller.ControllerExpandVolume(
                csi_pb2.ControllerExpandVolumeRequest(
                    volume_id=volume.volume_id,
                    capacity_range=csi_pb2.CapacityRange(required_bytes=128 << 20),
                )
            )
            await csi.attach(volume.volume_id, node)
            found = await csi.controller.ControllerGetVolume(
                csi_pb2.ControllerGetVolumeRequest(volume_id=volume.volume_id)
            )
            assert found.volume.capacity_bytes == 128 << 20
            assert list(found.status.published_node_ids) == [node]
            snapshot = await csi.snapshot(f"snap-{node}", volume.volume_id)
            shown = await csi.controller.ListSnapshots(
                csi_pb2.ListSnapshotsRequest(snapshot_id=snapshot.snapshot_id)
            )
            assert [it.snapshot.snapshot_id for it in shown.entries] == [snapshot.snapshot_id]
            await csi.delete_snapshot(snapshot.snapshot_id)
            assert three[node].volumes == 1
        assert [node.volumes for node in three.nodes.values()] == [1, 1, 1]


async def test_a_volume_is_attached_to_its_own_node_only(three: Fleet) -> None:
    async with three.controller() as csi:
        volume = await csi.create_on("v", "a")
        for node in ("b", "no-such-node"):
            failure = await refused(csi.attach(volume.volume_id, node))
            assert failure.code() is StatusCode.NOT_FOUND
            assert "lives on node 'a'" in str(failure.details())
        await csi.attach(volume.volume_id, "a")
        failure = await refused(csi.attach(volume.volume_id, "b"))
        assert failure.code() is StatusCode.FAILED_PRECONDITION
        assert "is attached to node 'a'" in str(failure.details())


async def test_a_node_that_is_down_is_unavailable_for_its_volumes_only(three: Fleet) -> None:
    async with three.controller() as csi:
        on_a = (await csi.create_on("v-a", "a")).volume_id
        on_b = (await csi.create_on("v-b", "b")).volume_id
        await three["b"].stop()
        get = csi_pb2.ControllerGetVolumeRequest(volume_id=on_b)
        for call in (
            lambda: csi.delete(on_b),
            lambda: csi.attach(on_b, "b"),
            lambda: csi.snapshot("s", on_b),
            lambda: csi.controller.ControllerGetVolume(get, timeout=30),
        ):
            failure = await refused(call())
            assert failure.code() is StatusCode.UNAVAILABLE
            assert f"node b ({three['b'].address}) does not answer" in str(failure.details())
        await csi.attach(on_a, "a")
        await csi.snapshot("s", on_a)
        assert (await csi.create_on("another", "c", requisite=["c"])).volume_id
        await csi.detach(on_a)
        await csi.delete(on_a)
        assert await csi.room("a") > 0
        assert (await refused(csi.room("b"))).code() is StatusCode.UNAVAILABLE
        assert (await refused(csi.room())).code() is StatusCode.UNAVAILABLE
        await three["b"].start()

        await in_time(lambda: csi.delete(on_b))
        assert three["b"].volumes == 0


@pytest.mark.parametrize("discovered", [False, True])
async def test_a_restarted_controller_never_says_deleted_for_a_node_that_is_down(
    three: Fleet, discovered: bool
) -> None:
    """The volume's node was never met by this controller: its key is a stranger's."""
    async with three.controller() as csi:
        volume_id = (await csi.create_on("v", "b")).volume_id
    await three["b"].stop()
    addresses = ("a", "c") if discovered else ("a", "b", "c")
    places = (
        Listed(tuple(Place(three[node].address) for node in addresses))
        if discovered
        else FromFile(three.file)
    )
    async with three.controller(places) as csi:
        failure = await refused(csi.delete(volume_id))
        assert failure.code() is StatusCode.UNAVAILABLE
        assert volume_id in str(failure.details())
        if not discovered:
            assert "b (" in str(failure.details())
        assert (await refused(csi.attach(volume_id, "b"))).code() is StatusCode.UNAVAILABLE
        assert (await refused(csi.snapshot("s", volume_id))).code() is StatusCode.UNAVAILABLE
    assert three["b"].volumes == 1


async def test_what_nobody_made_is_not_there_once_everybody_was_asked(three: Fleet) -> None:
    async with three.controller() as csi:
        for object_id in (*MALFORMED, STRANGERS):
            await csi.delete(object_id)
            await csi.delete_snapshot(object_id)
            failure = await refused(csi.attach(object_id, "a"))
            assert failure.code() is StatusCode.NOT_FOUND
            listed = await csi.controller.ListSnapshots(
                csi_pb2.ListSnapshotsRequest(source_volume_id=object_id)
            )
            assert not listed.entries
        await three["b"].stop()
        for object_id in MALFORMED:  # no node has made these, whoever answers
            await csi.delete(object_id)


async def test_a_node_taken_out_of_the_file_is_gone_for_good(three: Fleet) -> None:
    async with three.controller() as csi:
        volume_id = (await csi.create_on("v", "b")).volume_id
        await three["b"].stop()
        three.write_file("a", "c")

        await in_time(lambda: csi.delete(volume_id))
        assert [line["node"] for line in csi.said("node dropped")] == ["b"]
        token_of_b = f"{volume_id.split('-')[1]}/"
        failure = await refused(csi.page(1, token_of_b))
        assert failure.code() is StatusCode.ABORTED


async def test_a_file_that_is_wrong_changes_nothing(three: Fleet) -> None:
    async with three.controller() as csi:
        volume_id = (await csi.create_on("v", "b")).volume_id
        for wrong in ("", "b: 1\n", "{", "- a\n", "a: nowhere\n"):
            three.file.write_text(wrong)
            told = len(csi.said("trouble"))

            async def noticed(before: int = told) -> bool:
                return len(csi.said("trouble")) > before

            await eventually(noticed)
            await csi.attach(volume_id, "b")
        three.file.unlink()
        await csi.detach(volume_id)


async def test_a_node_that_moved_is_found_by_the_file(three: Fleet) -> None:
    async with three.controller() as csi:
        volume_id = (await csi.create_on("v", "b")).volume_id
        await three["b"].stop()
        three["b"].port = free_port()
        await three["b"].start()
        three.write_file()

        await in_time(lambda: csi.attach(volume_id, "b"))


async def test_copies_stay_with_their_source(three: Fleet) -> None:
    async with three.controller() as csi:
        source = await csi.create_on("v", "b")
        snapshot = await csi.snapshot("s", source.volume_id)
        for name, content in (
            ("clone", from_volume(source.volume_id)),
            ("restored", from_snapshot(snapshot.snapshot_id)),
        ):
            request = csi.create_request(name, mount(), source=content)
            made = (await csi.controller.CreateVolume(request)).volume
            assert made.accessible_topology == [node_topology("b")]
            request = csi.create_request(
                f"{name}-elsewhere", mount(), source=content, requisite=[node_topology("a")]
            )
            failure = await refused(csi.controller.CreateVolume(request))
            assert failure.code() is StatusCode.RESOURCE_EXHAUSTED
        request = csi.create_request("x", mount(), source=from_volume(STRANGERS))
        failure = await refused(csi.controller.CreateVolume(request))
        assert failure.code() is StatusCode.NOT_FOUND
        await three["b"].stop()
        request = csi.create_request("y", mount(), source=from_volume(source.volume_id))
        failure = await refused(csi.controller.CreateVolume(request))
        assert failure.code() is StatusCode.UNAVAILABLE


async def test_a_snapshots_name_is_taken_on_every_node_that_answers(three: Fleet) -> None:
    async with three.controller() as csi:
        on_a = (await csi.create_on("v-a", "a")).volume_id
        on_b = (await csi.create_on("v-b", "b")).volume_id
        made = await csi.snapshot("s", on_a)
        assert await csi.snapshot("s", on_a) == made
        failure = await refused(csi.snapshot("s", on_b))
        assert failure.code() is StatusCode.ALREADY_EXISTS
        assert f"of volume {on_a} on another node" in str(failure.details())
        # A name that is another's id is a name.
        assert (await csi.snapshot(made.snapshot_id, on_b)).source_volume_id == on_b
        await three["c"].stop()
        assert (await csi.snapshot("t", on_b)).source_volume_id == on_b


async def test_a_group_is_of_one_node(three: Fleet) -> None:
    async with three.controller() as csi:
        on_a = [(await csi.create_on(f"a{number}", "a")).volume_id for number in range(2)]
        on_b = (await csi.create_on("b0", "b")).volume_id

        async def group(*volume_ids: str) -> csi_pb2.CreateVolumeGroupSnapshotResponse:
            return await csi.groups.CreateVolumeGroupSnapshot(
                csi_pb2.CreateVolumeGroupSnapshotRequest(name="g", source_volume_ids=volume_ids)
            )

        made = (await group(*on_a)).group_snapshot
        assert len(made.snapshots) == 2
        failure = await refused(group(on_a[0], on_b))
        assert failure.code() is StatusCode.FAILED_PRECONDITION
        assert "different nodes" in str(failure.details())
        failure = await refused(group(on_b, "no-such-volume"))
        assert failure.code() is StatusCode.NOT_FOUND
        ids = [snapshot.snapshot_id for snapshot in made.snapshots]
        request = csi_pb2.DeleteVolumeGroupSnapshotRequest(
            group_snapshot_id=made.group_snapshot_id, snapshot_ids=ids
        )
        await csi.groups.DeleteVolumeGroupSnapshot(request)
        assert three["a"].volumes == 2


async def test_lists_go_over_all_nodes_page_by_page(three: Fleet) -> None:
    async with three.controller() as csi:
        made = {
            (await csi.create_on(f"{node}{number}", node)).volume_id
            for node in three.nodes
            for number in range(3)
        }
        whole, token = await csi.page()
        assert (set(whole), len(whole), token) == (made, 9, "")
        paged: list[str] = []
        while True:
            page, token = await csi.page(2, token)
            assert len(page) <= 2
            paged += page
            if not token:
                break
        assert paged == whole
        for volume_id in whole[:3]:
            await csi.snapshot(f"s-{volume_id}", volume_id)
        assert len(await csi.snapshots()) == 3
        assert (await refused(csi.page(2, "nonsense"))).code() is StatusCode.ABORTED


async def test_a_token_outlives_its_nodes_absence(three: Fleet) -> None:
    async with three.controller() as csi:
        for node in three.nodes:
            for number in range(2):
                await csi.create_on(f"{node}{number}", node)
        whole, _ = await csi.page()
        first, token = await csi.page(3)
        [key] = {volume_id.split("-")[1] for volume_id in whole[2:4]}
        [down] = [node for node in three.nodes.values() if key in keys(node)]
        await down.stop()
        failure = await refused(csi.page(3, token))
        assert failure.code() is StatusCode.UNAVAILABLE
        assert (await refused(csi.page())).code() is StatusCode.UNAVAILABLE
        await down.start()
        rest: list[str] = []

        async def listed() -> bool:
            page, _ = await csi.page(0, token)
            rest[:] = page
            return True

        await in_time(listed)
        assert [*first, *rest] == whole


def keys(node: Node) -> set[str]:
    """The node's key, as its VG's tag has it."""
    groups = node.machine.groups.values()
    return {tag.partition("=")[2] for group in groups for tag in group.tags if "ebb.node=" in tag}


async def test_capacity_is_one_nodes_or_the_sum(three: Fleet) -> None:
    async with three.controller() as csi:
        rooms = [await csi.room(node) for node in three.nodes]
        assert all(room > 0 for room in rooms)
        assert await csi.room() == sum(rooms)
        assert await csi.room("no-such-node") == 0


async def test_two_nodes_with_one_key_are_trusted_with_nothing() -> None:
    keys = {"a": "aaaaaaaa", "b": "aaaaaaaa"}
    async with fleet("a", "b", "c", keys=keys) as three, three.controller() as csi:
        failure = await refused(csi.delete("v-aaaaaaaa-aaaaaaaaaaaaaaaa"))
        assert failure.code() is StatusCode.UNAVAILABLE
        assert "nodes a and b both say that their key is aaaaaaaa" in str(failure.details())
        for create in (csi.create_on("v"), csi.create_on("v", "a", requisite=["a"])):
            failure = await refused(create)
            assert failure.code() is StatusCode.UNAVAILABLE
            assert "another node says too that its key is aaaaaaaa" in str(failure.details())
        assert (await csi.create_on("v", "c", requisite=["c"])).volume_id


async def test_places_without_names_tell_who_they_are(three: Fleet) -> None:
    """As a headless Service does: addresses only, in any order, and some of them twice."""
    places = Listed(tuple(Place(node.address) for node in three.nodes.values()))
    async with three.controller(places) as csi:
        volume_id = (await csi.create_on("v", "b")).volume_id
        places.places = tuple(Place(three[node].address) for node in ("a", "c"))
        await csi.attach(volume_id, "b")  # left out, but still there
        await three["b"].stop()
        failure = await refused(csi.delete(volume_id))
        assert failure.code() is StatusCode.UNAVAILABLE
        await three["b"].start()

        async def deleted() -> bool:
            await csi.detach(volume_id)
            await csi.delete(volume_id)
            return True

        await in_time(deleted)
        failure = await refused(csi.delete(STRANGERS))
        assert failure.code() is StatusCode.UNAVAILABLE


async def test_the_controller_is_ready_while_any_node_answers(three: Fleet) -> None:
    async with three.controller() as csi:

        async def ready() -> bool:
            return (await csi.identity.Probe(csi_pb2.ProbeRequest())).ready.value

        assert await ready()
        for node in ("a", "b"):
            await three[node].stop()
        assert await ready()
        await three["c"].stop()

        async def not_ready() -> bool:
            return not await ready()

        await eventually(not_ready)
        assert (await refused(csi.delete("no-such-volume"))).code() is StatusCode.UNAVAILABLE
        await three["c"].start()
        await eventually(ready)
