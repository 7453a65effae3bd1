"""ebbd with the rights that its systemd unit leaves it: every filesystem lives its whole life.

The lab has no systemd, so setpriv(1) takes the capabilities away; what the unit keeps is read from
the unit itself.
"""

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from ebb_pb import csi_pb2
from lab.volumes.running import CALL_S, MIB, Orchestrator, RunningNode, Use, running_node
from unit.deploy.unit_files import read_unit

pytestmark = pytest.mark.timeout(600)
CGROUPS = Path("/sys/fs/cgroup")
POOL_BYTES = 6 << 30
ENOUGH_BYTES = 320 * MIB  # xfs wants 300 MiB


def kept_capabilities() -> tuple[str, ...]:
    kept = read_unit("ebbd.service").words("CapabilityBoundingSet")
    return tuple(name.removeprefix("CAP_").lower() for name in kept)


@pytest.fixture(scope="module")
def node() -> Iterator[RunningNode]:
    kept = ",".join(f"+{name}" for name in kept_capabilities())
    command = ("setpriv", "--no-new-privs", f"--bounding-set=-all,{kept}", "ebbd")
    with (
        tempfile.TemporaryDirectory(dir="/var/tmp") as folder,
        running_node(Path(folder), "ebbunit", POOL_BYTES, ebbd_command=command) as running,
    ):
        yield running


def test_ebbd_has_lost_what_the_unit_takes_away(node: RunningNode) -> None:
    pid = node._processes["ebbd"].pid
    status = Path(f"/proc/{pid}/status").read_text()
    [effective] = [line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")]
    assert int(effective, 16).bit_count() == len(kept_capabilities())


@pytest.mark.parametrize("filesystem", ["ext4", "xfs", "btrfs", ""])
def test_a_volume_lives_from_creation_to_deletion(node: RunningNode, filesystem: str) -> None:
    name = filesystem or "block"
    cluster = Orchestrator(node, filesystem)
    volume = cluster.create(name, ENOUGH_BYTES)
    use = cluster.use(volume.volume_id, name)
    size_bytes = cluster.device_bytes(use)
    snapshot = cluster.snapshot(volume.volume_id, f"{name}-snapshot")
    copy = cluster.create(f"{name}-copy", 2 * ENOUGH_BYTES, snapshot=snapshot.snapshot_id)
    copied = cluster.use(copy.volume_id, f"{name}-copy")
    assert cluster.device_bytes(copied) > size_bytes
    cluster.expand(volume.volume_id, 2 * ENOUGH_BYTES)
    assert cluster.device_bytes(use) > size_bytes
    if filesystem:
        cluster.trim(volume.volume_id)
    for each in (copied, use):
        cluster.release(each)
        cluster.delete(each.volume_id)
    cluster.delete_snapshot(snapshot.snapshot_id)
    assert node.thin_volumes() == []


def group_snapshot(node: RunningNode, uses: list[Use]) -> csi_pb2.VolumeGroupSnapshot:
    return node.group.CreateVolumeGroupSnapshot(
        csi_pb2.CreateVolumeGroupSnapshotRequest(
            name="instant", source_volume_ids=[use.volume_id for use in uses]
        ),
        timeout=CALL_S,
    ).group_snapshot


def test_users_of_other_accounts_are_seen_and_can_be_frozen(node: RunningNode) -> None:
    cluster = Orchestrator(node, "ext4")
    names = ("data", "wal")
    uses = [cluster.use(cluster.create(name, 32 * MIB).volume_id, name) for name in names]
    sleeper = ("setpriv", "--reuid=65534", "--clear-groups", "sleep", "600")
    somebody = subprocess.Popen(sleeper, cwd=uses[0].target)
    cgroup = CGROUPS / "ebb-test-somebody"
    cgroup.mkdir()
    try:
        (CGROUPS / "cgroup.procs").write_text(str(somebody.pid))
        with pytest.raises(grpc.RpcError, match=str(somebody.pid)):  # nobody can freeze the root
            group_snapshot(node, uses)
        (cgroup / "cgroup.procs").write_text(str(somebody.pid))
        group = group_snapshot(node, uses)
    finally:
        somebody.kill()
        somebody.wait()
        cgroup.rmdir()
    assert group.ready_to_use
    node.group.DeleteVolumeGroupSnapshot(
        csi_pb2.DeleteVolumeGroupSnapshotRequest(group_snapshot_id=group.group_snapshot_id),
        timeout=CALL_S,
    )
    for use in uses:
        cluster.release(use)
        cluster.delete(use.volume_id)
    assert node.thin_volumes() == []
