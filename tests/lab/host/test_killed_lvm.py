"""LVM killed at every write, suspend and pool message of a mutation, and what mends it.

The order of the mending is what volumes.recovery does with these primitives.
"""

import re
from collections import Counter

import pytest
from ebbd.errors import Unavailable
from ebbd.host.values import VolumeGroup
from lab.host.ground import MIB, POOL, Ground
from lab.host.killing import KilledLvm, Point

NEW = "new"


class Scene:
    """One mutation, killed again and again on one pool."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.lvm = KilledLvm(ground.lvm_folder)

    def line(self, mutation: str) -> tuple[str, ...]:
        vg = self.ground.vg
        return {
            "create": ("lvcreate", "--yes", "-an", "-V", "64m", "--thinpool", POOL, "-n", NEW, vg),
            "snapshot": ("lvcreate", "--yes", "-s", "-an", "-kn", "-n", NEW, f"{vg}/origin"),
            "remove": ("lvremove", "--yes", f"{vg}/{NEW}"),
        }[mutation]

    async def prepare(self, mutation: str) -> None:
        if mutation == "remove":
            await self.ground.thin(NEW)

    async def clear(self) -> None:
        if NEW in (await self.group()).volumes:
            await self.ground.host.lvm.remove(self.ground.vg, [NEW])

    async def group(self) -> VolumeGroup:
        return await self.ground.host.lvm.read(self.ground.vg)

    async def has(self, device_id: int) -> bool:
        return await self.ground.host.dm.pool_has(self.ground.vg, POOL, device_id)

    async def mend(self) -> str:
        """Recover, and say which state it was."""
        host, vg = self.ground.host, self.ground.vg
        suspended = [name for name, at in (await host.dm.active(vg)).items() if at.suspended]
        for name in suspended:
            await host.dm.resume(vg, name)
        group = await self.group()
        pool, kernel = group.pools[POOL], await host.dm.pool_status(vg, POOL)
        state = "suspended, " if suspended else ""
        if pool.transaction_id == kernel.transaction_id:
            return state + ("confirmed" if pool.pending else "whole")
        assert pool.transaction_id == kernel.transaction_id + 1
        if not pool.pending:
            return state + "half removed"
        assert pool.pending == (NEW,)
        device_id = group.volumes[NEW].device_id
        assert device_id is not None
        if not await self.has(device_id):
            await host.lvm.remove(vg, [NEW])
            assert not await self.has(device_id)
            return state + "not sent"
        await host.dm.set_transaction_id(
            vg, POOL, current=kernel.transaction_id, new=pool.transaction_id
        )
        return state + "sent, id not bumped"

    async def assert_sound(self) -> None:
        """Everything can be made, used and removed; both sides agree in the end."""
        host, vg = self.ground.host, self.ground.vg
        await host.lvm.create_snapshot(vg, "origin", "probe", tags=[], read_only=False)
        for name in (await self.group()).volumes:
            await host.lvm.activate(vg, name)
            info = await host.dm.info(vg, name)
            assert info is not None, f"{name} does not come up"
            assert not info.suspended, f"{name} is suspended"
        await host.lvm.remove(vg, ["probe"])
        pool = (await self.group()).pools[POOL]
        kernel = await host.dm.pool_status(vg, POOL)
        assert (pool.pending, pool.transaction_id) == ((), kernel.transaction_id)


@pytest.fixture
async def scene(ground: Ground) -> Scene:
    await ground.thin("origin", active=True)
    return Scene(ground)


EXPECTED = {
    "create": {"whole", "not sent", "sent, id not bumped", "confirmed"},
    "snapshot": {
        "whole",
        "not sent",
        "suspended, not sent",
        "suspended, sent, id not bumped",
        "suspended, confirmed",
        "confirmed",
    },
    "remove": {"whole", "half removed"},
}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("mutation", EXPECTED)
async def test_every_state_a_kill_leaves_is_mended(scene: Scene, mutation: str) -> None:
    await scene.prepare(mutation)
    points = scene.lvm.points(*scene.line(mutation))
    kinds = Counter(point.what for point in points)
    assert kinds["write"] == 6, "two commits of three writes each"
    assert kinds["DM_TARGET_MSG"] == 2
    assert kinds["DM_DEV_SUSPEND"] == (2 if mutation == "snapshot" else 0)
    states: dict[Point, str] = {}
    for point in points:
        await scene.clear()
        await scene.prepare(mutation)
        scene.lvm.kill(point, *scene.line(mutation))
        states[point] = await scene.mend()
        await scene.assert_sound()
    assert set(states.values()) == EXPECTED[mutation], states


@pytest.mark.timeout(300)
async def test_a_snapshot_whose_id_was_not_bumped_jams_the_pool(scene: Scene) -> None:
    line = scene.line("snapshot")
    _create, bump = (at for at in scene.lvm.points(*line) if at.what == "DM_TARGET_MSG")
    await scene.clear()
    scene.lvm.kill(bump, *line)
    host, vg = scene.ground.host, scene.ground.vg
    with pytest.raises(Unavailable, match=r"[Mm]anual intervention"):
        await host.lvm.create_thin(vg, POOL, "next", size_bytes=MIB, tags=[])
    # Whether the refused command has resumed the origin on its way out differs from run to run.
    assert (await scene.mend()).removeprefix("suspended, ") == "sent, id not bumped"
    await scene.assert_sound()


@pytest.mark.timeout(300)
async def test_probing_a_pool_leaves_nothing_behind(scene: Scene) -> None:
    group = await scene.group()
    before = await scene.ground.host.dm.pool_status(scene.ground.vg, POOL)
    devices = set(await scene.ground.host.dm.active(scene.ground.vg))
    origin = group.volumes["origin"].device_id
    assert origin is not None
    assert await scene.has(origin)
    assert not await scene.has(origin + 7)
    assert await scene.ground.host.dm.pool_status(scene.ground.vg, POOL) == before
    assert set(await scene.ground.host.dm.active(scene.ground.vg)) == devices
    listed = await scene.ground.administrator("lvs", "--noheadings", "-o", "lv_name")
    assert not re.search("ebb-probe", listed)
