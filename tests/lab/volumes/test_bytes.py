"""Every kind of volume from creation to deletion over CSI, its bytes compared at every turn."""

import signal

import pytest
from lab.volumes.contents import digest, write
from lab.volumes.running import MIB, Orchestrator, RunningNode, run

# mkfs.xfs makes nothing below 300 MiB, mkfs.btrfs nothing below 109 MiB.
KINDS = {"ext4": 64 * MIB, "xfs": 320 * MIB, "btrfs": 256 * MIB, "": 64 * MIB}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("filesystem", KINDS, ids=lambda kind: kind or "block")
def test_bytes_survive_the_whole_life(node: RunningNode, filesystem: str) -> None:
    cluster, size = Orchestrator(node, filesystem), KINDS[filesystem]
    kind = filesystem or "block"
    used_before = node.pool_used_bytes()
    volume = cluster.create(kind, size)
    assert volume.capacity_bytes == size
    use = cluster.use(volume.volume_id, kind)
    write(use, filesystem, seed=1)
    first = digest(use, filesystem)

    snapshot = cluster.snapshot(volume.volume_id, f"{kind}-snapshot")
    assert snapshot.ready_to_use
    write(use, filesystem, seed=2)
    second = digest(use, filesystem)
    assert second != first

    node.restart_ebbd(signal.SIGTERM)
    assert digest(use, filesystem) == second

    # Restored larger than its source, in use beside it: its identity must be its own.
    restored = cluster.create(f"{kind}-restored", 2 * size, snapshot=snapshot.snapshot_id)
    assert restored.capacity_bytes == 2 * size
    back = cluster.use(restored.volume_id, f"{kind}-restored")
    assert digest(back, filesystem) == first
    assert cluster.device_bytes(back) > 1.5 * size

    clone = cluster.create(f"{kind}-clone", size, volume=volume.volume_id)
    copy = cluster.use(clone.volume_id, f"{kind}-clone")
    assert digest(copy, filesystem) == second
    write(copy, filesystem, seed=3)
    assert digest(use, filesystem) == second, "a clone's writes must stay its own"
    if filesystem:
        identities = {
            run("findmnt", "--noheadings", "--output", "UUID", str(each.target)).strip()
            for each in (use, back, copy)
        }
        assert len(identities) == 3

    node.restart_ebbd(signal.SIGKILL)
    room = cluster.device_bytes(use)
    assert cluster.expand(volume.volume_id, 3 * size) == 3 * size
    assert cluster.device_bytes(use) > room * 2
    assert digest(use, filesystem) == second

    for each in (copy, back, use):
        cluster.release(each)
    assert not use.target.exists()
    again = cluster.use(volume.volume_id, f"{kind}-again")
    assert digest(again, filesystem) == second
    cluster.release(again)
    for volume_id in (volume.volume_id, restored.volume_id, clone.volume_id):
        cluster.delete(volume_id)
    cluster.delete_snapshot(snapshot.snapshot_id)
    assert node.thin_volumes() == []
    assert node.pool_used_bytes() == used_before


@pytest.mark.timeout(300)
def test_options_of_the_storage_class_reach_mkfs_and_mount(node: RunningNode) -> None:
    cluster = Orchestrator(node, "ext4")
    volume = cluster.create(
        "options",
        64 * MIB,
        parameters={"mkfs-options": "-N 4096 -L labelled", "mount-options": "noatime,commit=7"},
    )
    use = cluster.use(volume.volume_id, "options")
    told = run("findmnt", "--noheadings", "--output", "LABEL,OPTIONS", str(use.target))
    assert told.split()[0] == "labelled"
    assert {"noatime", "commit=7"} <= set(told.split()[1].split(","))
    cluster.release(use)
    cluster.delete(volume.volume_id)


@pytest.mark.timeout(300)
def test_deleted_files_come_back_to_the_pool_by_trim(node: RunningNode) -> None:
    cluster = Orchestrator(node, "ext4")
    volume = cluster.create("trimmed", 128 * MIB)
    use = cluster.use(volume.volume_id, "trimmed")
    big = use.target / "big"
    big.write_bytes(b"x" * 48 * MIB)
    run("sync", "--file-system", str(use.target))
    full = node.pool_used_bytes()
    big.unlink()
    run("sync", "--file-system", str(use.target))
    assert cluster.trim(volume.volume_id) > 40 * MIB
    assert node.pool_used_bytes() <= full - 40 * MIB
    cluster.release(use)
    cluster.delete(volume.volume_id)
