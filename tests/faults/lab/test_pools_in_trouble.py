"""Pools and disks in trouble: full, failing, hanging, missing, wanted by two.

Each time: what was acknowledged keeps its bytes, ebbd says what is wrong, takes nothing that it
could not keep, and works again once the trouble is over.
"""

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from ebb_pb import ebb_pb2
from faults.calls import Calls
from faults.lab.devices import failing_writes, linear, mapped
from faults.lvm_points import shell_of
from faults.scenarios import Stage, opened
from faults.tally import Tally
from faults.witness import POOL, Witness, head_of, snapshot_lv_of
from lab.volumes.running import MIB, RunningNode, loop_disk, run, running

pytestmark = pytest.mark.timeout(600)
VG = "trouble"
SIZE = 16 * MIB
SMALL: dict[str, object] = {"metadata_size": "4Mi", "overcommit_ratio": 100}
DEADLINE_S = 20  # what a busy emulated machine needs for the longest command, twice over
SOON_S = 60.0


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as made:
        yield Path(made)


def node_on(folder: Path, device: str, **settings: object) -> RunningNode:
    return RunningNode(folder, device, VG, pool_settings=SMALL, settings=settings)


def failed_checks(node: RunningNode) -> dict[str, str]:
    checks = node.ebbd_node.Diagnose(ebb_pb2.DiagnoseRequest(), timeout=60).checks
    failed = [check for check in checks if check.status == ebb_pb2.Check.FAILED]
    assert all(check.remedy for check in failed), failed
    return {check.name: check.detail for check in failed}


def refusal(calls: Calls, name: str = "refused") -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as refused:
        calls.create(name, SIZE)
    return refused.value


def assert_works_again(stage: Stage) -> int:
    """By itself, soon: create, check, delete."""
    end_s = time.monotonic() + SOON_S
    while time.monotonic() < end_s:
        with contextlib.suppress(grpc.RpcError):
            stage.calls.create("again", SIZE)
            break
        time.sleep(1)
    stage.calls.delete(stage.calls.create("again", SIZE).volume_id)
    return stage.witness.check()


def test_a_full_data_area(folder: Path, tally: Tally) -> None:
    with loop_disk(folder, VG, 192 * MIB) as disk, running(node_on(folder, disk)) as node:
        calls = Calls(node, "ext4")
        stage = opened(calls, Witness(node))
        big = Calls(node, "").create("big", 1024 * MIB).volume_id
        device = Calls(node, "").put_to_use(big, "big")
        assert fill(device), "the pool took more than it has"
        refused = refusal(calls)
        assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED, refused.details()
        assert "out of data space" in str(refused.details())
        with pytest.raises(grpc.RpcError, match="RESOURCE_EXHAUSTED"):
            calls.snapshot(stage.kept, "refused")
        assert failed_checks(node)[f"{VG}/{POOL} state"].startswith("out of data space")
        checked = still_readable(stage)
        node.restart_ebbd(signal.SIGKILL)
        checked += still_readable(stage)
        Calls(node, "").put_away(big, "big")
        calls.delete(big)
        checked += assert_works_again(stage)
        assert not failed_checks(node)
        tally.add("full data area", checked=checked)
        calls.put_away(stage.kept, "kept")


def fill(device: Path) -> bool:
    """Write until there is no more room: true when an error said so."""
    piece = os.urandom(MIB)
    descriptor = os.open(device, os.O_WRONLY)
    try:
        for _ in range(512):
            os.write(descriptor, piece)
            os.fsync(descriptor)
    except OSError:
        return True
    finally:
        try:
            os.close(descriptor)
        except OSError:
            return True
    return False


def still_readable(stage: Stage) -> int:
    """What can be checked of a pool that takes nothing: all bytes."""
    witness = stage.witness
    group = witness.group()
    for name, was in witness.lvs.items():
        assert witness.lv_digest(name, group) == was, f"{name} has other bytes"
    found = {path for path in witness.mounted if path.is_mount()}
    assert found == set(witness.mounted)
    return len(witness.lvs) + len(found)


