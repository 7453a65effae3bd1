"""The walk through /proc, on a /proc of our own making: a folder of files and links."""

import os
from pathlib import Path

import pytest
from ebbd.errors import HostFailure
from ebbd.host.real.consumers import cgroup_of, find, freezable
from ebbd.host.real.machine_root import MachineRoot
from ebbd.host.values import Consumer

OWN = 100
HOST_NS, POD_NS = "mnt:[1]", "mnt:[2]"
STAGED = "50 1 253:7 / /kubelet/stage rw - ext4 /dev/mapper/vg-v rw\n"


class Proc:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "proc").mkdir()
        self.table = folder / "table"
        self.table.write_text(STAGED, encoding="ascii")
        self.process(OWN, "/system.slice/ebbd.service")

    @property
    def root(self) -> MachineRoot:
        return MachineRoot(self.folder, self.folder / "proc", self.table)

    def process(
        self, pid: int, cgroup: str, *, namespace: str = HOST_NS, mounts: str = "", maps: str = ""
    ) -> Path:
        process = self.folder / "proc" / str(pid)
        (process / "fd").mkdir(parents=True)
        (process / "ns").mkdir()
        (process / "ns" / "mnt").symlink_to(namespace)
        (process / "cgroup").write_text(f"0::{cgroup}\n", encoding="ascii")
        (process / "mountinfo").write_text(mounts or STAGED, encoding="ascii")
        (process / "maps").write_text(maps, encoding="ascii")
        return process

    def users(self, major: int = 253, minor: int = 7) -> dict[str, Consumer]:
        return {each.path: each for each in find(self.root, major, minor, OWN)}


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    return Proc(tmp_path)


def test_a_staging_mount_that_everybody_sees_is_no_use(proc: Proc) -> None:
    proc.process(101, "/a")
    assert proc.users() == {}


def test_a_pod_with_the_volume_in_its_own_namespace(proc: Proc) -> None:
    pod = "60 1 253:7 / /data rw - ext4 /dev/mapper/vg-v rw\n"
    for pid in (201, 202):
        proc.process(pid, "/kubepods/pod1/c1", namespace=POD_NS, mounts=pod)
    assert proc.users() == {"/kubepods/pod1/c1": Consumer("/kubepods/pod1/c1", (201, 202), True)}
    assert proc.users(253, 8) == {}


def test_an_agent_with_the_nodes_mounts_under_another_root_is_none(proc: Proc) -> None:
    agent = STAGED.replace("/kubelet/stage", "/host/kubelet/stage")
    proc.process(301, "/agent", namespace="mnt:[3]", mounts=agent)
    proc.process(302, "/plugin", namespace="mnt:[4]")
    assert proc.users() == {}


def test_an_open_file_and_a_working_directory(proc: Proc, tmp_path: Path) -> None:
    found = tmp_path.stat().st_dev
    numbers = os.major(found), os.minor(found)
    proc.table.write_text(STAGED.replace("253:7", f"{numbers[0]}:{numbers[1]}"), encoding="ascii")
    (proc.process(401, "/open") / "fd" / "3").symlink_to(tmp_path / "table")
    (proc.process(402, "/cwd") / "cwd").symlink_to(tmp_path)
    (proc.process(403, "/elsewhere") / "cwd").symlink_to("/proc")
    (proc.process(404, "/dangling") / "fd" / "3").symlink_to(tmp_path / "never")
    assert set(proc.users(*numbers)) == {"/open", "/cwd"}


def test_a_map_outlives_its_file(proc: Proc) -> None:
    line = "7f00-7f01 r--p 00000000 fd:07 131 /data/lib.so\n"
    proc.process(501, "/mapped", maps=line)
    proc.process(502, "/other", maps=line.replace("fd:07", "fd:70"))
    assert set(proc.users()) == {"/mapped"}


def test_btrfs_is_found_by_its_source(proc: Proc, tmp_path: Path) -> None:
    null = Path("/dev/null").stat().st_rdev  # any device node will do
    node = tmp_path / "dev" / "mapper"
    node.mkdir(parents=True)
    (node / "vg-b").symlink_to("/dev/null")
    pod = "60 1 0:77 / /data rw - btrfs /dev/mapper/vg-b rw\n"
    proc.process(601, "/pod", namespace=POD_NS, mounts=pod)
    assert set(proc.users(os.major(null), os.minor(null))) == {"/pod"}


def test_a_file_of_btrfs_is_found_by_the_mount_it_was_opened_through(
    proc: Proc, tmp_path: Path
) -> None:
    null = Path("/dev/null").stat().st_rdev
    node = tmp_path / "dev" / "mapper"
    node.mkdir(parents=True)
    (node / "vg-b").symlink_to("/dev/null")
    descriptor = os.open(tmp_path, os.O_PATH)
    facts = Path(f"/proc/self/fdinfo/{descriptor}").read_text(encoding="ascii")
    os.close(descriptor)
    [mount_id] = [line.split()[1] for line in facts.splitlines() if line.startswith("mnt_id")]
    table = f"{mount_id} 1 0:77 / /stage rw - btrfs /dev/mapper/vg-b rw\n"
    proc.table.write_text(table, encoding="ascii")
    (proc.process(611, "/open", mounts=table) / "fd" / "3").symlink_to(tmp_path / "table")
    (proc.process(612, "/elsewhere", mounts=table) / "cwd").symlink_to("/proc")
    assert set(proc.users(os.major(null), os.minor(null))) == {"/open"}


def test_a_process_that_ends_meanwhile_is_none(proc: Proc) -> None:
    process = proc.process(701, "/gone", namespace=POD_NS)
    (process / "ns" / "mnt").unlink()
    assert proc.users() == {}


def test_ebbd_and_the_root_cannot_be_frozen() -> None:
    own = "/system.slice/ebbd.service"
    for path in ("/", "/system.slice", own):
        assert not freezable(path, own)
    for path in ("/system.slice/ebbd.service2", "/system.slice/db.service", "/kubepods/pod1"):
        assert freezable(path, own)


def test_cgroups_of_version_1_are_told(proc: Proc) -> None:
    process = proc.process(801, "/x")
    (process / "cgroup").write_text("4:memory:/x\n", encoding="ascii")
    with pytest.raises(HostFailure, match="cgroup v2"):
        cgroup_of(process)
