"""A stream of mutations to be cut anywhere, and the check after the cut; both run in the guest.

    python3 -m faults.stream act --seed N     mutates for ever; a line of JSON before each mutation
                                              and one when it was acknowledged
    python3 -m faults.stream check            what must still be there, told on stdin

The story of what was acknowledged is kept by whoever reads the lines, outside of the machine whose
power is cut. It names what was begun, too: that may have happened or not, but not half.
"""

import argparse
import json
import random
import sys
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ebb_pb import ebb_pb2
from faults.witness import Witness, contents, snapshot_lv_of
from lab.volumes.contents import write
from lab.volumes.running import CALL_S, MIB, RunningNode, Use

VG = "cut"
DEVICE = "/dev/disk/by-id/virtio-pool"
CONFIG = Path("/etc/ebb/ebbd.yaml")
RUN = Path("/run/ebb")
SIZE = 16 * MIB
MOST = 4  # volumes, and snapshots


@dataclass(frozen=True, slots=True)
class Story:
    """`volumes` and `snapshots` by name: the digest of their files, which were synced. `sizes` of
    volumes. `begun` is the mutation whose end was not told, and whom it is about.
    """

    volumes: dict[str, str] = field(default_factory=dict)
    snapshots: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    serial: int = 0
    begun: tuple[str, str] = ("", "")

    @classmethod
    def parse(cls, told: str) -> "Story":
        facts: dict[str, Any] = json.loads(told)
        return cls(**facts | {"begun": tuple(facts["begun"])})


class Node:
    """Calls of ebb.v1, by name."""

    def __init__(self) -> None:
        self.running = RunningNode(RUN, str(Path(DEVICE).resolve()), VG)
        self.witness = Witness(self.running)

    def ids(self) -> dict[str, str]:
        listed = self.running.ebbd.ListVolumes(ebb_pb2.ListVolumesRequest(), timeout=CALL_S)
        return {volume.name: volume.id for volume in listed.volumes}

    def snapshot_ids(self) -> dict[str, str]:
        listed = self.running.ebbd_snapshots.ListSnapshots(
            ebb_pb2.ListSnapshotsRequest(), timeout=CALL_S
        )
        return {snapshot.name: snapshot.id for snapshot in listed.snapshots}

    def create(self, name: str, *, snapshot: str = "", volume: str = "") -> None:
        request = ebb_pb2.CreateVolumeRequest(name=name, required_bytes=SIZE)
        if snapshot:
            request.source_snapshot_id = self.snapshot_ids()[snapshot]
        if volume:
            request.source_volume_id = self.ids()[volume]
        self.running.ebbd.CreateVolume(request, timeout=CALL_S)

    def stage(self, name: str) -> Path:
        path = self.running.mounts / name
        path.mkdir(parents=True, exist_ok=True)
        self.running.ebbd.StageVolume(
            ebb_pb2.StageVolumeRequest(
                volume_id=self.ids()[name],
                staging_path=str(path),
                access=ebb_pb2.Access(mode=ebb_pb2.SINGLE_NODE_MULTI_WRITER),
            ),
            timeout=CALL_S,
        )
        return path

    def unstage(self, name: str) -> None:
        self.running.ebbd.UnstageVolume(
            ebb_pb2.UnstageVolumeRequest(
                volume_id=self.ids()[name], staging_path=str(self.running.mounts / name)
            ),
            timeout=CALL_S,
        )

    def delete(self, name: str) -> None:
        self.running.ebbd.DeleteVolume(
            ebb_pb2.DeleteVolumeRequest(volume_id=self.ids()[name]), timeout=CALL_S
        )

    def take(self, name: str, volume: str) -> None:
        self.running.ebbd_snapshots.CreateSnapshot(
            ebb_pb2.CreateSnapshotRequest(name=name, volume_id=self.ids()[volume]), timeout=CALL_S
        )

    def drop(self, name: str) -> None:
        self.running.ebbd_snapshots.DeleteSnapshot(
            ebb_pb2.DeleteSnapshotRequest(snapshot_id=self.snapshot_ids()[name]), timeout=CALL_S
        )

    def grow(self, name: str, size_bytes: int) -> None:
        self.running.ebbd.ExpandVolume(
            ebb_pb2.ExpandVolumeRequest(volume_id=self.ids()[name], required_bytes=size_bytes),
            timeout=CALL_S,
        )


def tell(story: Story) -> None:
    print(json.dumps(asdict(story)), flush=True)


def act(seed: int, story: Story) -> None:
    """Mutate until the power goes."""
    node, source = Node(), random.Random(seed)  # noqa: S311 - a choice to be repeated, no secret
    while True:
        verb, name = choose(source, story)
        tell(replace(story, begun=(verb, name)))
        story = carry_out(node, source, replace(story, serial=story.serial + 1), verb, name)
        tell(story)


