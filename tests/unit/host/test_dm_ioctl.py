import struct

from ebbd.host.real.dm_ioctl import (
    Flag,
    Reply,
    Target,
    dependencies,
    names,
    table,
    targets,
    versions,
)
from hypothesis import given
from hypothesis import strategies as st

TARGETS = st.builds(
    Target,
    start=st.integers(0, 2**40),
    length=st.integers(1, 2**40),
    kind=st.sampled_from(["thin", "thin-pool", "linear"]),
    parameters=st.text("0123456789: -/abc", max_size=40),
)


def reply(payload: bytes, count: int = 0) -> Reply:
    return Reply("4.47.0", "", "", 253, 0, 0, Flag(0), count, payload)


def from_the_kernel(payload: bytes, count: int) -> bytes:
    """TABLE_STATUS counts `next` from the first entry, TABLE_LOAD from the entry itself."""
    data = bytearray(payload)
    at = total = 0
    for _ in range(count):
        (step,) = struct.unpack_from("=I", data, at + 20)
        total += step
        struct.pack_into("=I", data, at + 20, total)
        at = total
    return bytes(data)


@given(st.lists(TARGETS, min_size=1, max_size=4))
def test_a_table_comes_back_as_it_was_loaded(lines: list[Target]) -> None:
    loaded = table(lines)
    assert len(loaded) % 8 == 0
    assert targets(reply(from_the_kernel(loaded, len(lines)), len(lines))) == lines


def test_names_of_devices() -> None:
    def entry(name: bytes, following: int) -> bytes:
        return (struct.pack("=QI", 64768, following) + name + b"\0").ljust(following or 32, b"\0")

    payload = entry(b"vg-pool-tpool", 40) + entry(b"vg-a--b", 0)
    assert list(names(reply(payload))) == ["vg-pool-tpool", "vg-a--b"]
    assert list(names(reply(bytes(64)))) == []


def test_versions_of_targets() -> None:
    first = (struct.pack("=I3I", 32, 1, 22, 0) + b"thin-pool\0").ljust(32, b"\0")
    payload = first + struct.pack("=I3I", 0, 1, 4, 0) + b"linear\0"
    assert dict(versions(reply(payload))) == {"thin-pool": "1.22.0", "linear": "1.4.0"}


def test_devices_below() -> None:
    # 253:300 as the kernel writes it: minors reach beyond eight bits.
    number = (300 & 0xFF) | 253 << 8 | (300 & ~0xFF) << 12
    assert dependencies(reply(struct.pack("=IIQ", 1, 0, number))) == [(253, 300)]
