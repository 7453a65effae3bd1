"""How the fault campaign chooses its points and adds up what it did."""

from pathlib import Path

from faults import lvm_points, tally
from faults.lvm_points import Point
from faults.sample import Sample, distinct
from faults.tally import Tally

TRACE = """\
ioctl(3, DM_VERSION, {version=[4, 0, 0]}) = 0
flock(5, LOCK_EX) = 0
io_submit(0x7f, 1, [{aio_lio_opcode=IOCB_CMD_PREAD, aio_fildes=6}]) = 1
io_submit(0x7f, 1, [{aio_lio_opcode=IOCB_CMD_PWRITE, aio_fildes=6}]) = 1
ioctl(3, DM_TABLE_STATUS, {name="vg-pool"}) = 0
ioctl(3, DM_TARGET_MSG, {name="vg-pool"}) = 0
ioctl(3, DM_DEV_SUSPEND, {name="vg-pool"}) = 0
flock(5, LOCK_UN) = 0
"""


def test_points_lie_before_and_after_what_acts() -> None:
    assert lvm_points.points(TRACE) == [
        Point("io_submit", 2, "before write"),
        Point("ioctl", 2, "after write"),
        Point("ioctl", 3, "before DM_TARGET_MSG"),
        Point("ioctl", 4, "before DM_DEV_SUSPEND"),
        Point("flock", 2, "after DM_DEV_SUSPEND"),
    ]


def test_a_sample_is_every_nth_and_the_first_of_each_kind() -> None:
    sample = Sample(3)
    assert sample.of(["a1", "a2", "a3", "a4", "b1"], kind=lambda p: p[0]) == ["a1", "a4", "b1"]
    # The count goes on over the whole run, so that short mutations are not passed over.
    assert sample.of(["a5", "a6", "c1"], kind=lambda p: p[0]) == ["a6", "c1"]
    assert Sample(1).of(range(4), kind=lambda _: 0) == [0, 1, 2, 3]


def test_a_point_before_a_call_that_follows_another_is_the_one_after_that() -> None:
    names = (
        "lvm.a before",
        "lvm.a while",
        "lvm.a after",
        "dm.b before",
        "dm.b while",
        "dm.b after",
    )
    assert distinct(list(enumerate(names, start=1))) == [
        (1, "lvm.a before"),
        (2, "lvm.a while"),
        (3, "lvm.a after"),
        (5, "dm.b while"),
        (6, "dm.b after"),
    ]


def test_tallies_add_up_and_survive_a_file(tmp_path: Path) -> None:
    one, other = Tally(), Tally()
    one.add("power cut", checked=3)
    other.add("power cut", checked=4)
    other.add("SIGKILL of LVM", checked=2, faults=2)
    other.write(tmp_path / "folder" / "tally.json")
    one.merge(tally.read(tmp_path / "folder" / "tally.json"))
    assert one.counts() == (
        "4 faults injected, 9 volumes and snapshots checked after them "
        "(SIGKILL of LVM 2, power cut 2)"
    )
    assert one.as_json()["kinds"] == {
        "SIGKILL of LVM": {"faults": 2, "volumes": 2},
        "power cut": {"faults": 2, "volumes": 7},
    }
