"""The mutations of a volume's life: how each begins, what dies and is repeated, what then holds."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ebb_pb import ebb_pb2
from faults.calls import Calls
from faults.witness import Witness, contents, head_of, snapshot_lv_of
from lab.volumes.contents import write
from lab.volumes.running import MIB, Use

SIZE = 16 * MIB
LARGER = 32 * MIB


@dataclass(slots=True)
class Stage:
    """The volume and the snapshot that outlive everything, and what a scenario has made."""

    calls: Calls
    witness: Witness
    kept: str = ""
    kept_snapshot: str = ""
    kept_at: Path = field(default_factory=Path)
    second: str = ""
    made: str = ""
    group: str = ""

    @property
    def kept_contents(self) -> str:
        return self.witness.mounted[self.kept_at]


def opened(calls: Calls, witness: Witness) -> Stage:
    """A mounted volume with files, a snapshot of it, and a second volume that is not active."""
    kept = calls.create("kept", SIZE).volume_id
    target = calls.put_to_use(kept, "kept")
    write(Use(kept, target, target), "ext4", 7)
    witness.saw_mounted(target)
    snapshot = calls.snapshot(kept, "kept-snap").snapshot_id
    witness.saw_lv(snapshot_lv_of(snapshot))
    second = calls.create("second", SIZE, snapshot=snapshot).volume_id
    witness.saw_lv(head_of(second))
    return Stage(calls, witness, kept, snapshot, target, second)


@dataclass(frozen=True, slots=True)
class Scenario:
    """`done` asserts; `clean` takes away what `begin` and `act` made."""

    act: Callable[[Stage], None]
    done: Callable[[Stage], None]
    clean: Callable[[Stage], None]
    begin: Callable[[Stage], None] = lambda _stage: None


def make(source: str, size_bytes: int) -> Callable[[Stage], None]:
    """A volume `new` from "kept", "snapshot" or nothing."""

    def act(stage: Stage) -> None:
        stage.made = stage.calls.create(
            "new",
            size_bytes,
            volume=stage.kept if source == "kept" else "",
            snapshot=stage.kept_snapshot if source == "snapshot" else "",
        ).volume_id

    return act


def made_is_there(source: str) -> Callable[[Stage], None]:
    def done(stage: Stage) -> None:
        if source:
            assert stage.witness.lv_contents(head_of(stage.made)) == stage.kept_contents
        else:
            assert head_of(stage.made) in stage.witness.group().volumes

    return done


def delete_made(stage: Stage) -> None:
    stage.calls.delete(stage.made)


def made_is_gone(stage: Stage) -> None:
    assert head_of(stage.made) not in stage.witness.group().volumes


def stage_made(stage: Stage) -> None:
    stage.calls.stage(stage.made, "new")


def make_and_stage(stage: Stage) -> None:
    make("snapshot", SIZE)(stage)
    stage_made(stage)


def publish_made(stage: Stage) -> None:
    stage.calls.publish_as(stage.made, "new")


def use_made(source: str, size_bytes: int) -> Callable[[Stage], None]:
    def begin(stage: Stage) -> None:
        make(source, size_bytes)(stage)
        stage.calls.put_to_use(stage.made, "new")

    return begin


def put_away(stage: Stage) -> None:
    stage.calls.put_away(stage.made, "new")


def put_away_and_delete(stage: Stage) -> None:
    put_away(stage)
    delete_made(stage)


def is_usable(source: str, least_bytes: int) -> Callable[[Stage], None]:
    """Published (again), with its source's files, and it takes and keeps new ones."""

    def done(stage: Stage) -> None:
        target = stage.calls.publish_as(stage.made, "new")
        if source:
            assert contents(target) == stage.kept_contents
        assert stage.calls.device_bytes(Use("", target, target)) >= least_bytes
        (target / "more").write_text("more")
        assert (target / "more").read_text() == "more"

    return done


def is_not_mounted(stage: Stage) -> None:
    assert not stage.calls.is_mounted("new")


def is_down(stage: Stage) -> None:
    [volume] = [v for v in listed(stage) if v.id == stage.made]
    assert not volume.active
    assert not volume.mount_paths


def listed(stage: Stage) -> list[ebb_pb2.Volume]:
    return list(stage.calls.node.ebbd.ListVolumes(ebb_pb2.ListVolumesRequest()).volumes)


def grow(stage: Stage) -> None:
    stage.calls.expand(stage.made, LARGER)


def has_grown(stage: Stage) -> None:
    assert stage.witness.group().volumes[head_of(stage.made)].size_bytes == LARGER


