import os
from pathlib import Path

import pytest
from contract.host.bench import Bench
from ebbd.errors import CommandFailed, EbbError, HostFailure, InvalidInput, NotFound, WrongState
from ebbd.host.values import Mount


async def at(bench: Bench, target: str) -> list[Mount]:
    return [mount for mount in await bench.host.mounts.table() if mount.target == target]


async def formatted(bench: Bench, name: str = "v1", kind: str = "ext4") -> str:
    device = await bench.volume(name)
    await bench.host.filesystems.make(device, kind, [])
    return device


async def test_a_mount_is_in_the_table(bench: Bench) -> None:
    device = await formatted(bench)
    place = await bench.mounted(device, "m", "ext4", "noatime", "nosuid")
    (mount,) = await at(bench, place)
    info = await bench.info("v1")
    assert (mount.major, mount.minor) == (info.major, info.minor)
    assert (mount.root, mount.filesystem, mount.source) == ("/", "ext4", device)
    assert {"rw", "noatime", "nosuid"} <= set(mount.options)
    assert "rw" in mount.super_options
    parents = {each.mount_id for each in await bench.host.mounts.table()}
    assert mount.parent_id in parents


async def test_a_read_only_mount(bench: Bench) -> None:
    device = await formatted(bench)
    place = await bench.mounted(device, "m", "ext4", "ro")
    (mount,) = await at(bench, place)
    assert "ro" in mount.options
    with pytest.raises((OSError, EbbError)):
        await bench.consumer.write_file(place, "note", b"x")


async def test_a_read_only_snapshot_mounts_read_only(bench: Bench) -> None:
    device = await formatted(bench)
    place = await bench.mounted(device, "m")
    await bench.consumer.write_file(place, "note", b"kept")
    await bench.host.mounts.unmount(place)
    snapshot = await bench.snapshot("v1", "s1", read_only=True)
    copy = await bench.mounted(snapshot, "s", "ext4", "ro")
    (mount,) = await at(bench, copy)
    assert "ro" in mount.super_options
    assert await bench.consumer.read_file(copy, "note") == b"kept"


@pytest.mark.parametrize(
    "option", ["no-such-option", "data=nonsense", "a,b", "", "bind", "remount"]
)
async def test_a_bad_option_is_told_and_nothing_is_mounted(bench: Bench, option: str) -> None:
    device = await formatted(bench)
    place = await bench.place("m")
    with pytest.raises(InvalidInput):
        await bench.host.mounts.mount(device, place, "ext4", [option])
    assert await at(bench, place) == []
    await bench.opened("v1", 0)


async def test_what_has_no_such_filesystem_is_not_mounted(bench: Bench) -> None:
    blank, ext4 = await bench.volume("v1"), await formatted(bench, "v2")
    place = await bench.place("m")
    with pytest.raises(CommandFailed):
        await bench.host.mounts.mount(blank, place, "ext4", [])
    with pytest.raises(CommandFailed):
        await bench.host.mounts.mount(ext4, place, "xfs", [])
    assert await at(bench, place) == []


async def test_a_target_must_exist(bench: Bench) -> None:
    device = await formatted(bench)
    with pytest.raises(WrongState):
        await bench.host.mounts.mount(device, f"{bench.directory}/absent", "ext4", [])
    with pytest.raises(WrongState):
        await bench.host.mounts.bind(bench.directory, f"{bench.directory}/absent", read_only=False)


async def test_one_filesystem_at_two_places(bench: Bench) -> None:
    device = await formatted(bench)
    first, second = await bench.mounted(device, "one"), await bench.mounted(device, "two")
    await bench.consumer.write_file(first, "note", b"seen")
    assert await bench.consumer.read_file(second, "note") == b"seen"


async def test_a_bind_shows_the_same_filesystem(bench: Bench) -> None:
    device = await formatted(bench)
    place = await bench.mounted(device, "m")
    target = await bench.place("bound")
    await bench.host.mounts.bind(place, target, read_only=False)
    (mount,) = await at(bench, target)
    (origin,) = await at(bench, place)
    assert (mount.major, mount.minor, mount.root) == (origin.major, origin.minor, "/")
    assert "rw" in mount.options
    await bench.consumer.write_file(target, "note", b"through")
    assert await bench.consumer.read_file(place, "note") == b"through"


async def test_a_read_only_bind_of_a_writable_filesystem(bench: Bench) -> None:
    device = await formatted(bench)
    place = await bench.mounted(device, "m")
    target = await bench.place("bound")
    await bench.host.mounts.bind(place, target, read_only=True)
    (mount,) = await at(bench, target)
    assert "ro" in mount.options
    assert "rw" in mount.super_options
    with pytest.raises((OSError, EbbError)):
        await bench.consumer.write_file(target, "note", b"x")
    await bench.consumer.write_file(place, "note", b"x")


async def test_a_device_is_bound_on_a_file(bench: Bench) -> None:
    device = await bench.volume("v1")
    target = f"{bench.directory}/block"
    await bench.host.mounts.make_file(target)
    await bench.host.mounts.bind(device, target, read_only=False)
    (mount,) = await at(bench, target)
    assert mount.root != "/"
    assert mount.filesystem == "devtmpfs"
    await bench.opened("v1", 0)
    await bench.host.mounts.make_file(target)  # as it should be already
    await bench.host.mounts.unmount(target)
    assert await at(bench, target) == []
    await bench.host.mounts.remove_path(target)


