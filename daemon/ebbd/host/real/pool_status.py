"""The status lines of the thin-pool and thin targets. Pure.

Source: Documentation/admin-guide/device-mapper/thin-provisioning.rst, drivers/md/dm-thin.c.
"""

from ebbd.errors import HostFailure
from ebbd.host.values import PoolStatus

_SECTOR_BYTES = 512
_LONGEST_NUMBER = 20  # of 64 bits; int() raises ValueError itself far beyond it


def parse_pool_status(line: str) -> PoolStatus:
    """`<transaction> <used>/<total> <used>/<total> <held root> <mode> … <when full> <check> …`.

    A pool that failed has the single word `Fail`; one whose counts could not be read, `Error`.
    """
    words = line.split()
    if words == ["Fail"]:
        return PoolStatus(mode="fail")
    try:
        transaction, metadata, data, _held, mode, *rest = words
        used_metadata, total_metadata = metadata.split("/")
        used_data, total_data = data.split("/")
        return PoolStatus(
            mode=mode,
            transaction_id=int(transaction),
            used_metadata_blocks=int(used_metadata),
            total_metadata_blocks=int(total_metadata),
            used_data_blocks=int(used_data),
            total_data_blocks=int(total_data),
            error_when_full="error_if_no_space" in rest,
            needs_check="needs_check" in rest,
        )
    except ValueError as error:
        raise HostFailure(
            f"the thin pool's status cannot be read: {line!r}", "see the kernel log"
        ) from error


def parse_mapped_bytes(line: str) -> int:
    """`<mapped sectors> <highest mapped sector>`, the latter `-` when nothing is mapped."""
    mapped = line.split(maxsplit=1)[0] if line.strip() else ""
    if not mapped.isdecimal() or len(mapped) > _LONGEST_NUMBER:
        raise HostFailure(
            f"the thin volume's status cannot be read: {line!r}", "see the kernel log"
        )
    return int(mapped) * _SECTOR_BYTES
