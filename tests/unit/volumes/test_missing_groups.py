"""A VG whose disk is away: the others are served, nobody is told that its volumes are gone, and it
is taken up again when it is back.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from contract.volumes.engine import Engine
from ebbd.errors import EbbError, NotFound, Unavailable
from ebbd.host.simulated.state import Disk
from ebbd.inspect.checks import Status
from ebbd.inspect.diagnose import diagnose
from ebbd.inspect.gather import gather
from ebbd.volumes.migration import migrate
from ebbd.volumes.pools import PoolSpec
from unit.volumes.rig import GIB, POOL, VG, Rig

OTHER = "vg1"
SECOND = "/dev/vdc"


@pytest.fixture
def two(rig: Rig) -> Rig:
    """A node with a second VG on a disk of its own."""
    rig.machine.add_disk(SECOND, 8 * GIB)
    rig.specs.append(PoolSpec(OTHER, POOL, 10.0, devices=(SECOND,)))
    return rig


def pull(rig: Rig) -> Disk:
    return rig.machine.disks.pop(SECOND)


@asynccontextmanager
async def with_volumes(rig: Rig) -> AsyncIterator[Engine]:
    """`here` in the first VG, `away` and a snapshot of it in the other."""
    async with rig.start() as engine:
        await engine.create("here")
        away = await engine.create("away", parameters={"pool": f"{OTHER}/{POOL}"})
        await engine.snapshots.create("away-snap", away.id)
        yield engine


async def failed_checks(engine: Engine) -> dict[str, str]:
    checks = diagnose(await gather(engine.store, engine.observer, engine.collector))
    return {c.name: f"{c.detail}; {c.remedy}" for c in checks if c.status is Status.FAILED}


async def assert_others_are_served(engine: Engine) -> None:
    volumes = (await engine.store.catalog()).volumes
    here = volumes[engine.store.naming.volume_id("here")]
    await engine.stage(here)
    await engine.lifecycle.expand(here.id, 128 << 20, 0)
    away = engine.store.naming.volume_id("away")
    for call in (
        engine.store.require_volume(away),
        engine.lifecycle.delete(away),
        engine.lifecycle.delete(engine.store.naming.volume_id("who knows")),
        engine.snapshots.delete(engine.store.naming.snapshot_id("away-snap")),
        engine.snapshots.find("away-snap"),
        engine.snapshots.select("", ""),
        engine.groups.find("g", []),
        # A volume of this name may be in the VG that is away.
        engine.create("new"),
        engine.create("new", parameters={"pool": f"{OTHER}/{POOL}"}),
    ):
        with pytest.raises(Unavailable, match=f"volume group {OTHER} is missing: .*; bring its"):
            await call
    states = [await engine.store.pool_state(spec) for spec in engine.store.pools.specs]
    assert [bool(state.problem) for state in states] == [False, True]
    assert states[1].available_bytes == 0
    told = await failed_checks(engine)
    assert "bring its disks back" in told[f"{OTHER} volume group"]
    findings = await engine.collector.find()
    assert findings.orphans == ()
    assert list(findings.unlisted) == [OTHER]
    with pytest.raises(Unavailable, match=f"volume group {OTHER} is missing"):
        await migrate(engine.store, 1, lambda _: None)
    with pytest.raises(Unavailable, match=f"volume group {OTHER} is missing"):
        await engine.adoption.adopt(f"{OTHER}/data", "adopted", block=True)


async def test_missing_at_the_start(two: Rig) -> None:
    async with with_volumes(two):
        pass
    disk = pull(two)
    async with two.start() as engine:
        [said] = engine.said
        assert said.startswith(f"VG {OTHER} is not served: there is no volume group {OTHER}")
        await assert_others_are_served(engine)
        two.machine.disks[SECOND] = disk
        await engine.store.reopen()
        assert engine.said[-1] == f"VG {OTHER} is there again and is served"
        assert set(await engine.volumes()) == {"here", "away"}
        assert await engine.snapshots.delete(engine.store.naming.snapshot_id("away-snap"))
        assert not await failed_checks(engine)


async def test_missing_later(two: Rig) -> None:
    async with with_volumes(two) as engine:
        disk = pull(two)
        await assert_others_are_served(engine)
        await engine.store.reopen()
        await assert_others_are_served(engine)
        two.machine.disks[SECOND] = disk
        await engine.store.reopen()
        assert set(await engine.volumes()) == {"here", "away"}
        await engine.create("new", parameters={"pool": f"{OTHER}/{POOL}"})


async def test_it_is_looked_for_without_being_asked(two: Rig) -> None:
    async with with_volumes(two):
        pass
    disk = pull(two)
    async with two.start(reopen_s=0.01) as engine:
        two.machine.disks[SECOND] = disk
        async with asyncio.timeout(10):
            while engine.store.missing:  # noqa: ASYNC110 - the store has no event for it
                await asyncio.sleep(0.01)
        assert set(await engine.volumes()) == {"here", "away"}


async def test_it_is_recovered_before_it_is_served(two: Rig) -> None:
    async with with_volumes(two):
        pass
    disk = pull(two)
    pool = two.machine.groups[OTHER].pools[POOL]
    pool.kernel_transaction_id -= 1
    async with two.start() as engine:
        two.machine.disks[SECOND] = disk
        await engine.store.reopen()
        # No interrupted command explains these ids: it stays closed, with the reason.
        assert "no interrupted command explains" in str(engine.store.missing[OTHER])
        with pytest.raises(Unavailable, match="no interrupted command explains"):
            await engine.lifecycle.delete(engine.store.naming.volume_id("away"))
        pool.kernel_transaction_id += 1
        await engine.store.reopen()
        assert "away" in await engine.volumes()


async def test_without_any_vg_it_does_not_start(rig: Rig) -> None:
    async with rig.start() as engine:
        await engine.create("a")
    del rig.machine.disks["/dev/vdb"]
    with pytest.raises(NotFound, match=f"no volume group {VG}"):
        async with rig.start():
            pass


async def test_a_state_that_nothing_explains_closes_its_vg_only(two: Rig) -> None:
    async with with_volumes(two):
        pass
    two.machine.groups[OTHER].pools[POOL].kernel_transaction_id -= 1
    async with two.start() as engine:
        assert "no interrupted command explains" in engine.said[0]
        assert (await engine.store.require_volume(engine.store.naming.volume_id("here"))).name
    two.machine.groups[VG].pools[POOL].kernel_transaction_id -= 1
    with pytest.raises(EbbError, match="no interrupted command explains"):
        async with two.start():
            pass


async def test_a_second_daemon_on_the_vg_is_refused(rig: Rig) -> None:
    async with rig.start():
        with pytest.raises(Unavailable, match=f"VG {VG} is another ebbd's"):
            async with rig.start():
                pass
    async with rig.start():
        pass