async def test_unmounting_can_be_repeated(bench: Bench) -> None:
    device = await formatted(bench)
    place = await bench.mounted(device, "m")
    await bench.host.mounts.unmount(place)
    assert await at(bench, place) == []
    await bench.host.mounts.unmount(place)
    await bench.host.mounts.unmount(f"{bench.directory}/never-there")


async def test_mounts_that_lie_on_one_another_all_go(bench: Bench) -> None:
    first, second = await formatted(bench, "v1"), await formatted(bench, "v2")
    place = await bench.mounted(first, "m")
    await bench.host.mounts.mount(second, place, "ext4", [])
    assert len(await at(bench, place)) == 2
    await bench.host.mounts.unmount(place)
    assert await at(bench, place) == []
    await bench.opened("v1", 0)


async def test_a_busy_mount_stays(bench: Bench) -> None:
    device = await formatted(bench)
    place = await bench.mounted(device, "m")
    async with bench.consumer.sitting_in(place):
        with pytest.raises(WrongState, match=place):
            await bench.host.mounts.unmount(place)
        assert len(await at(bench, place)) == 1
    await bench.host.mounts.unmount(place)


async def test_xfs_will_not_have_its_twin(bench: Bench) -> None:
    device = await formatted(bench, "v1", "xfs")
    await bench.mounted(device, "origin", "xfs")
    twin = await bench.snapshot("v1", "c1")
    place = await bench.place("twin")
    with pytest.raises(CommandFailed):
        await bench.host.mounts.mount(twin, place, "xfs", [])
    await bench.host.mounts.mount(twin, place, "xfs", ["nouuid"])
    assert len(await at(bench, place)) == 1


async def test_btrfs_will_not_have_its_twin(bench: Bench) -> None:
    device = await formatted(bench, "v1", "btrfs")
    await bench.mounted(device, "origin", "btrfs")
    twin = await bench.snapshot("v1", "c1")
    place = await bench.place("twin")
    with pytest.raises(HostFailure):
        await bench.host.mounts.mount(twin, place, "btrfs", [])
    assert await at(bench, place) == []


async def test_paths_are_made_and_removed_again_and_again(bench: Bench) -> None:
    mounts = bench.host.mounts
    directory, file = f"{bench.directory}/d", f"{bench.directory}/d/f"
    assert not await mounts.exists(directory)
    for _ in range(2):
        await mounts.make_directory(directory)
        await mounts.make_file(file)
    assert await mounts.exists(directory)
    assert await mounts.exists(file)
    with pytest.raises(WrongState):
        await mounts.remove_path(directory)
    for _ in range(2):
        await mounts.remove_path(file)
        await mounts.remove_path(directory)
    assert not await mounts.exists(directory)


async def test_a_path_of_another_kind_is_not_replaced(bench: Bench) -> None:
    mounts = bench.host.mounts
    directory, file = f"{bench.directory}/d", f"{bench.directory}/f"
    await mounts.make_directory(directory)
    await mounts.make_file(file)
    with pytest.raises(WrongState):
        await mounts.make_directory(file)
    with pytest.raises(WrongState):
        await mounts.make_file(directory)
    with pytest.raises(WrongState):
        await mounts.make_directory(f"{file}/below")


async def test_parents_are_the_callers(bench: Bench) -> None:
    with pytest.raises(NotFound):
        await bench.host.mounts.make_directory(f"{bench.directory}/a/b")
    with pytest.raises(NotFound):
        await bench.host.mounts.make_file(f"{bench.directory}/a/b")
    await bench.host.mounts.remove_path(f"{bench.directory}/a/b")


async def test_no_symlink_is_followed(bench: Bench) -> None:
    (Path(bench.directory) / "real").mkdir()
    (Path(bench.directory) / "link").symlink_to("real")
    for path in (f"{bench.directory}/link", f"{bench.directory}/link/below"):
        with pytest.raises(InvalidInput):
            await bench.host.mounts.make_directory(path)
        with pytest.raises(InvalidInput):
            await bench.host.mounts.make_file(path)
        with pytest.raises(InvalidInput):
            await bench.host.mounts.remove_path(path)
        with pytest.raises(InvalidInput):
            await bench.host.mounts.exists(path)
    assert list((Path(bench.directory) / "real").iterdir()) == []


@pytest.mark.parametrize("tail", ["../x", "a/../../x"])
async def test_dots_are_refused(bench: Bench, tail: str) -> None:
    with pytest.raises(InvalidInput):
        await bench.host.mounts.make_directory(f"{bench.directory}/{tail}")
    with pytest.raises(InvalidInput):
        await bench.host.mounts.make_directory("relative")


async def test_a_mount_point_is_not_removed(bench: Bench) -> None:
    device = await formatted(bench)
    place = await bench.mounted(device, "m")
    with pytest.raises(WrongState):
        await bench.host.mounts.remove_path(place)
    assert len(await at(bench, place)) == 1


async def test_what_ebb_did_not_make_is_not_removed(bench: Bench) -> None:
    """Whoever may unpublish names a path: it must not be a way to delete somebody's files."""
    data, pipe = Path(bench.directory) / "data", Path(bench.directory) / "pipe"
    data.write_bytes(b"kept")
    os.mkfifo(pipe)
    for path in (data, pipe):
        with pytest.raises(WrongState, match="not an empty file"):
            await bench.host.mounts.remove_path(str(path))
    assert data.read_bytes() == b"kept"
    assert pipe.exists()
