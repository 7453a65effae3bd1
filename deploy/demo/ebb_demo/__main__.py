"""The story: `python -m ebb_demo --device DISK`, as root, on a node whose DISK may be taken.

A database's files are written, kept in a snapshot, damaged by a bad migration, and brought back
beside the damaged ones, larger than before. Ends 0 only if every step checked out.
"""

import argparse
import hashlib
import os
import random
import statistics
import subprocess  # noqa: TID251 - the demo types the commands an administrator would
import sys
import time
from pathlib import Path

from rich.console import Console

from ebb_demo.node import EBBD_SOCKET, NodeError, node
from ebb_demo.telling import Telling
from ebb_demo.volumes import Mounted, Orchestrator

MIB = 1024 * 1024
GIB = 1024 * MIB
FILES = 40
FILE_BYTES = 512 * 1024
BARE_REPEATS = 3


def main() -> int:
    parser = argparse.ArgumentParser(prog="ebb_demo", description=__doc__)
    parser.add_argument("--device", required=True, help="an empty disk for the pool")
    device = parser.parse_args().device
    telling = Telling(Console(width=100, force_terminal=sys.stdout.isatty()))
    try:
        with node(device) as up:
            _tell(telling, Orchestrator(up.channel, telling))
            _compare_with_typing(telling, Orchestrator(up.channel, telling))
    except NodeError as failed:
        telling.check(str(failed), holds=False)
    telling.chapter("What it took")
    telling.console.print(telling.summary())
    telling.say(f"\n{telling.passed} checks passed, {len(telling.failed)} failed")
    for failure in telling.failed:
        telling.say(f"  failed: {failure}")
    return 1 if telling.failed else 0


def _tell(telling: Telling, cluster: Orchestrator) -> None:
    telling.chapter("1. A thin pool on a real disk, made by ebbd")
    empty_bytes = _pool_used(telling)

    telling.chapter("2. A volume asked for over CSI, staged and published")
    volume = cluster.create("orders", GIB)
    orders = cluster.use(volume.volume_id, "orders")
    telling.check("the volume has the size asked for", volume.capacity_bytes == GIB)
    kernel = Path("/proc/self/mounts").read_text()
    telling.check("the kernel has it mounted as ext4", f"{orders.target} ext4" in kernel)

    telling.chapter("3. An application writes to it")
    written = _write_files(orders.target)
    telling.say(f"  {len(written)} files, {len(written) * FILE_BYTES // MIB} MiB, synced")
    telling.check("every byte reads back", _digests(orders.target) == written)

    telling.chapter("4. A snapshot while it is mounted and in use")
    snapshot = cluster.snapshot(volume.volume_id, "orders-before-migration")
    telling.check("the snapshot is ready to use", snapshot.ready_to_use)

    telling.chapter("5. A bad migration")
    lost = _damage(orders.target)
    found = _digests(orders.target)
    telling.say(f"  {lost} files overwritten or deleted")
    telling.check("the damage is real", sum(found.get(k) != v for k, v in written.items()) == lost)

    telling.chapter("6. Restored beside the damaged one, into twice the size")
    restored = cluster.create("orders-restored", 2 * GIB, snapshot_id=snapshot.snapshot_id)
    back = cluster.use(restored.volume_id, "orders-restored")
    telling.check("every byte of the snapshot is back", _digests(back.target) == written)
    telling.check("the damaged volume is untouched by it", _digests(orders.target) == found)
    room = _filesystem_bytes(back.target)
    telling.check("its filesystem fills the larger volume", room > 1.8 * GIB, f"{room} bytes")
    uuids = {_filesystem_uuid(mounted) for mounted in (orders, back)}
    telling.check(
        "the copy has a filesystem identity of its own", len(uuids) == len((orders, back))
    )

    telling.chapter("7. Grown while in use")
    size = cluster.grow(back, 3 * GIB)
    room = _filesystem_bytes(back.target)
    telling.check("the volume is larger", size == 3 * GIB)
    telling.check("and so is its filesystem, unmounted never", room > 2.7 * GIB, f"{room} bytes")
    telling.check("every byte is still there", _digests(back.target) == written)

    telling.chapter("8. What the node says of itself")
    _show("pool", "list")
    _show("volume", "list")
    _show("snapshot", "list")

    telling.chapter("9. All of it deleted")
    for mounted in (orders, back):
        cluster.release(mounted)
    cluster.delete_volume(volume.volume_id)
    telling.check(
        "the snapshot outlives its volume", "orders-before-migration" in _ebb("snapshot", "list")
    )
    cluster.delete_volume(restored.volume_id)
    cluster.delete_snapshot(snapshot.snapshot_id)
    telling.check("nothing is left over CSI", not cluster.list_volumes())
    telling.check("nothing is left in LVM", not _thin_volumes(), ", ".join(_thin_volumes()))
    left_bytes = _pool_used(telling)
    telling.check(
        "the pool is as empty as before", left_bytes == empty_bytes, f"{left_bytes} bytes"
    )