def choose(source: random.Random, story: Story) -> tuple[str, str]:
    """The next mutation and whom it is about."""
    fresh = f"{story.serial}"
    choices = []
    if len(story.volumes) < MOST:
        choices.append(("create", f"v{fresh}"))
    if story.volumes and len(story.snapshots) < MOST:
        choices.append(("snapshot", f"s{fresh}"))
    if story.snapshots and len(story.volumes) < MOST:
        choices.append(("restore", f"v{fresh}"))
    if story.volumes and len(story.volumes) < MOST:
        choices.append(("clone", f"v{fresh}"))
    for name in sorted(story.volumes):
        choices += [("rewrite", name), ("grow", name)]
    if len(story.volumes) > 1:
        choices.append(("delete", source.choice(sorted(story.volumes))))
    if len(story.snapshots) > 1:
        choices.append(("drop", source.choice(sorted(story.snapshots))))
    verbs = sorted({verb for verb, _ in choices})
    verb = source.choice(verbs)
    return source.choice([choice for choice in choices if choice[0] == verb])


def carry_out(node: Node, source: random.Random, story: Story, verb: str, name: str) -> Story:
    """What the story is once this was acknowledged."""
    match verb:
        case "create" | "rewrite":
            if verb == "create":
                node.create(name)
            return fill(node, story, name)
        case "restore" | "clone":
            known = story.snapshots if verb == "restore" else story.volumes
            origin = source.choice(sorted(known))
            node.create(
                name,
                snapshot=origin if verb == "restore" else "",
                volume=origin if verb == "clone" else "",
            )
            target = node.stage(name)
            assert contents(target) == known[origin], f"{name} is no copy of {origin}"
            return with_volume(story, name, known[origin])
        case "grow":
            size_bytes = story.sizes[name] + 4 * MIB
            node.grow(name, size_bytes)
            return replace(story, sizes=story.sizes | {name: size_bytes})
        case "snapshot":
            origin = source.choice(sorted(story.volumes))
            node.take(name, origin)
            return replace(story, snapshots=story.snapshots | {name: story.volumes[origin]})
        case "delete":
            node.unstage(name)
            node.delete(name)
            return without_volume(story, name)
        case _:
            assert verb == "drop"
            node.drop(name)
            return replace(story, snapshots=without(story.snapshots, name))


def fill(node: Node, story: Story, name: str) -> Story:
    target = node.stage(name)
    write(Use("", target, target), "ext4", story.serial)
    return with_volume(story, name, contents(target))


def with_volume(story: Story, name: str, digest: str) -> Story:
    sizes = {name: SIZE} | story.sizes
    return replace(story, volumes=story.volumes | {name: digest}, sizes=sizes)


def without_volume(story: Story, name: str) -> Story:
    return replace(story, volumes=without(story.volumes, name), sizes=without(story.sizes, name))


def without(known: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in known.items() if key != name}


def check(story: Story) -> tuple[Story, int]:
    """Assert that all of the story is there and nothing else but what was begun, which is then
    done away with; the story as it goes on, and how many volumes and snapshots were seen.
    """
    node = Node()
    node.witness.check()
    verb, begun = story.begun
    volumes, snapshots = node.ids(), node.snapshot_ids()
    for told, there in ((story.volumes, volumes), (story.snapshots, snapshots)):
        differ = set(told) ^ set(there)
        assert differ <= {begun}, f"told {sorted(told)}, there are {sorted(there)}"
    checked = 0
    for name in sorted(set(story.volumes) & set(volumes)):
        target = node.stage(name)
        if not (verb == "rewrite" and name == begun):
            assert contents(target) == story.volumes[name], f"volume {name} has other files"
        checked += 1
    for name in sorted(set(story.snapshots) & set(snapshots)):
        seen = node.witness.lv_contents(snapshot_lv_of(snapshots[name]))
        assert seen == story.snapshots[name], f"snapshot {name} has other files"
        checked += 1
    check_sizes(node, story)
    story = settle(node, story, volumes, snapshots)
    node.witness.check()
    return story, checked


def check_sizes(node: Node, story: Story) -> None:
    verb, begun = story.begun
    listed = node.running.ebbd.ListVolumes(ebb_pb2.ListVolumesRequest(), timeout=CALL_S).volumes
    for volume in listed:
        told = story.sizes.get(volume.name, SIZE)
        allowed = {told, told + 4 * MIB} if (verb, begun) == ("grow", volume.name) else {told}
        assert volume.size_bytes in allowed, f"{volume.name} has {volume.size_bytes}, not {told}"


def settle(node: Node, story: Story, volumes: dict[str, str], snapshots: dict[str, str]) -> Story:
    """What was begun is repeated to its end or taken back, so that the story is exact again."""
    verb, begun = story.begun
    match verb:
        case "rewrite":
            story = fill(node, replace(story, serial=story.serial + 1), begun)
        case "grow":
            story = carry_out(node, random.Random(0), story, verb, begun)  # noqa: S311 - unused
        case "delete" if begun in volumes:
            node.unstage(begun)
            node.delete(begun)
        case "drop" if begun in snapshots:
            node.drop(begun)
        case "snapshot" if begun in snapshots:
            node.drop(begun)
        case "create" | "restore" | "clone" if begun in volumes:
            node.delete(begun)
    if verb == "delete":
        story = without_volume(story, begun)
    if verb == "drop":
        story = replace(story, snapshots=without(story.snapshots, begun))
    return replace(story, serial=story.serial + 1, begun=("", ""))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", choices=("act", "check"))
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    story = Story.parse(sys.stdin.readline())
    if given.verb == "act":
        act(given.seed, story)
    story, checked = check(story)
    print(json.dumps({"story": asdict(story), "checked": checked}))


if __name__ == "__main__":
    main()
