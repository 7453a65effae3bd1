"""Doctor's checks: each fact that matters turns into the check that says so, with a remedy."""

from dataclasses import replace

import pytest
from ebbd.host.values import PoolStatus, ThinPool, ToolVersion, VolumeGroup
from ebbd.inspect.checks import Check, Status
from ebbd.inspect.diagnose import Machine, VolumeProblem, check_orphans, diagnose
from ebbd.inspect.pool_checks import PoolFacts, Thresholds, check_pool
from ebbd.volumes.orphans import Kind, Orphan
from hypothesis import given
from hypothesis import strategies as st

POOL = ThinPool(
    name="pool",
    uuid="p",
    size_bytes=2**30,
    metadata_size_bytes=2**22,
    chunk_bytes=2**16,
    transaction_id=7,
    zero=True,
    error_when_full=True,
)
GROUP = VolumeGroup(
    name="ebb",
    uuid="g",
    seqno=3,
    extent_bytes=2**22,
    free_bytes=0,
    tags=frozenset(),
    pools={"pool": POOL},
    volumes={},
)
STATUS = PoolStatus(
    mode="rw",
    transaction_id=7,
    used_metadata_blocks=100,
    total_metadata_blocks=1000,
    used_data_blocks=500,
    total_data_blocks=1000,
    error_when_full=True,
)
FACTS = PoolFacts(GROUP, POOL, STATUS, autoactivation=False)
KERNEL = {
    "release": "6.1.0-18-cloud-amd64",
    "dm thin-pool": "1.22.0",
    "dm thin": "1.22.0",
    "filesystems": "btrfs ext4 xfs",
}
CGROUP = {"mount": "/sys/fs/cgroup", "controllers": "cpuset cpu io memory", "io.max": "yes"}
TOOLS = (
    ToolVersion("lvm", "/sbin/lvm", "2.03.16(2)", "lvm2"),
    ToolVersion("mkfs.ext4", "/sbin/mkfs.ext4", "1.47.0", "e2fsprogs"),
    ToolVersion("mkfs.xfs", "/sbin/mkfs.xfs", "6.1.0", "xfsprogs"),
    ToolVersion("thin_check", "/usr/sbin/thin_check", "0.9.0", "thin-provisioning-tools"),
)
MACHINE = Machine(KERNEL, CGROUP, TOOLS, (FACTS,), volumes=4)


def the(checks: tuple[Check, ...] | list[Check], name: str) -> Check:
    (found,) = [check for check in checks if check.name == name]
    return found


def test_a_good_machine_is_ok_throughout() -> None:
    checks = diagnose(MACHINE)
    assert {check.status for check in checks} == {Status.OK}
    assert {check.subject for check in checks} == {
        "kernel", "cgroup", "tools", "pool", "volumes", "orphans",
    }  # fmt: skip
    assert the(checks, "condition").detail == "4 volumes, none with a problem"
    assert the(checks, "ebb/pool data").detail == "50.0 % used"