def test_a_full_metadata_area(folder: Path, tally: Tally) -> None:
    with loop_disk(folder, VG, 256 * MIB) as disk, running(node_on(folder, disk)) as node:
        calls = Calls(node, "ext4")
        stage = opened(calls, Witness(node))
        pool = f"/dev/mapper/{stage.witness.pool_device()}"
        made = fill_metadata(pool)
        assert made
        refused = refusal(calls)
        assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED, refused.details()
        told = failed_checks(node)
        assert {f"{VG}/{POOL} state", f"{VG}/{POOL} metadata"} & told.keys(), told
        checked = still_readable(stage)
        node.restart_ebbd(signal.SIGKILL)
        checked += still_readable(stage)
        # The runbook: give the metadata room.
        run("lvextend", "--quiet", "--poolmetadatasize", "+8m", f"{VG}/{POOL}")
        for number in made:
            run("dmsetup", "message", pool, "0", f"delete {number}")
        checked += assert_works_again(stage)
        assert not failed_checks(node)
        tally.add("full metadata area", checked=checked)
        calls.put_away(stage.kept, "kept")


def fill_metadata(pool: str) -> list[int]:
    """Make thin devices until the pool's metadata has no room for another."""
    for number in range(1_000_000, 1_010_000):
        argv = ("dmsetup", "message", pool, "0", f"create_thin {number}")
        if subprocess.run(argv, capture_output=True, check=False).returncode:
            return list(range(1_000_000, number))
    raise AssertionError("the metadata area is larger than was thought")


def test_an_lvm_that_hangs_is_killed_and_replaced(folder: Path, tally: Tally) -> None:
    lvm = {"deadline_s": DEADLINE_S}
    with loop_disk(folder, VG, 256 * MIB) as disk, running(node_on(folder, disk, lvm=lvm)) as node:
        calls = Calls(node, "ext4")
        stage = opened(calls, Witness(node))
        shell = shell_of(node.ebbd_pid)
        os.kill(shell, signal.SIGSTOP)
        refused = refusal(calls, "hung")
        assert refused.code() is grpc.StatusCode.DEADLINE_EXCEEDED, refused.details()
        assert "was killed" in str(refused.details())
        assert not Path(f"/proc/{shell}").exists()
        checked = stage.witness.check()
        hung = calls.create("hung", SIZE).volume_id
        calls.delete(hung)
        checked += stage.witness.check()
        tally.add("LVM that hangs", checked=checked)
        calls.put_away(stage.kept, "kept")


def test_a_disk_that_hangs(folder: Path, tally: Tally) -> None:
    lvm = {"deadline_s": DEADLINE_S}
    with (
        loop_disk(folder, VG, 256 * MIB) as disk,
        mapped("hanging", linear(disk)) as device,
        running(node_on(folder, device.path, lvm=lvm)) as node,
    ):
        calls = Calls(node, "ext4")
        stage = opened(calls, Witness(node))
        device.suspend()
        try:
            refused = refusal(calls, "hung")
            assert refused.code() in {
                grpc.StatusCode.DEADLINE_EXCEEDED,
                grpc.StatusCode.UNAVAILABLE,
            }, refused.details()
        finally:
            device.resume()
        checked = assert_works_again(stage)
        tally.add("disk that hangs", checked=checked)
        calls.put_away(stage.kept, "kept")


def test_a_disk_that_fails_where_lvm_keeps_its_metadata(folder: Path, tally: Tally) -> None:
    """dm-flakey under the first megabytes of the PV: LVM cannot commit, the pool itself works."""
    with (
        loop_disk(folder, VG, 256 * MIB) as disk,
        mapped("flaky", linear(disk)) as device,
        running(node_on(folder, device.path)) as node,
    ):
        calls = Calls(node, "ext4")
        stage = opened(calls, Witness(node))
        checked = 0
        for act in (
            lambda: calls.create("failed", SIZE),
            lambda: calls.snapshot(stage.kept, "failed"),
            lambda: calls.delete(stage.second),
            lambda: calls.expand(stage.second, 2 * SIZE),
        ):
            device.become(failing_writes(disk, 4 * MIB))
            with pytest.raises(grpc.RpcError) as refused:
                act()
            assert refused.value.code() is not grpc.StatusCode.UNKNOWN
            device.become(linear(disk))
            checked += assert_works_again(stage)
            tally.add("dm-flakey under the VG's metadata", checked=checked)
        calls.put_away(stage.kept, "kept")


