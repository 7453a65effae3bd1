"""StorageClass parameters, paths, and what the mount table tells."""

import pytest
from ebbd.errors import InvalidInput
from ebbd.host.values import DeviceInfo, Mount
from ebbd.volumes.parameters import OPTIONS_CHARACTERS, check_mount_options, parse_parameters
from ebbd.volumes.paths import check_path
from ebbd.volumes.use import filesystem_problem, mounts_at, mounts_of

INFO = DeviceInfo("vg-lv", "u", 253, 4, 1, suspended=False, read_only=False)


def mount(
    target: str,
    *,
    device: tuple[int, int] = (253, 4),
    root: str = "/",
    filesystem: str = "ext4",
    options: tuple[str, ...] = ("rw",),
    super_options: tuple[str, ...] = ("rw",),
) -> Mount:
    return Mount(1, 0, *device, root, target, options, filesystem, "/dev/x", super_options)


def test_everything_at_once() -> None:
    parsed = parse_parameters(
        {
            "pool": "vg/p",
            "mkfs-options": "-m 0 -L 'a b' -E ''",
            "mount-options": "noatime, discard  data=ordered",
            "iops": "500",
            "csi.storage.k8s.io/pvc/name": "claim",
            "csi.storage.k8s.io/pvc/namespace": "team",
            "csi.storage.k8s.io/what-comes-next": "\x00",
        }
    )
    assert parsed.pool == "vg/p"
    assert parsed.mkfs_options == ("-m", "0", "-L", "a b", "-E", "")
    assert parsed.mount_options == ("noatime", "discard", "data=ordered")
    assert parsed.intent == {"iops": "500"}
    assert (parsed.claim_namespace, parsed.claim_name) == ("team", "claim")


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"poool": "x"}, "did you mean 'pool'"),
        ({"mkfs-options": "'open"}, "mkfs-options"),
        ({"mkfs-options": "/dev/sda"}, "names a path"),
        ({"mkfs-options": "-d /etc"}, "names a path"),
        ({"mkfs-options": "-J device=/dev/sdb"}, "names a path"),
        ({"mkfs-options": "ä"}, "mkfs-options"),
        ({"mkfs-options": "x" * (OPTIONS_CHARACTERS + 1)}, "mkfs-options"),
        ({"mount-options": "y" * (OPTIONS_CHARACTERS + 1)}, "mount-options"),
        ({"mount-options": "noatime,bind"}, "bind"),
        ({"mount-options": "loop=/dev/loop3"}, "loop"),
        ({"csi.storage.k8s.io/pvc/name": "a/b"}, "pvc/name"),
        ({"iops": "0"}, "iops"),
    ],
)
def test_what_is_wrong_is_named(values: dict[str, str], named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        parse_parameters(values)


def test_a_requests_mount_flags_may_be_as_long_as_csi_allows() -> None:
    flags = tuple(f"x-option-{n}=abcdefgh" for n in range(100))
    assert check_mount_options(flags) == flags


@pytest.mark.parametrize(
    "flag",
    [
        *("loop=/dev/loop0", "offset=4096", "journal_path=/dev/sda", "logdev=/dev/sda", "LOOP"),
        *("device=/dev/sda", "X-mount.mkdir=0777", "x-mount.subdir=a", "rshared", "uhelper=x"),
        *("remount", "-o", "a,b", "a b", "", "verity.roothash=00", "\x1b[2J"),
    ],
)
def test_mount_flags_that_do_something_else_are_refused(flag: str) -> None:
    with pytest.raises(InvalidInput):
        check_mount_options((flag,))


def test_mount_flags_have_an_end() -> None:
    with pytest.raises(InvalidInput, match="more than 8192 bytes"):
        check_mount_options(("noatime",) * 2000)


@pytest.mark.parametrize(
    ("path", "form"),
    [("/a/b", "/a/b"), ("/a/b/", "/a/b"), ("//a//b/.", "/a/b"), ("/a/ä b\n", "/a/ä b\n")],
)
def test_paths_in_their_one_form(path: str, form: str) -> None:
    assert check_path(path, ["/c", "/a/"]) == form


@pytest.mark.parametrize(
    "path",
    [
        "",
        "a/b",
        "/a",
        "/a/",
        "/ab/c",
        "/a/../b",
        "/a/b/..",
        "/b",
        "/a/b\0c",
        "/a/" + "x" * 4096,
        "/a/" + "x" * 256,
        "/",
    ],
)
def test_paths_that_are_refused(path: str) -> None:
    with pytest.raises(InvalidInput) as told:
        check_path(path, ["/a"])
    assert told.value.remedy


def test_which_mounts_show_a_device() -> None:
    table = [
        mount("/s"),
        mount("/t", options=("ro",)),
        mount("/other", device=(253, 5)),
        mount("/node", device=(0, 5), root="/dm-4", filesystem="devtmpfs"),
        mount("/named", device=(0, 5), root="/mapper/vg-lv", filesystem="devtmpfs"),
        mount("/other-node", device=(0, 5), root="/dm-44", filesystem="devtmpfs"),
        mount("/dev", device=(0, 5), filesystem="devtmpfs"),
    ]
    assert [m.target for m in mounts_of(table, INFO)] == ["/s", "/t", "/node", "/named"]
    stacked = [mount("/s"), mount("/s", device=(8, 1)), mount("/s/below")]
    assert [m.major for m in mounts_at(stacked, "/s")] == [253, 8], "the visible one last"


@pytest.mark.parametrize(
    ("source", "ours"),
    [
        ("/dev/mapper/my--vg-ebb.x.1", True),
        ("/dev/my-vg/ebb.x.1", True),
        ("/dev/dm-4", True),
        ("/dev/dm-44", False),
        ("/dev/my/vg-ebb.x.1", False),
        ("/dev/mapper/my--vg-ebb.x.10", False),
        ("/dev/sda", False),
        ("none", False),
    ],
)
def test_a_btrfs_mount_is_known_by_its_source(source: str, ours: bool) -> None:
    """Its device number is its own: 0:26 here, as Linux 6.1 shows it."""
    info = DeviceInfo("my--vg-ebb.x.1", "u", 253, 4, 1, suspended=False, read_only=False)
    shown = Mount(33, 23, 0, 26, "/", "/b", ("rw",), "btrfs", source, ("rw",))
    assert (mounts_of([shown], info) == [shown]) == ours


@pytest.mark.parametrize(
    ("sick", "told"),
    [
        (mount("/s"), ""),
        (mount("/s", options=("ro",)), ""),
        (mount("/s", options=("ro",), super_options=("ro",)), ""),
        (mount("/s", super_options=("ro",)), "turned read-only"),
        (mount("/s", super_options=("ro", "emergency_ro")), "shut down"),
        (mount("/s", super_options=("rw", "shutdown")), "shut down"),
    ],
)
def test_a_sick_filesystem(sick: Mount, told: str) -> None:
    found = filesystem_problem([mount("/fine"), sick])
    assert told in found
    assert bool(found) == bool(told)
