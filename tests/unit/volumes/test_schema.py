"""The tag schema one version up and down, cut anywhere."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from contract.volumes.engine import MIB, Engine
from ebbd.errors import InvalidInput, WrongState
from ebbd.host.simulated.lvm import SimulatedLvm
from ebbd.host.simulated.machine import Machine
from ebbd.host.values import ThinVolume, VolumeGroup
from ebbd.volumes import records, tags
from ebbd.volumes.catalog import read_catalog
from ebbd.volumes.migration import migrate, mutation
from ebbd.volumes.names import generation_text
from ebbd.volumes.records import Birth, adopted_tags
from ebbd.volumes.schema import Step, plan
from unit.volumes.rig import POOL, VG, Rig
from unit.volumes.schema_one import RefusedError, volumes
from unit.volumes.test_catalog import NAMING, digest_of, head, snap, vg


def adopted(lv_name: str, name: str) -> ThinVolume:
    digest = digest_of(NAMING.volume_id(name))
    told = adopted_tags(Birth(name, "inc1", "ext4", 5), lv_name, generation_text(digest, 1))
    return ThinVolume(lv_name, 1, frozenset({*told, "theirs"}), "pool0")


def after(group: VolumeGroup, step: Step) -> VolumeGroup:
    """The VG after one step: what the step's mutation changes."""
    return mutation(SimulatedLvm(Machine()), "vg0", step).change(group)


def named(group: VolumeGroup) -> dict[str, str]:
    """As this ebbd reads it: volumes to LVs, and nothing is a stray."""
    catalog = read_catalog(NAMING, [group])
    assert not catalog.strays
    found = {one.name: one.lv_name for one in catalog.volumes.values()}
    return found | {one.name: one.lv_name for one in catalog.snapshots.values()}


def raw(group: VolumeGroup) -> dict[str, frozenset[str]]:
    return {lv.name: lv.tags for lv in group.volumes.values()}


MIXED = vg(head("a"), snap("s", "a"), adopted("data", "db"), adopted("more-data", "other"))


def test_each_lv_carries_the_lowest_number_that_will_do() -> None:
    numbers = {lv.name: tags.read(lv.tags)["v"] for lv in MIXED.volumes.values()}
    assert {name for name, number in numbers.items() if number == "2"} == {"data", "more-data"}
    assert set(numbers.values()) == {"1", "2"}
    assert volumes(raw(MIXED)).keys() == {"a", "s"}, "1 is not misled by what it cannot read"


def test_down_every_state_is_read_by_this_version_and_the_last_by_the_one_before() -> None:
    group, names = MIXED, set(named(MIXED))
    steps = plan(group, 1)
    assert len(steps) == 4, "two for each adopted LV, none for the others"
    for step in steps:
        group = after(group, step)
        assert set(named(group)) == names
        again = group
        for rest in plan(group, 1):  # cut here and begun again
            again = after(again, rest)
        assert volumes(raw(again)) == named(again)
    assert volumes(raw(group)) == named(group)
    assert set(volumes(raw(group))) == names
    assert plan(group, 1) == []


def test_down_and_up_again_is_where_it_began() -> None:
    group = MIXED
    for step in plan(group, 1):
        group = after(group, step)
    names = set(named(group))
    for step in plan(group, 2):
        group = after(group, step)
        assert set(named(group)) == names
        again = group
        for rest in plan(group, 2):
            again = after(again, rest)
        assert raw(again) == raw(MIXED)
    assert raw(group) == raw(MIXED)
    assert plan(group, 2) == []


def test_up_a_name_that_is_taken_by_now_is_let_be() -> None:
    group = vg(adopted("data", "db"))
    for step in plan(group, 1):
        group = after(group, step)
    group = replace(group, other_names=frozenset({"data"}))
    [step] = plan(group, 2)
    group = after(group, step)
    assert list(named(group)) == ["db"]
    assert plan(group, 2) == []


def test_a_vg_without_adopted_lvs_needs_nothing_either_way() -> None:
    group = vg(head("a"), head("a", 2), snap("s", "a"), ThinVolume("x", 1, frozenset(), "pool0"))
    assert plan(group, 1) == plan(group, 2) == []
    assert volumes(raw(group)).keys() == {"a", "s"}


@pytest.mark.parametrize("version", [-1, 0, tags.SCHEMA + 1])
def test_only_our_version_and_the_one_before(version: int) -> None:
    with pytest.raises(InvalidInput, match="1, 2"):
        plan(MIXED, version)
    assert (tags.OLDEST_SCHEMA, tags.SCHEMA) == (tags.SCHEMA - 1, records.ADOPTED_SCHEMA)


async def _prepared(rig: Rig) -> None:
    async with rig.start() as engine:
        await engine.create("a")
        await rig.administrator.create_thin(VG, POOL, "data", size_bytes=MIB, tags=["theirs"])
        await rig.administrator.create_snapshot(VG, "data", "copy", tags=[], read_only=False)
        await engine.adoption.adopt(f"{VG}/data", "db", block=True)


def _raw(rig: Rig) -> Mapping[str, frozenset[str]]:
    return {lv.name: lv.tags for lv in rig.machine.groups[VG].volumes.values()}


async def test_on_a_node_one_commit_a_step_and_said(rig: Rig) -> None:
    await _prepared(rig)
    before = _raw(rig)
    said: list[str] = []
    async with rig.start() as engine:
        seqno = rig.machine.groups[VG].seqno
        assert await migrate(engine.store, 1, said.append) == 2
        assert rig.machine.groups[VG].seqno == seqno + 2
        assert set(volumes(_raw(rig))) == set(await engine.volumes()) == {"a", "db"}
        assert [line.partition(" ")[0] for line in said] == ["renamed", "retagged"]
        assert await migrate(engine.store, 1, said.append) == 0
        await migrate(engine.store, 2, said.append)
        assert _raw(rig) == before
        rig.assert_sound()


@pytest.mark.parametrize("version", [1, 2])
async def test_killed_at_any_step(rig: Rig, version: int) -> None:
    await _prepared(rig)

    async def act(engine: Engine) -> None:
        await migrate(engine.store, version, lambda _: None)

    other = {1: 2, 2: 1}[version]
    tried = 0
    for step in range(1, 12):
        async with rig.start() as engine:
            await migrate(engine.store, other, lambda _: None)
        try:
            await rig.dies(act, step)
        except AssertionError:
            break
        tried += 1
        async with rig.start() as engine:
            assert set(await engine.volumes()) == {"a", "db"}
            assert (await engine.collector.find()).orphans == ()
            await act(engine)
        if version == 1:
            assert set(volumes(_raw(rig))) == {"a", "db"}
        else:
            assert "data" in _raw(rig)
    assert tried == 4, "a start and an end of each of two commits"


async def test_not_under_a_mount(rig: Rig) -> None:
    await _prepared(rig)
    async with rig.start() as engine:
        await rig.administrator.activate(VG, "data")
        rig.machine.open_device(VG, "data")
        before = _raw(rig)
        with pytest.raises(WrongState, match="in use"):
            await migrate(engine.store, 1, lambda _: None)
        assert _raw(rig) == before


def test_the_frozen_reader_refuses_what_it_cannot_read() -> None:
    with pytest.raises(RefusedError):
        volumes({"ebb.aaaaaaaaaaaaaaaa.1": ["ebb.v=2"]})
    with pytest.raises(RefusedError):
        volumes({"ebb.aaaaaaaaaaaaaaaa.1": ["ebb.v=1", "ebb.name=x"]})
