"""Group snapshots on both hosts: consumers that stand still, all snapshots or none."""

import pytest
from contract.host.bench import Bench
from contract.volumes.engine import Engine
from ebbd.errors import NotFound, WrongState
from ebbd.host.values import Consumer
from ebbd.model import Volume


async def staged(bench: Bench, engine: Engine, *names: str) -> list[Volume]:
    volumes = []
    for name in names:
        volume = await engine.create(name)
        await bench.consumer.write_file(await engine.stage(volume), "f", name.encode())
        volumes.append(volume)
    return volumes


async def cleared(engine: Engine, *volumes: Volume) -> None:
    for volume in volumes:
        await engine.staging.unstage(volume.id, engine.path(f"stage-{volume.lv_name}"))
        assert await engine.lifecycle.delete(volume.id)


async def test_used_volumes_together(bench: Bench, engine: Engine) -> None:
    a, b = await staged(bench, engine, "a", "b")
    async with bench.consumer.sitting_in(engine.path(f"stage-{a.lv_name}")) as cgroup:
        group = (await engine.groups.create("g", [a.id, b.id])).value
        assert not await bench.consumer.frozen(cgroup)
    assert len({snapshot.created_ms for snapshot in group.snapshots}) == 1
    for snapshot in group.snapshots:
        copy = await engine.create("c", source=snapshot.id, size_mib=0)
        path = await engine.stage(copy)
        assert await bench.consumer.read_file(path, "f") == snapshot.volume_name.encode()
        await cleared(engine, copy)
    assert await engine.groups.delete(group.id, [])
    await cleared(engine, a, b)
    assert not engine.store.group(bench.vg).volumes


async def test_who_cannot_stand_still(
    bench: Bench, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a shell in the root cgroup, which no test may put itself into."""
    a, b = await staged(bench, engine, "a", "b")

    async def in_the_root(_major: int, _minor: int) -> tuple[Consumer, ...]:
        return (Consumer("/", (1,), freezable=False),)

    monkeypatch.setattr(bench.host.cgroups, "consumers", in_the_root)
    with pytest.raises(WrongState, match="cannot be frozen"):
        await engine.groups.create("g", [a.id, b.id])
    assert set(engine.store.group(bench.vg).volumes) == {a.lv_name, b.lv_name}
    await cleared(engine, a, b)


async def test_one_of_them_is_gone(bench: Bench, engine: Engine) -> None:
    """A foreign lvremove between the look and the snapshot: none of the others stays."""
    a, b = await engine.create("a"), await engine.create("b")
    real = bench.host.lvm.create_snapshot
    taken: list[str] = []

    async def then_removed(vg: str, origin: str, name: str, **more: object) -> int:
        if taken:
            await bench.administrator.lvremove(origin)
        taken.append(origin)
        return await real(vg, origin, name, **more)  # type: ignore[arg-type] # passed on as it came

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(bench.host.lvm, "create_snapshot", then_removed)
        with pytest.raises(NotFound):
            await engine.groups.create("g", [a.id, b.id])
    assert await engine.snapshots.select("", "") == []
    assert set(await engine.volumes()) == {"a"}
    assert set((await engine.store.host.lvm.read(bench.vg)).volumes) == {a.lv_name}
    await engine.lifecycle.delete(a.id)