def has_grown_online(stage: Stage) -> None:
    has_grown(stage)
    is_usable("snapshot", LARGER // 2 + SIZE // 4)(stage)


def snapshot_of(volume: str) -> Callable[[Stage], None]:
    def act(stage: Stage) -> None:
        source = {"kept": stage.kept, "second": stage.second}[volume]
        stage.made = stage.calls.snapshot(source, "again").snapshot_id

    return act


def snapshot_is_there(stage: Stage) -> None:
    assert stage.witness.lv_contents(snapshot_lv_of(stage.made)) == stage.kept_contents


def delete_snapshot(stage: Stage) -> None:
    stage.calls.delete_snapshot(stage.made)


def snapshot_is_gone(stage: Stage) -> None:
    assert snapshot_lv_of(stage.made) not in stage.witness.group().volumes


def take_group(stage: Stage) -> None:
    stage.group = stage.calls.group("both", [stage.kept, stage.second]).group_snapshot_id


def group_is_whole(stage: Stage) -> None:
    members = stage.calls.group("both", [stage.kept, stage.second]).snapshots
    assert len(members) == 2
    for member in members:
        found = stage.witness.lv_contents(snapshot_lv_of(member.snapshot_id))
        assert found == stage.kept_contents


def delete_group(stage: Stage) -> None:
    stage.calls.delete_group(stage.group)


def group_is_gone(stage: Stage) -> None:
    group = stage.witness.group()
    assert not [tag for tag in group.tags if tag.startswith("ebb.group.")]
    assert not [lv for lv in group.volumes.values() if any("ebb.group=" in t for t in lv.tags)]


def modify(stage: Stage) -> None:
    stage.calls.modify(stage.second, {"iops": "500", "priority": "gold"})


def is_modified(stage: Stage) -> None:
    [volume] = [v for v in listed(stage) if v.id == stage.second]
    assert dict(volume.intent) == {"iops": "500", "priority": "gold"}


def forget_intent(stage: Stage) -> None:
    stage.calls.modify(stage.second, {})


def attached(wanted: bool) -> Callable[[Stage], None]:
    def done(stage: Stage) -> None:
        [volume] = [v for v in listed(stage) if v.id == stage.second]
        assert volume.attached is wanted

    return done


def attach(stage: Stage) -> None:
    stage.calls.attach(stage.second)


def detach(stage: Stage) -> None:
    stage.calls.detach(stage.second)


def nothing(_stage: Stage) -> None:
    pass


SCENARIOS: dict[str, Scenario] = {
    "create": Scenario(make("", SIZE), made_is_there(""), delete_made),
    "clone": Scenario(make("kept", SIZE), made_is_there("kept"), delete_made),
    "restore": Scenario(make("snapshot", SIZE), made_is_there("snapshot"), delete_made),
    "restore larger": Scenario(make("snapshot", LARGER), made_is_there("snapshot"), delete_made),
    "delete": Scenario(delete_made, made_is_gone, nothing, make("snapshot", SIZE)),
    "snapshot of a mounted volume": Scenario(
        snapshot_of("kept"), snapshot_is_there, delete_snapshot
    ),
    "snapshot of an inactive volume": Scenario(
        snapshot_of("second"), snapshot_is_there, delete_snapshot
    ),
    "delete snapshot": Scenario(delete_snapshot, snapshot_is_gone, nothing, snapshot_of("kept")),
    "group snapshot": Scenario(take_group, group_is_whole, delete_group),
    "delete group": Scenario(delete_group, group_is_gone, nothing, take_group),
    "stage a blank volume": Scenario(
        stage_made, is_usable("", SIZE // 2), put_away_and_delete, make("", SIZE)
    ),
    "stage a copy": Scenario(
        stage_made, is_usable("kept", SIZE // 2), put_away_and_delete, make("kept", SIZE)
    ),
    "stage a larger copy": Scenario(
        stage_made,
        is_usable("snapshot", LARGER // 2 + SIZE // 4),
        put_away_and_delete,
        make("snapshot", LARGER),
    ),
    "publish": Scenario(
        publish_made,
        is_usable("snapshot", SIZE // 2),
        put_away_and_delete,
        make_and_stage,
    ),
    "unpublish": Scenario(
        lambda stage: stage.calls.unpublish_as(stage.made, "new"),
        is_not_mounted,
        put_away_and_delete,
        use_made("snapshot", SIZE),
    ),
    "unstage": Scenario(put_away, is_down, delete_made, use_made("snapshot", SIZE)),
    "expand a mounted volume": Scenario(
        grow, has_grown_online, put_away_and_delete, use_made("snapshot", SIZE)
    ),
    "expand an inactive volume": Scenario(grow, has_grown, delete_made, make("", SIZE)),
    "modify": Scenario(modify, is_modified, forget_intent),
    "attach": Scenario(attach, attached(True), detach),
    "detach": Scenario(detach, attached(False), nothing, attach),
}


def marked(names: Iterable[str], sampled: Collection[str]) -> list[Any]:
    """Parameters for a test, those that a sample does not go through marked so."""
    return [
        pytest.param(name, marks=() if name in sampled else pytest.mark.whole_campaign)
        for name in names
    ]
