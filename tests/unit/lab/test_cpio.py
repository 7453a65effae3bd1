"""The archive is read back by the kernel's rules for what may follow what."""

from ebb_lab import cpio
from hypothesis import given
from hypothesis import strategies as st


def _read(archive: bytes) -> dict[str, tuple[int, bytes]]:
    """Mode and content by name, by the newc rules: everything starts at a multiple of 4."""
    entries: dict[str, tuple[int, bytes]] = {}
    at = 0
    while True:
        assert archive[at : at + 6] == b"070701"
        fields = [int(archive[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        mode, size, name_size = fields[1], fields[6], fields[11]
        name = archive[at + 110 : at + 110 + name_size - 1].decode()
        at += -(-(110 + name_size) // 4) * 4
        if name == "TRAILER!!!":
            assert at == len(archive)
            return entries
        entries[name] = (mode, archive[at : at + size])
        at += -(-size // 4) * 4


@given(st.dictionaries(st.from_regex(r"[a-z]{1,20}", fullmatch=True), st.binary(max_size=100)))
def test_what_is_packed_comes_out(files: dict[str, bytes]) -> None:
    secrets = [cpio.secret(f"lab/{name}", content) for name, content in files.items()]
    init = cpio.program("init", b"#!/bin/sh\n")
    entries = _read(cpio.archive([init, cpio.folder("lab"), *secrets]))
    assert entries.pop("init") == (0o100755, b"#!/bin/sh\n")
    assert entries.pop("lab") == (0o040755, b"")
    assert entries == {f"lab/{name}": (0o100600, content) for name, content in files.items()}


def test_it_starts_aligned_behind_any_initramfs() -> None:
    for length in range(1, 9):
        both = cpio.stacked(b"i" * length, [cpio.folder("lab")])
        start = both.index(b"070701")
        assert start % 4 == 0
        assert both[:start].rstrip(b"\0") == b"i" * length
