"""What is said about volumes, pools and checks."""

from datetime import UTC, datetime, timedelta

import pytest
from ebb_cli import views
from ebb_pb import ebb_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-5, "0s"),
        (0, "0s"),
        (59, "59s"),
        (60, "1m"),
        (3599, "59m"),
        (3600, "1h"),
        (86_399, "23h"),
        (86_400, "1d"),
        (86_400 * 364, "364d"),
        (86_400 * 800, "2y"),
    ],
)
def test_age_in_one_unit(seconds: int, shown: str) -> None:
    created = Timestamp(seconds=int((NOW - timedelta(seconds=seconds)).timestamp()))
    assert views.age(created, NOW) == shown


@pytest.mark.parametrize(
    ("volume", "word"),
    [
        (pb.Volume(blank=True), "new"),
        (pb.Volume(), "idle"),
        (pb.Volume(active=True, blank=True), "active"),
        (pb.Volume(active=True, open_count=1), "in use"),
        (pb.Volume(active=True, open_count=1, mount_paths=["/mnt"]), "mounted"),
        (
            pb.Volume(mount_paths=["/mnt"], condition=pb.Condition(abnormal=True)),
            "problem",
        ),
    ],
)
def test_a_volumes_state_in_one_word(volume: pb.Volume, word: str) -> None:
    assert views.state(volume) == word


def row(volume: pb.Volume) -> dict[str, str]:
    return {column.title: column.cell(volume) for column in views.volume_columns(NOW)}


def test_a_volumes_row() -> None:
    volume = pb.Volume(
        name="db",
        id="v-1",
        pool="ebb/pool",
        size_bytes=10 * 2**30,
        allocated_bytes=3 * 2**29,
        filesystem="xfs",
        generation=3,
        active=True,
        source_snapshot_id="s-9",
        claim_namespace="team",
        claim_name="data",
        intent={"priority": "gold", "iops": "5k"},
    )
    shown = row(volume)
    assert shown["SIZE"] == "10Gi"
    assert shown["ALLOCATED"] == "1.5Gi"
    assert shown["TYPE"] == "xfs"
    assert shown["SOURCE"] == "snapshot s-9"
    assert shown["CLAIM"] == "team/data"
    assert shown["INTENT"] == "iops=5k, priority=gold"


def test_allocation_is_not_claimed_to_be_zero_when_it_is_unknown() -> None:
    assert row(pb.Volume(size_bytes=1))["ALLOCATED"] == ""


def test_a_full_facts_sheet_of_a_raw_volume() -> None:
    volume = pb.Volume(name="raw", id="v-2", attached=True, attached_read_only=True)
    sheet = dict(views.volume_facts(volume, NOW))
    assert sheet["Type"] == "raw block"
    assert sheet["Attached"] == "read-only"
    assert sheet["Source"] == sheet["Device"] == sheet["Claim"] == ""


def test_a_pools_fill() -> None:
    pool = pb.Pool(name="ebb/pool", size_bytes=1000, used_bytes=125, overcommit_ratio=1.5)
    shown = {column.title: column.cell(pool) for column in views.pool_columns()}
    assert (shown["DATA"], shown["META"], shown["RATIO"]) == ("12.5%", "", "1.5")


def test_an_abnormal_condition_always_says_something() -> None:
    assert views.condition(pb.Condition()) == "ok"
    assert views.condition(pb.Condition(abnormal=True)) == "abnormal"
    assert views.condition(pb.Condition(abnormal=True, message="full")) == "full"


def test_a_node_says_what_lvm_was_given() -> None:
    facts = dict(views.node_facts(pb.GetNodeResponse(lvm_command_lines=7)))
    assert facts["LVM command lines"] == "7 since the daemon started"


def test_inodes_of_a_raw_volume_are_not_shown() -> None:
    assert dict(views.stats_facts("/m", pb.GetVolumeStatsResponse(total_bytes=5)))["Inodes"] == ""


@pytest.mark.parametrize(
    ("statuses", "told"),
    [
        ([], "0 ok, 0 warnings, 0 failed"),
        ([pb.Check.OK, pb.Check.WARNING, pb.Check.OK], "2 ok, 1 warning, 0 failed"),
        ([pb.Check.FAILED, pb.Check.FAILED], "0 ok, 0 warnings, 2 failed"),
    ],
)
def test_the_doctors_verdict(statuses: list[pb.Check.Status.ValueType], told: str) -> None:
    assert views.verdict(pb.Check(status=it) for it in statuses) == told
