"""The runbooks for metadata that is full or lost, followed as they are written."""

import asyncio
import contextlib
import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from ebbd.errors import HostFailure
from ebbd.host.real.dm import RealDeviceMapper
from lab.lifetime.runbook import follow
from lab.volumes import contents
from lab.volumes.running import MIB, Orchestrator, RunningNode, loop_disk, run

pytestmark = pytest.mark.timeout(900)
FIRST_FILLER = 1000


def doctor(node: RunningNode) -> str:
    return node.ebb_process("doctor").stdout


@contextlib.contextmanager
def small_node(vg: str) -> Iterator[RunningNode]:
    """A node on a pool that was there before, with the smallest metadata that LVM makes."""
    with (
        tempfile.TemporaryDirectory(dir="/var/tmp") as folder,
        loop_disk(Path(folder), vg, 1200 * MIB) as device,
    ):
        run("vgcreate", "--quiet", "--setautoactivation", "n", vg, device)
        run(
            *("lvcreate", "--quiet", "--yes", "--size", "768m", "--poolmetadatasize", "2m"),
            *("--chunksize", "64k", "--zero", "y", "--thinpool", "pool0", vg),
        )
        node = RunningNode(Path(folder), device, vg)
        try:
            node.start()
            yield node
            node.stop()
        finally:
            for process in node._processes.values():
                process.kill()
                process.wait()
            for mount in reversed(Path("/proc/self/mounts").read_text().splitlines()):
                if mount.split()[1].startswith(f"{folder}/"):
                    run("umount", mount.split()[1], check=False)
            run("vgremove", "--force", "--force", "--yes", vg, check=False)


async def fill_metadata(vg: str) -> None:
    """Thin devices until the kernel refuses: each has a block of the metadata for itself."""
    dm = RealDeviceMapper()
    for number in itertools.count(FIRST_FILLER):
        try:
            await dm.message(vg, "pool0", f"create_thin {number}")
        except HostFailure:
            return


def test_full_metadata_is_told_and_mended() -> None:
    vg = "ebbfull"
    with small_node(vg) as node:
        cluster = Orchestrator(node, "ext4")
        volume = cluster.create("kept", 128 * MIB)
        use = cluster.use(volume.volume_id, "kept")
        contents.write(use, "ext4", 6)
        before = contents.digest(use, "ext4")
        asyncio.run(fill_metadata(vg))
        assert "read-only: its metadata could not be written" in doctor(node)
        refused = node.ebb_process("volume", "create", "more", "--size", "64Mi")
        assert refused.returncode != 0
        assert contents.digest(use, "ext4") == before, "what is there can be read"
        with contextlib.suppress(Exception):  # its filesystem may have stopped by now
            cluster.release(use)
        node.stop()
        unmount_all(node)

        follow("Full metadata", VG=vg, POOL="pool0", SIZE="+8m")

        node.start()
        told = doctor(node)
        assert "read-only" not in told
        assert f"{vg}/pool0 state" in told
        use = cluster.use(volume.volume_id, "again")
        assert contents.digest(use, "ext4") == before
        contents.write(use, "ext4", 7)
        cluster.delete(cluster.create("more", 64 * MIB).volume_id)
        cluster.release(use)


def unmount_all(node: RunningNode) -> None:
    for mount in reversed(Path("/proc/self/mounts").read_text().splitlines()):
        if mount.split()[1].startswith(f"{node.mounts}/"):
            run("umount", mount.split()[1])


def test_a_vg_is_restored_from_its_backup(node: RunningNode) -> None:
    cluster = Orchestrator(node, "ext4")
    volume = cluster.create("kept", 64 * MIB)
    use = cluster.use(volume.volume_id, "kept")
    contents.write(use, "ext4", 8)
    snapshot = cluster.snapshot(volume.volume_id, "kept-snapshot")
    before = contents.digest(use, "ext4")
    cluster.release(use)
    node.stop()
    run("vgchange", "-an", node.vg)
    areas = run("pvs", "--noheadings", "-o", "pe_start,pv_mda_size", "--units", "b", node.device)
    run("dd", "if=/dev/zero", f"of={node.device}", "bs=1M", "count=8", "conv=notrunc,fsync")
    assert node.vg not in run("vgs", "--noheadings", "-o", "vg_name")

    follow("Backup of the VG metadata", VG=node.vg, DEVICE=node.device,
           BACKUP=f"/etc/lvm/backup/{node.vg}")  # fmt: skip

    node.start()
    assert "recovered" not in node.log("ebbd").rpartition('"ready"')[0].rpartition('"ready"')[2]
    use = cluster.use(volume.volume_id, "restored")
    assert contents.digest(use, "ext4") == before
    assert run("pvs", "--noheadings", "-o", "pe_start,pv_mda_size", "--units", "b",
               node.device) == areas  # fmt: skip
    answer = node.ebb("gc")
    assert answer == {"orphans": [], "unlisted": {}}
    cluster.release(use)
    cluster.delete(cluster.create("copy", 64 * MIB, snapshot=snapshot.snapshot_id).volume_id)
    cluster.delete_snapshot(snapshot.snapshot_id)
    cluster.delete(volume.volume_id)