@pytest.mark.parametrize(
    ("machine", "name", "status", "told", "remedy"),
    [
        (
            replace(MACHINE, kernel=KERNEL | {"release": "5.10.0-8-amd64"}),
            "release", Status.WARNING, "older than 6.1", "newer kernel",
        ),
        (
            replace(MACHINE, kernel={k: v for k, v in KERNEL.items() if k != "dm thin-pool"}),
            "target thin-pool", Status.FAILED, "lacks it", "modprobe dm_thin_pool",
        ),
        (
            replace(MACHINE, kernel=KERNEL | {"filesystems": "btrfs ext4"}),
            "filesystem xfs", Status.WARNING, "xfs cannot be mounted", "modprobe xfs",
        ),
        (
            replace(MACHINE, kernel=KERNEL | {"filesystems": "btrfs xfs"}),
            "filesystem ext4", Status.FAILED, "ext4 cannot be mounted", "modprobe ext4",
        ),
        (
            replace(MACHINE, cgroup={}),
            "cgroup v2", Status.WARNING, "not mounted", "unified_cgroup_hierarchy",
        ),
        (
            replace(MACHINE, cgroup=CGROUP | {"controllers": "cpu memory"}),
            "io controller", Status.WARNING, "cpu memory", "cgroup_disable=io",
        ),
        (
            replace(MACHINE, cgroup=CGROUP | {"io.max": "no"}),
            "io.max", Status.WARNING, "not there", "CONFIG_BLK_DEV_THROTTLING",
        ),
        (
            replace(MACHINE, tools=(replace(TOOLS[0], path=None), *TOOLS[1:])),
            "lvm", Status.FAILED, "not found", "apt-get install lvm2",
        ),
        (
            replace(MACHINE, tools=(*TOOLS[:3], replace(TOOLS[3], path=None))),
            "thin_check", Status.WARNING, "not found", "apt-get install thin-provisioning-tools",
        ),
        (
            replace(MACHINE, tools=(ToolVersion("oddity", None),)),
            "oddity", Status.WARNING, "not found", "the package that has oddity",
        ),
        (
            replace(MACHINE, tools=(replace(TOOLS[0], version="2.03.07(2)"), *TOOLS[1:])),
            "version", Status.WARNING, "2.03.07(2)", "2.03.12 or newer",
        ),
        (replace(MACHINE, pools=()), "any pool", Status.FAILED, "there is none", "`pools`"),
        (
            replace(MACHINE, problems=(VolumeProblem("db", "its device is gone", "restart ebbd"),)),
            "db", Status.FAILED, "its device is gone", "restart ebbd",
        ),
        (
            replace(MACHINE, simulated=True),
            "simulation", Status.WARNING, "in memory", "without --simulate",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_remedy(
    machine: Machine, name: str, status: Status, told: str, remedy: str
) -> None:
    checks = diagnose(machine)
    check = the(checks, name)
    assert check.status is status
    assert told in check.detail
    assert remedy in check.remedy
    assert [other for other in checks if other.status is not Status.OK] == [check]


@pytest.mark.parametrize(
    ("facts", "name", "status", "told", "remedy"),
    [
        (
            replace(FACTS, pool=replace(POOL, zero=False)),
            "ebb/pool zeroing", Status.FAILED, "what others deleted", "lvchange --zero y ebb/pool",
        ),
        (
            replace(FACTS, pool=replace(POOL, error_when_full=False)),
            "ebb/pool when full", Status.WARNING, "hang", "lvchange --errorwhenfull y ebb/pool",
        ),
        (
            replace(FACTS, autoactivation=True),
            "ebb/pool autoactivation", Status.WARNING, "boot", "--setautoactivation n ebb",
        ),
        (
            replace(FACTS, status=replace(STATUS, mode="ro")),
            "ebb/pool state", Status.FAILED, "read-only", "lvconvert --repair ebb/pool",
        ),
        (
            replace(FACTS, status=replace(STATUS, mode="out_of_data_space")),
            "ebb/pool state", Status.FAILED, "out of data space", "lvextend",
        ),
        (
            replace(FACTS, status=replace(STATUS, needs_check=True)),
            "ebb/pool state", Status.FAILED, "check of its metadata", "lvconvert --repair",
        ),
        (
            replace(FACTS, status=replace(STATUS, mode="novel")),
            "ebb/pool state", Status.FAILED, "novel", "dmsetup status",
        ),
        (
            replace(FACTS, status=PoolStatus(mode="fail")),
            "ebb/pool state", Status.FAILED, "failed", "lvconvert --repair",
        ),
        (
            replace(FACTS, status=None),
            "ebb/pool state", Status.FAILED, "not active", "lvchange --activate y ebb/pool",
        ),
        (
            replace(FACTS, status=replace(STATUS, used_data_blocks=800)),
            "ebb/pool data", Status.WARNING, "80.0 %", "lvextend",
        ),
        (
            replace(FACTS, status=replace(STATUS, used_data_blocks=950)),
            "ebb/pool data", Status.FAILED, "95.0 %", "lvextend",
        ),
        (
            replace(FACTS, status=replace(STATUS, used_metadata_blocks=899)),
            "ebb/pool metadata", Status.WARNING, "89.9 %", "--poolmetadatasize",
        ),
        (
            replace(FACTS, status=replace(STATUS, used_metadata_blocks=900)),
            "ebb/pool metadata", Status.FAILED, "90.0 %", "--poolmetadatasize",
        ),
    ],
)  # fmt: skip
def test_a_pool_is_judged_by_its_properties_and_its_state(
    facts: PoolFacts, name: str, status: Status, told: str, remedy: str
) -> None:
    checks = list(check_pool(facts, Thresholds()))
    check = the(checks, name)
    assert check.status is status
    assert told in check.detail
    assert remedy in check.remedy
    assert [other for other in checks if other.status is not Status.OK] == [check]


def test_unknown_autoactivation_is_not_guessed_at() -> None:
    names = {check.name for check in check_pool(replace(FACTS, autoactivation=None), Thresholds())}
    assert "ebb/pool autoactivation" not in names


def test_the_operators_thresholds_hold() -> None:
    strict = Thresholds(data_warning=40, data_failed=50)
    assert the(list(check_pool(FACTS, strict)), "ebb/pool data").status is Status.FAILED


def test_orphans_are_told_with_the_way_to_be_rid_of_them() -> None:
    removable = Orphan(Kind.THIN_DEVICE, "ebb/pool#7", "lost", action="pool message: delete 7")
    kept = Orphan(Kind.LV, "ebb/ebb.x.1", "newer", remedy="upgrade ebbd", broken=True)
    first, second, third = check_orphans([removable, kept], {"ebb/slow": "no thin_ls; install it"})
    assert (first.name, first.status, first.detail) == ("ebb/pool#7", Status.WARNING, "lost")
    assert "`ebb gc --remove`" in first.remedy
    assert (second.status, second.remedy) == (Status.FAILED, "upgrade ebbd")
    assert (third.name, third.status) == ("ebb/slow thin devices", Status.WARNING)
    assert (third.detail, third.remedy) == ("not looked at: no thin_ls", "install it")
    [fine] = check_orphans([], {})
    assert (fine.status, fine.remedy) == (Status.OK, "")


facts = st.dictionaries(
    st.sampled_from([*KERNEL, *CGROUP]), st.sampled_from(["", "no", "yes", "6.1", "io ext4", "5.4"])
)
statuses = st.none() | st.builds(
    PoolStatus,
    mode=st.sampled_from(["rw", "ro", "out_of_data_space", "fail", "?"]),
    used_data_blocks=st.integers(0, 1000),
    total_data_blocks=st.integers(0, 1000),
    used_metadata_blocks=st.integers(0, 1000),
    total_metadata_blocks=st.integers(0, 1000),
    needs_check=st.booleans(),
)
tools = st.lists(
    st.builds(
        ToolVersion,
        name=st.sampled_from(["lvm", "mkfs.ext4", "thin_check"]),
        path=st.none() | st.just("/sbin/it"),
        version=st.sampled_from(["", "2.02", "2.03.16(2)", "simulated"]),
    ),
    unique_by=lambda tool: tool.name,
)


@given(facts, facts, tools, statuses, st.booleans(), st.booleans())
def test_whatever_is_not_ok_has_a_remedy_and_nothing_else_has(
    kernel: dict[str, str],
    cgroup: dict[str, str],
    found: list[ToolVersion],
    status: PoolStatus | None,
    zero: bool,
    simulated: bool,
) -> None:
    pool = PoolFacts(GROUP, replace(POOL, zero=zero), status, autoactivation=not zero)
    machine = Machine(kernel, cgroup, found, (pool,), volumes=0, simulated=simulated)
    for check in diagnose(machine):
        assert check.detail
        assert (check.status is Status.OK) == (not check.remedy)
