import pytest
from ebb_lab import CommandFailed, Disk, Forward, LabError, Result
from ebb_lab.model import parse_disk, parse_forward, parse_size
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("1", 1),
        ("512M", 512 << 20),
        ("4G", 4 << 30),
        ("4GiB", 4 << 30),
        ("2t", 2 << 40),
        ("8k", 8192),
    ],
)
def test_sizes_are_powers_of_1024(text: str, size_bytes: int) -> None:
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize("text", ["", "G", "1.5G", "-1", "4X", "4 G B"])
def test_a_bad_size_says_how_to_write_one(text: str) -> None:
    with pytest.raises(LabError, match="as in 512M or 4G"):
        parse_size(text)


@given(
    name=st.from_regex(r"[a-z0-9][a-z0-9-]{0,15}", fullmatch=True).filter(
        lambda name: not name.startswith("lab-")
    ),
    size_bytes=st.integers(2**20, 2**45),
    iops=st.none() | st.integers(1, 10**6),
    bps=st.none() | st.integers(1, 2**40),
)
def test_a_disk_reads_as_it_is_written(
    name: str, size_bytes: int, iops: int | None, bps: int | None
) -> None:
    limits = "".join(
        f",{key}={value}" for key, value in (("iops", iops), ("bps", bps)) if value is not None
    )
    assert parse_disk(f"{name}:{size_bytes}{limits}") == Disk(name, size_bytes, iops, bps)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pool", "NAME:SIZE"),
        ("pool:4G,speed=3", "'speed' is not an option"),
        ("pool:4G,iops=0", "iops=0 must be at least 1"),
        ("Pool:4G", "disk name 'Pool'"),
        ("a-name-of-21-letters-x:4G", "disk name"),
        ("lab-root:4G", "not starting with"),
        ("pool:4K", "less than 1M"),
    ],
)
def test_a_bad_disk_says_what_is_wrong(text: str, said: str) -> None:
    with pytest.raises(LabError, match=said):
        parse_disk(text)


def test_a_disk_is_found_by_its_name() -> None:
    assert Disk("pool", 1 << 30).device == "/dev/disk/by-id/virtio-pool"


def test_forwards() -> None:
    assert parse_forward("8080:80") == Forward(8080, 80)
    assert parse_forward("0:80") == Forward(0, 80)
    for text in ("80", "a:b", "80:", "70000:80", "80:0"):
        with pytest.raises(LabError, match="port"):
            parse_forward(text)


def test_a_result_that_failed_tells_what_the_command_said() -> None:
    failed = Result(("lvs", "a b"), 5, "", "  Volume group not found\n")
    with pytest.raises(CommandFailed, match=r"lvs 'a b' ended with exit code 5:\nVolume group"):
        failed.check()
    passed = Result(("true",), 0, "", "")
    assert passed.check() is passed