def test_a_disk_that_fails_under_the_pool(folder: Path, tally: Tally) -> None:
    """dm-flakey under all of the PV: the pool's own metadata cannot be written, it must be
    repaired, and the runbook does that.
    """
    with (
        loop_disk(folder, VG, 256 * MIB) as disk,
        mapped("flaky", linear(disk)) as device,
        running(node_on(folder, device.path)) as node,
    ):
        calls = Calls(node, "ext4")
        stage = opened(calls, Witness(node))
        calls.put_away(stage.kept, "kept")
        kept = head_of(stage.kept)
        files = stage.witness.mounted.pop(stage.kept_at)
        assert stage.witness.lv_contents(kept) == files
        raw = Calls(node, "")
        written = raw.create("raw", SIZE).volume_id
        path = raw.put_to_use(written, "raw")
        device.become(failing_writes(disk))
        assert fill(path), "a disk that takes no writes took them"
        refused = refusal(calls)
        assert refused.code() is not grpc.StatusCode.UNKNOWN
        device.become(linear(disk))
        told = failed_checks(node)
        assert f"{VG}/{POOL} state" in told, told
        refused = refusal(calls)
        assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED, refused.details()
        raw.put_away(written, "raw")
        repair(node)
        checked = stage.witness.check()
        assert stage.witness.lv_contents(kept) == files
        checked += assert_works_again(stage)
        assert not failed_checks(node)
        tally.add("dm-flakey under the pool", checked=checked)


def repair(node: RunningNode) -> None:
    """docs/operations.md, "A pool that needs repair"."""
    node.end_ebbd(signal.SIGTERM)
    run("lvchange", "--activate", "n", f"{VG}/{POOL}", check=False)
    run("vgchange", "--activate", "n", VG)
    run("lvconvert", "--yes", "--repair", f"{VG}/{POOL}")
    node.start_ebbd()


def test_a_vg_that_is_missing_at_start(folder: Path, tally: Tally) -> None:
    other = "away"
    with loop_disk(folder, VG, 256 * MIB) as disk, loop_disk(folder, other, 256 * MIB) as second:
        pools = [
            {"name": f"{VG}/{POOL}", "devices": [disk], **SMALL},
            {"name": f"{other}/{POOL}", "devices": [second], **SMALL},
        ]
        with running(node_on(folder, disk, pools=pools)) as node:
            calls = Calls(node, "ext4")
            stage = opened(calls, Witness(node))
            away = calls.create("away", SIZE, parameters={"pool": f"{other}/{POOL}"}).volume_id
            node.end_ebbd(signal.SIGKILL)
            run("vgchange", "--activate", "n", other)
            run("losetup", "--detach", second)
            node.start_ebbd()
            with pytest.raises(grpc.RpcError) as refused:
                calls.delete(away)
            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
            assert f"volume group {other} is missing" in str(refused.value.details())
            assert f"{other} volume group" in failed_checks(node)
            grown = calls.expand(stage.second, 2 * SIZE)
            assert grown == 2 * SIZE
            run("losetup", second, str(folder / f"{other}.img"))
            wait_until_served(node, calls, away)
            stage.witness.lvs.pop(head_of(stage.second))
            assert snapshot_lv_of(stage.kept_snapshot) in stage.witness.group().volumes
            tally.add("VG missing at start", checked=3)
            calls.put_away(stage.kept, "kept")
            run("vgremove", "--force", "--force", "--yes", other)


def wait_until_served(node: RunningNode, calls: Calls, volume_id: str) -> None:
    """It is taken up again by itself; its volume is there and can be used."""
    end_s = time.monotonic() + SOON_S
    while failed_checks(node):
        assert time.monotonic() < end_s, failed_checks(node)
        time.sleep(1)
    calls.put_to_use(volume_id, "away")
    calls.put_away(volume_id, "away")
    calls.delete(volume_id)


def test_a_second_ebbd_on_the_same_pool(folder: Path, tally: Tally) -> None:
    with loop_disk(folder, VG, 256 * MIB) as disk, running(node_on(folder, disk)) as node:
        stage = opened(Calls(node, "ext4"), Witness(node))
        rival = folder / "rival"
        rival.mkdir()
        settings = json.loads(node.config.read_text())
        settings |= {"run_directory": str(rival), "api": {"socket": str(rival / "ebbd.sock")}}
        (rival / "ebbd.yaml").write_text(json.dumps(settings))
        argv = ("ebbd", "--config", str(rival / "ebbd.yaml"))
        told = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
        assert told.returncode == 1
        last = told.stderr.splitlines()[-1]
        assert f"VG {VG} is another ebbd's: process {node.ebbd_pid}," in last, told.stderr
        assert not (rival / "ebbd.sock").exists()
        checked = assert_works_again(stage)
        node.restart_ebbd(signal.SIGKILL)
        checked += assert_works_again(stage)
        tally.add("second ebbd", checked=checked)
        stage.calls.put_away(stage.kept, "kept")
