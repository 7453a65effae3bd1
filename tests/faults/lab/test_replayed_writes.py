"""The order of writes: dm-log-writes under the PV, replayed to every flush of some mutations.

A power cut keeps what the disk had confirmed by a flush, and may lose the rest. So for each flush
a copy of the disk is brought to that point and to no other write after it, and a node is started on
it: what had been acknowledged by then must be there.
"""

import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from ebbd.volumes.names import Naming
from faults import write_log
from faults.calls import Calls
from faults.lab.devices import deactivate, mapped, sectors
from faults.sample import Sample
from faults.tally import Tally
from faults.witness import Witness, contents, head_of, snapshot_lv_of
from faults.write_log import Entry
from lab.volumes.contents import write
from lab.volumes.running import MIB, RunningNode, Use, loop_disk, run, running

KIND = "replay to a flush"
VG = "logged"
DISK_BYTES = 768 * MIB
LOG_BYTES = 2 << 30
CHANGES_BYTES = 512 * MIB
SIZE = 16 * MIB
POOL: dict[str, object] = {"metadata_size": "4Mi"}


@dataclass(frozen=True, slots=True)
class Told:
    """What has been acknowledged: contents by volume id, and by snapshot id; what is `going`."""

    volumes: dict[str, str] = field(default_factory=dict)
    snapshots: dict[str, str] = field(default_factory=dict)
    going: frozenset[str] = frozenset()


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as made:
        yield Path(made)


@pytest.mark.timeout(3000)
def test_every_flush_of_a_create_a_snapshot_and_a_delete(
    folder: Path, sample: Sample, tally: Tally
) -> None:
    log = folder / "log.img"
    story = record(folder)
    shutil.rmtree(folder / "node")
    copy = folder / "copy.img"
    with copy.open("wb") as file:
        file.truncate(DISK_BYTES)
    with log.open("rb") as opened:
        points = flushes(list(write_log.entries(opened)))
        assert {mark for _, mark in points} >= {"kept", "created", "snapshotted", "deleted"}
        numbered = list(enumerate(points, start=1))
        chosen = sample.of([(n, mark) for n, (_, mark) in numbered], kind=lambda at: at[1])
        for number, (upto, mark) in numbered:
            for entry in upto:
                write_log.apply(opened, entry, copy)
            if (number, mark) not in chosen:
                continue
            began = time.monotonic()
            checked = start_at(folder, copy, story[mark])
            tally.add(KIND, checked=checked)
            print(
                f"flush {number}/{len(points)} after '{mark}', {checked} checked, "
                f"{time.monotonic() - began:.0f} s"
            )


def flushes(entries: list[Entry]) -> list[tuple[tuple[Entry, ...], str]]:
    """For each flush since the first mark: what is to be written to come from the one before, and
    the last mark told.
    """
    found: list[tuple[tuple[Entry, ...], str]] = []
    pending: list[Entry] = []
    mark = ""
    for entry in entries:
        mark = entry.mark or mark
        if mark == "end":
            break
        pending.append(entry)
        if entry.is_barrier and mark:
            found.append((tuple(pending), mark))
            pending = []
    return found


def record(folder: Path) -> dict[str, Told]:
    """Mutate a node on a recorded disk; what was acknowledged at each mark.

    A mark names what has been told before it. Between it and the next one the next mutation is
    under way: that one alone may be there or not.
    """
    place = folder / "node"
    place.mkdir()
    with (
        loop_disk(place, "disk", DISK_BYTES) as disk,
        loop_disk(folder, "log", LOG_BYTES, keep=True) as record_on,
        mapped("recorded", f"0 {sectors(disk)} log-writes {disk} {record_on}") as device,
        running(RunningNode(place, device.path, VG, pool_settings=POOL)) as node,
    ):
        calls, witness = Calls(node, "ext4"), Witness(node)
        kept = calls.create("kept", SIZE).volume_id
        target = calls.put_to_use(kept, "kept")
        write(Use(kept, target, target), "ext4", 7)
        saw = contents(target)
        snapshot = calls.snapshot(kept, "kept-snap").snapshot_id
        naming = Naming(kept.split("-")[1])
        new, again = naming.volume_id("new"), naming.snapshot_id("again")
        told = Told({kept: saw}, {snapshot: saw})
        story = {"kept": Told(told.volumes, told.snapshots, frozenset({new}))}
        device.mark("kept")
        assert calls.create("new", SIZE, snapshot=snapshot).volume_id == new
        told = Told({kept: saw, new: saw}, {snapshot: saw})
        story["created"] = Told(told.volumes, told.snapshots, frozenset({again}))
        device.mark("created")
        assert calls.snapshot(kept, "again").snapshot_id == again
        told = Told(told.volumes, {snapshot: saw, again: saw})
        story["snapshotted"] = Told(told.volumes, told.snapshots, frozenset({new}))
        device.mark("snapshotted")
        calls.delete(new)
        told = Told({kept: saw}, told.snapshots)
        story["deleted"] = Told(told.volumes, told.snapshots, frozenset({again}))
        device.mark("deleted")
        calls.delete_snapshot(again)
        told = Told(told.volumes, {snapshot: saw})
        story["dropped"] = told
        device.mark("dropped")
        witness.check()
        # The end of it is not replayed: from here on the node is taken apart.
        device.mark("end")
        calls.put_away(kept, "kept")
    return story


def start_at(folder: Path, copy: Path, told: Told) -> int:
    """Start a node on the copy as it is, throwing away what that writes; how many were checked."""
    place = folder / "replayed"
    place.mkdir()
    base = run("losetup", "--find", "--show", "--read-only", str(copy)).strip()
    try:
        with (
            loop_disk(folder, "changes", CHANGES_BYTES) as changes,
            mapped("replayed", f"0 {sectors(base)} snapshot {base} {changes} N 8") as device,
        ):
            node = RunningNode(place, device.path, VG, pool_settings=POOL)
            try:
                node.start()
                checked = check(node, told)
                node.stop()
            finally:
                node.abandon()
                deactivate(VG, device.path)
    finally:
        run("losetup", "--detach", base)
        shutil.rmtree(place)
    return checked


def check(node: RunningNode, told: Told) -> int:
    calls, witness = Calls(node, "ext4"), Witness(node)
    witness.check()
    lvs = set(witness.group().volumes)
    expected = {head_of(v) for v in told.volumes} | {snapshot_lv_of(s) for s in told.snapshots}
    going = {head_of(it) if it.startswith("v") else snapshot_lv_of(it) for it in told.going}
    assert expected ^ lvs <= going, f"told {expected}, there are {lvs}, going {going}"
    checked = 0
    for volume, saw in told.volumes.items():
        if head_of(volume) in lvs:
            target = calls.put_to_use(volume, volume)
            assert contents(target) == saw, f"{volume} has other files"
            calls.put_away(volume, volume)
            checked += 1
    for snapshot, saw in told.snapshots.items():
        if snapshot_lv_of(snapshot) in lvs:
            assert witness.lv_contents(snapshot_lv_of(snapshot)) == saw
            checked += 1
    probe = calls.create("probe", SIZE).volume_id
    calls.delete(probe)
    witness.check()
    return checked
