"""ebbd as the DaemonSet runs it: in namespaces of its own, with a prefix that leads to the node.

Nothing that the node mounts is handed to ebbd, and it shares neither the node's IPC nor its cgroup
namespace: what it mounts must be the node's at once, and LVM and udev must still find each other.
"""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from ebbd.config import load_config
from lab.volumes.running import MIB, Orchestrator, RunningNode, running_node
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[3]
BASE = ROOT / "deploy" / "kubernetes" / "base"
POOL_BYTES = 3 << 30

pytestmark = pytest.mark.timeout(600)


def command_of_the_container() -> tuple[str, ...]:
    [daemon_set, *_] = YAML(typ="safe").load_all(BASE / "node.yaml")
    containers = daemon_set["spec"]["template"]["spec"]["containers"]
    [command] = [each["command"] for each in containers if each["name"] == "ebbd"]
    return tuple(command)


@pytest.fixture(scope="module")
def node() -> Iterator[RunningNode]:
    prefix = load_config(BASE / "ebbd.yaml", hostname="lab").lvm.prefix
    assert prefix
    # What a runtime gives a container: private, and without the host's mounts from then on.
    container = ("unshare", "--mount", "--ipc", "--cgroup", "--propagation", "private", "--")
    with (
        tempfile.TemporaryDirectory(dir="/var/tmp") as folder,
        running_node(
            Path(folder),
            "ebbpod",
            POOL_BYTES,
            ebbd_command=(*container, *command_of_the_container()),
            lvm_prefix=prefix,
        ) as running,
    ):
        yield running


def test_ebbd_is_where_the_container_puts_it(node: RunningNode) -> None:
    pid = node._processes["ebbd"].pid

    def shared(namespace: str) -> bool:
        own, nodes = (Path(f"/proc/{each}/ns/{namespace}").readlink() for each in (pid, 1))
        return own == nodes

    assert {name: shared(name) for name in ("mnt", "ipc", "cgroup")} == {
        "mnt": False,
        "ipc": False,
        "cgroup": True,  # its own command line leads it back there: pods are found by their cgroup
    }


@pytest.mark.parametrize("filesystem", ["ext4", "xfs", ""])
def test_what_ebbd_mounts_is_the_nodes_and_goes_again(node: RunningNode, filesystem: str) -> None:
    name = filesystem or "block"
    cluster = Orchestrator(node, filesystem)
    volume = cluster.create(name, 320 * MIB)
    use = cluster.use(volume.volume_id, name)
    assert f" {use.target} " in Path("/proc/1/mountinfo").read_text()
    if filesystem:
        assert os.path.ismount(use.target)
        (use.target / "file").write_text("through the node's own mount")
    size_bytes = cluster.device_bytes(use)
    cluster.expand(volume.volume_id, 640 * MIB)
    assert cluster.device_bytes(use) > size_bytes
    snapshot = cluster.snapshot(volume.volume_id, f"{name}-snapshot")
    copy = cluster.create(f"{name}-copy", 640 * MIB, snapshot=snapshot.snapshot_id)
    copied = cluster.use(copy.volume_id, f"{name}-copy")
    if filesystem:
        assert (copied.target / "file").read_text() == "through the node's own mount"
    for each in (copied, use):
        cluster.release(each)
        assert f" {each.target} " not in Path("/proc/1/mountinfo").read_text()
        cluster.delete(each.volume_id)
    cluster.delete_snapshot(snapshot.snapshot_id)
    assert node.thin_volumes() == []
