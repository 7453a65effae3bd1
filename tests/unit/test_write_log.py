"""The reader of dm-log-writes' log, on a log put together by the kernel's description of it."""

import io
import struct
from pathlib import Path

import pytest
from faults import write_log
from faults.write_log import DISCARD, FLUSH, FUA, MARK

SECTOR = 512


def block(data: bytes) -> bytes:
    return data.ljust(SECTOR, b"\0")


def log_of(*records: bytes, version: int = 1) -> io.BytesIO:
    head = block(struct.pack("<QQQI", write_log.MAGIC, version, len(records), SECTOR))
    return io.BytesIO(head + b"".join(records))


def written(sector: int, data: bytes, flags: int = 0) -> bytes:
    return block(struct.pack("<QQQQ", sector, len(data) // SECTOR, flags, 0)) + data


def mark(text: str) -> bytes:
    return block(struct.pack("<QQQQ", 0, 0, MARK, len(text)) + text.encode())


def test_entries_in_order_with_their_places() -> None:
    log = log_of(
        written(8, b"a" * 2 * SECTOR),
        mark("created"),
        written(0, b"", FLUSH),
        block(struct.pack("<QQQQ", 16, 4, DISCARD, 0)),
        written(3, b"b" * SECTOR, FUA),
    )
    found = list(write_log.entries(log))
    assert [(e.start, e.size, e.mark) for e in found] == [
        (8 * SECTOR, 2 * SECTOR, ""),
        (0, 0, "created"),
        (0, 0, ""),
        (16 * SECTOR, 4 * SECTOR, ""),
        (3 * SECTOR, SECTOR, ""),
    ]
    assert [e.is_barrier for e in found] == [False, False, True, False, True]


def test_replaying_writes_what_was_written(tmp_path: Path) -> None:
    device = tmp_path / "copy"
    device.write_bytes(b"." * 8 * SECTOR)
    log = log_of(
        written(1, b"a" * 2 * SECTOR),
        mark("here"),
        written(2, b"b" * SECTOR, FUA),
        block(struct.pack("<QQQQ", 4, 2, DISCARD, 0)),
    )
    for entry in write_log.entries(log):
        write_log.apply(log, entry, device)
    whole = device.read_bytes()
    assert whole[: 4 * SECTOR] == b"." * SECTOR + b"a" * SECTOR + b"b" * SECTOR + b"." * SECTOR
    assert whole[4 * SECTOR :] == bytes(2 * SECTOR) + b"." * 2 * SECTOR


@pytest.mark.parametrize("log", [io.BytesIO(bytes(64)), log_of(version=2)])
def test_another_file_is_not_taken_for_a_log(log: io.BytesIO) -> None:
    with pytest.raises(AssertionError, match="no log"):
        list(write_log.entries(log))
