"""The engine beside a plain model of what it promises, through any sequence of operations.

Hypothesis picks the operations, kills some of LVM's commands at some step, restarts the daemon and
reboots the node in between. After each the catalog must say what the model says.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from contract.volumes.engine import MIB, Engine
from ebbd.errors import Conflict, DeadlineExceeded, EbbError, NotFound, WrongState
from ebbd.host.simulated.faults import Step
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from unit.volumes.rig import VG, Rig

NAMES = st.sampled_from(["a", "b", "c"])
SNAPSHOTS = st.sampled_from(["s", "t"])
SIZES = st.sampled_from([32, 64, 96])
KILLS = st.sampled_from(
    [
        ("create_thin", Step.LISTED),
        ("create_thin", Step.SENT),
        ("create_snapshot", Step.LISTED),
        ("create_snapshot", Step.SUSPENDED),
        ("create_snapshot", Step.SENT),
        ("create_snapshot", Step.BUMPED),
        ("remove", Step.UNLISTED),
        ("remove", Step.SENT),
        ("extend", Step.STARTED),
        ("extend", Step.DONE),
        ("change_tags", Step.STARTED),
        ("change_tags", Step.DONE),
    ]
)


@dataclass
class Wanted:
    """A volume as the model has it; `content` is its file's, None while it has none."""

    size_mib: int
    source: str = ""
    content: str | None = None
    staged: bool = False
    intent: dict[str, str] = field(default_factory=dict)


@dataclass
class Kept:
    """A snapshot as the model has it."""

    volume: str
    life: int  # which of the volumes of that name
    size_mib: int
    content: str | None


class EngineMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.mkdtemp()
        self.rig = Rig(Path(self.directory), ratio=100.0)
        self.loop = asyncio.new_event_loop()
        self.volumes: dict[str, Wanted] = {}
        self.lives: dict[str, int] = {}
        self.snapshots: dict[str, Kept] = {}
        self.writes = 0
        self._open()

    def _open(self) -> None:
        self.daemon = self.rig.start()
        self.engine = self.loop.run_until_complete(self.daemon.__aenter__())

    def _close(self) -> None:
        self.loop.run_until_complete(self.daemon.__aexit__(None, None, None))

    def teardown(self) -> None:
        self._close()
        self.loop.close()
        shutil.rmtree(self.directory)

    def _does(self, operation: Callable[[Engine], Awaitable[object]]) -> EbbError | None:
        """Its error, if it was refused; a kill is told and the operation asked for again."""

        async def asked() -> None:
            await operation(self.engine)

        for _ in range(2):
            try:
                self.loop.run_until_complete(asked())
            except DeadlineExceeded:
                self.rig.assert_sound()
            except EbbError as refused:
                return refused
            else:
                return None
        raise AssertionError("killed twice")

    def _volume_id(self, name: str) -> str:
        return self.engine.store.naming.volume_id(name)

    def _snapshot_id(self, name: str) -> str:
        return self.engine.store.naming.snapshot_id(name)

    def _staging(self, name: str) -> str:
        return self.engine.path(f"stage-{name}")

    # ---- what happens around it ----

    @rule(kill=KILLS)
    def a_command_will_be_killed(self, kill: tuple[str, Step]) -> None:
        self.rig.machine.faults.clear()
        self.rig.machine.faults.stop(*kill)

    @rule()
    def the_daemon_is_restarted(self) -> None:
        self.rig.machine.faults.clear()
        self._close()
        self._open()

    @rule()
    def the_node_is_rebooted(self) -> None:
        self._close()
        self.rig.machine.reboot()
        for volume in self.volumes.values():
            volume.staged = False
        self._open()

    # ---- what is asked ----

    @rule(name=NAMES, size=SIZES)
    def create(self, name: str, size: int) -> None:
        refused = self._does(lambda e: e.create(name, size))
        self._made(name, refused, Wanted(size))

    @rule(name=NAMES, snapshot=SNAPSHOTS, size=SIZES)
    def restore(self, name: str, snapshot: str, size: int) -> None:
        source = self.snapshots.get(snapshot)
        identity = self._snapshot_id(snapshot)
        refused = self._does(lambda e: e.create(name, size, source=identity))
        if source is None and name not in self.volumes:
            assert isinstance(refused, NotFound)
        elif source and size < source.size_mib and name not in self.volumes:
            assert refused is not None
        else:
            self._made(name, refused, Wanted(size, identity, source.content if source else None))

    @rule(name=NAMES, of=NAMES)
    def clone(self, name: str, of: str) -> None:
        source, identity = self.volumes.get(of), self._volume_id(of)
        refused = self._does(lambda e: e.create(name, 0, source=identity))
        if name in self.volumes:
            found = self.volumes[name]
            assert isinstance(refused, Conflict) == (found.source != identity)
        elif source is None:
            assert isinstance(refused, NotFound)
        else:
            self._made(name, refused, Wanted(source.size_mib, identity, source.content))

    def _made(self, name: str, refused: EbbError | None, wanted: Wanted) -> None:
        present = self.volumes.get(name)
        if present is None:
            assert refused is None
            self.volumes[name] = wanted
            self.lives[name] = self.lives.get(name, 0) + 1
        elif present.size_mib < wanted.size_mib or present.source != wanted.source:
            assert isinstance(refused, Conflict)
        else:
            assert refused is None

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        refused = self._does(lambda e: e.lifecycle.delete(self._volume_id(name)))
        volume = self.volumes.get(name)
        assert isinstance(refused, WrongState) == bool(volume and volume.staged)
        if refused is None:
            self.volumes.pop(name, None)

    @rule(name=NAMES, size=SIZES)
    def expand(self, name: str, size: int) -> None:
        refused = self._does(lambda e: e.lifecycle.expand(self._volume_id(name), size * MIB, 0))
        if volume := self.volumes.get(name):
            assert refused is None
            volume.size_mib = max(volume.size_mib, size)
        else:
            assert isinstance(refused, NotFound)

    @rule(name=NAMES, intent=st.sampled_from([{}, {"iops": "500"}, {"priority": "gold"}]))
    def modify(self, name: str, intent: dict[str, str]) -> None:
        refused = self._does(lambda e: e.lifecycle.modify(self._volume_id(name), intent))
        if volume := self.volumes.get(name):
            assert refused is None
            volume.intent = intent
        else:
            assert isinstance(refused, NotFound)

    @rule(name=NAMES, snapshot=SNAPSHOTS)
    def snapshot(self, name: str, snapshot: str) -> None:
        refused = self._does(lambda e: e.snapshots.create(snapshot, self._volume_id(name)))
        volume, present = self.volumes.get(name), self.snapshots.get(snapshot)
        if present:
            same = present.volume == name and present.life == self.lives[name]
            gone = present.volume == name and volume is None
            assert (refused is None) == (same or gone)
        elif volume is None:
            assert isinstance(refused, NotFound)
        else:
            assert refused is None
            self.snapshots[snapshot] = Kept(name, self.lives[name], volume.size_mib, volume.content)

    @rule(snapshot=SNAPSHOTS)
    def delete_snapshot(self, snapshot: str) -> None:
        assert self._does(lambda e: e.snapshots.delete(self._snapshot_id(snapshot))) is None
        self.snapshots.pop(snapshot, None)

    @precondition(lambda self: self.volumes)
    @rule(data=st.data())
    def stage_and_write(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.volumes)))
        volume, path = self.volumes[name], self._staging(name)

        async def stage(engine: Engine) -> None:
            found = (await engine.volumes())[name]
            await engine.stage(found, f"stage-{name}")

        assert self._does(stage) is None
        volume.staged = True
        if volume.content is not None:
            assert self.rig.files.read_file(path, "f") == volume.content
        self.writes += 1
        volume.content = f"{name} {self.writes}"
        self.rig.files.write_file(path, "f", MIB, volume.content)

    @precondition(lambda self: any(v.staged for v in self.volumes.values()))
    @rule(data=st.data())
    def unstage(self, data: st.DataObject) -> None:
        staged = sorted(name for name, v in self.volumes.items() if v.staged)
        name = data.draw(st.sampled_from(staged))
        identity = self._volume_id(name)
        assert self._does(lambda e: e.staging.unstage(identity, self._staging(name))) is None
        self.volumes[name].staged = False

    # ---- what must hold ----

    @invariant()
    def the_catalog_is_the_model(self) -> None:
        catalog = self.loop.run_until_complete(self.engine.store.catalog())
        assert not catalog.strays
        assert {v.name: (v.size_bytes, v.source, v.intent) for v in catalog.volumes.values()} == {
            name: (v.size_mib * MIB, v.source, v.intent) for name, v in self.volumes.items()
        }
        assert {s.name: (s.volume_name, s.size_bytes) for s in catalog.snapshots.values()} == {
            name: (s.volume, s.size_mib * MIB) for name, s in self.snapshots.items()
        }

    @invariant()
    def the_machine_is_sound(self) -> None:
        self.rig.assert_sound()
        listed = self.rig.machine.group(VG).volumes
        assert len(listed) == len(self.volumes) + len(self.snapshots)

    @invariant()
    def what_is_staged_reads_back(self) -> None:
        for name, volume in self.volumes.items():
            if volume.staged:
                assert self.rig.files.read_file(self._staging(name), "f") == volume.content


TestEngine = EngineMachine.TestCase
TestEngine.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
