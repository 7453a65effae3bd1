import pytest
from ebbd.errors import HostFailure
from ebbd.host.real.mountinfo import parse, unescape
from ebbd.host.values import Mount
from hypothesis import given
from hypothesis import strategies as st

CAPTURED = (
    "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n"
    "25 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
    "90 25 0:45 /sub /var/lib/my\\040dir rw - btrfs /dev/mapper/vg-a--b rw,subvolid=5\n"
    "91 25 0:5 /dm-4 /run/block rw,nosuid - devtmpfs dev rw,size=10k\n"
)


def escape(path: str) -> str:
    return "".join(f"\\{ord(each):03o}" if each in " \t\n\\" else each for each in path)


def test_lines_as_the_kernel_writes_them() -> None:
    mounts = parse(CAPTURED)
    assert mounts[0] == Mount(
        mount_id=36,
        parent_id=35,
        major=98,
        minor=0,
        root="/mnt1",
        target="/mnt2",
        options=("rw", "noatime"),
        filesystem="ext3",
        source="/dev/root",
        super_options=("rw", "errors=continue"),
    )
    assert [mount.target for mount in mounts] == ["/mnt2", "/", "/var/lib/my dir", "/run/block"]
    assert mounts[2].source == "/dev/mapper/vg-a--b"


@given(st.text(st.characters(codec="utf-8"), max_size=30))
def test_a_path_survives_its_escapes(path: str) -> None:
    assert unescape(escape(path)) == path


@pytest.mark.parametrize(
    "line", ["", "1 2 3", "1 2 8:0 / / rw ext4 /dev/a rw", "1 2 x / / rw - a b c"]
)
def test_a_damaged_line_is_told_with_its_place(line: str) -> None:
    with pytest.raises(HostFailure, match=r"table:2"):
        parse(f"{CAPTURED.splitlines()[0]}\n{line}\n", "table")


@pytest.mark.parametrize("ending", ["\r", "\v", "\f", "\x1c", "\x85", "\u2028", "\u2029"])
def test_only_a_newline_ends_a_line(ending: str) -> None:
    """Seen: a mount point with U+2028 in its name made every request fail."""
    (mount,) = parse(f"36 35 98:0 / /m{ending}nt rw - ext4 /dev/a rw\n")
    assert mount.target == f"/m{ending}nt"