def _compare_with_typing(telling: Telling, cluster: Orchestrator) -> None:
    """CreateVolume beside the command an administrator would type, alternated in one run."""
    telling.chapter("10. Beside typing the LVM command")
    typed_s, over_csi_s = [], []
    for number in range(BARE_REPEATS):
        name = f"typed{number}"
        began = time.monotonic()
        _run("lvcreate", "--quiet", "-V", "1g", "--thinpool", "ebb/pool0", "-n", name)
        typed_s.append(time.monotonic() - began)
        _run("lvremove", "--quiet", "--force", f"ebb/{name}")
        began = time.monotonic()
        volume = cluster.create(f"compared-{number}", GIB)
        over_csi_s.append(time.monotonic() - began)
        cluster.delete_volume(volume.volume_id)
    ratio = statistics.median(over_csi_s) / statistics.median(typed_s)
    telling.say(
        f"  CreateVolume takes {ratio:.2f} of the time of typing lvcreate "
        f"(medians of {BARE_REPEATS}, alternated)"
    )


def _write_files(folder: Path) -> dict[str, str]:
    """Files of random bytes, synced; their digests by name."""
    source = random.Random(2026)  # noqa: S311 - data to compare, not secrets
    for number in range(FILES):
        (folder / f"segment-{number:03}").write_bytes(source.randbytes(FILE_BYTES))
    os.sync()
    return _digests(folder)


def _digests(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.glob("segment-*"))
    }


def _damage(folder: Path) -> int:
    files = sorted(folder.glob("segment-*"))
    for path in files[::2]:
        path.write_bytes(b"\0" * FILE_BYTES)
    for path in files[1::4]:
        path.unlink()
    os.sync()
    return len(files[::2]) + len(files[1::4])


def _pool_used(telling: Telling) -> int:
    """Bytes of the pool's data in use, as device-mapper says (thin-provisioning.rst)."""
    # Asked by target: the device is ebb-pool0 while the pool is empty, ebb-pool0-tpool after.
    status = _run("dmsetup", "status", "--noflush", "--target", "thin-pool").split()
    table = _run("dmsetup", "table", "--target", "thin-pool").split()
    used_blocks, block_sectors = int(status[6].partition("/")[0]), int(table[6])
    used_bytes = used_blocks * block_sectors * 512
    telling.say(f"  the kernel's pool uses {used_bytes} bytes of data")
    return used_bytes


def _thin_volumes() -> list[str]:
    report = _run("lvs", "--noheadings", "-o", "lv_name", "-S", "segtype=thin", "ebb")
    return report.split()


def _filesystem_bytes(path: Path) -> int:
    status = os.statvfs(path)
    return status.f_blocks * status.f_frsize


def _filesystem_uuid(mounted: Mounted) -> str:
    return _run("findmnt", "--noheadings", "--output", "UUID", str(mounted.target)).strip()


def _show(*arguments: str) -> None:
    sys.stdout.write(f"\n$ ebb {' '.join(arguments)}\n{_ebb(*arguments)}")
    sys.stdout.flush()


def _ebb(*arguments: str) -> str:
    return _run("ebb", "--socket", str(EBBD_SOCKET), *arguments)


def _run(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    sys.exit(main())
