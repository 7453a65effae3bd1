import pytest
from contract.csi.client import Csi, refused
from ebb_pb import csi_pb2
from grpc import StatusCode


async def volume_page(csi: Csi, size: int, token: str = "") -> tuple[list[str], str]:
    reply = await csi.controller.ListVolumes(
        csi_pb2.ListVolumesRequest(max_entries=size, starting_token=token)
    )
    return [entry.volume.volume_id for entry in reply.entries], reply.next_token


async def snapshot_page(csi: Csi, size: int, token: str = "") -> tuple[list[str], str]:
    reply = await csi.controller.ListSnapshots(
        csi_pb2.ListSnapshotsRequest(max_entries=size, starting_token=token)
    )
    return [entry.snapshot.snapshot_id for entry in reply.entries], reply.next_token


async def five_volumes(csi: Csi) -> list[str]:
    return sorted([(await csi.create(f"pvc-{number}")).volume_id for number in range(5)])


@pytest.mark.parametrize("size", [1, 2, 5, 9])
async def test_pages_of_volumes_together_are_the_list(csi: Csi, size: int) -> None:
    volume_ids = await five_volumes(csi)
    found: list[str] = []
    page, token = await volume_page(csi, size)
    found += page
    while token:
        assert len(page) == size
        assert len(token.encode()) <= 128
        page, token = await volume_page(csi, size, token)
        found += page
    assert found == volume_ids


async def test_a_token_survives_the_deletion_of_the_volume_it_points_behind(csi: Csi) -> None:
    volume_ids = await five_volumes(csi)
    page, token = await volume_page(csi, 2)
    await csi.delete(page[-1])
    added = (await csi.create("added")).volume_id
    rest, _ = await volume_page(csi, 0, token)
    assert set(volume_ids[2:]) <= set(rest) <= {*volume_ids[2:], added}


@pytest.mark.parametrize("token", ["invalid-token", "x/y", "/", "../../etc/passwd"])
async def test_a_token_that_was_never_given_out_is_aborted(csi: Csi, token: str) -> None:
    await csi.create("pvc-1")
    for page in (volume_page, snapshot_page):
        assert (await refused(page(csi, 0, token))).code() is StatusCode.ABORTED


async def test_a_token_with_our_node_but_another_rest_is_aborted(csi: Csi) -> None:
    await five_volumes(csi)
    _, token = await volume_page(csi, 2)
    node_key = token.partition("/")[0]
    call = volume_page(csi, 0, f"{node_key}/not-a-volume")
    assert (await refused(call)).code() is StatusCode.ABORTED


async def test_a_negative_page_size_is_invalid(csi: Csi) -> None:
    assert (await refused(volume_page(csi, -1))).code() is StatusCode.INVALID_ARGUMENT
    assert (await refused(snapshot_page(csi, -1))).code() is StatusCode.INVALID_ARGUMENT


async def test_snapshots_are_paged_and_filtered(csi: Csi) -> None:
    first, second = [(await csi.create(name)).volume_id for name in ("a", "b")]
    of_first = sorted([(await csi.snapshot(f"a{n}", first)).snapshot_id for n in range(3)])
    of_second = (await csi.snapshot("b0", second)).snapshot_id

    page, token = await snapshot_page(csi, 3)
    rest, end = await snapshot_page(csi, 3, token)
    assert (sorted(page + rest), end) == (sorted([*of_first, of_second]), "")

    async def listed(snapshot_id: str = "", source_volume_id: str = "") -> list[str]:
        request = csi_pb2.ListSnapshotsRequest(
            snapshot_id=snapshot_id, source_volume_id=source_volume_id
        )
        reply = await csi.controller.ListSnapshots(request)
        return [entry.snapshot.snapshot_id for entry in reply.entries]

    assert await listed(source_volume_id=first) == of_first
    assert await listed(snapshot_id=of_second) == [of_second]
    assert await listed(snapshot_id=of_second, source_volume_id=first) == []
    assert await listed(snapshot_id="no-such-snapshot") == []
    assert await listed(source_volume_id="no-such-volume") == []
