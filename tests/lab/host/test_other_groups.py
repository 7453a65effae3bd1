"""Other people's VGs and disks: never opened, and a VG that somebody else changes."""

import asyncio

import pytest
from ebbd.errors import Conflict, WrongState
from ebbd.host.real.build import make_host
from ebbd.host.real.metadata_reader import MetadataReader
from lab.host.ground import GIB, MIB, Ground, only, run


async def second_disk(ground: Ground, name: str) -> str:
    return await ground.host.blockdev.ensure_loop(f"{ground.folder}/{name}.img", GIB)


async def test_another_group_is_not_even_seen(ground: Ground) -> None:
    disk = await second_disk(ground, "other")
    await run("lvm", "vgcreate", "--config", only(disk), "theirs", disk)
    try:
        before = await asyncio.to_thread(MetadataReader().seqno, "theirs", [disk])
        await ground.thin("a", active=True)
        environment = {"LVM_SYSTEM_DIR": ground.lvm_folder}
        seen = await run("lvm", "vgs", "-o", "vg_name", environment=environment)
        assert ground.vg in seen
        assert "theirs" not in seen
        assert await asyncio.to_thread(MetadataReader().seqno, "theirs", [disk]) == before
    finally:
        await run("lvm", "vgremove", "--yes", "--config", only(disk), "theirs")
        await run("losetup", "--detach", disk)


async def test_a_disk_that_somebody_adds_is_taken_into_account(ground: Ground) -> None:
    await ground.thin("a")
    free = (await ground.host.lvm.read(ground.vg)).free_bytes
    disk = await second_disk(ground, "more")
    both = f'devices {{ global_filter = [ "a|^({ground.device}|{disk})$|", "r|.*|" ] }}'
    await run("lvm", "vgextend", "--config", both, ground.vg, disk)
    try:
        group = await ground.host.lvm.read(ground.vg)
        assert group.free_bytes - free >= GIB - 64 * MIB
        await ground.thin("b")  # LVM would refuse a VG of which it sees but a part
        assert set((await ground.host.lvm.read(ground.vg)).volumes) == {"a", "b"}
    finally:
        await run("lvm", "vgreduce", "--config", both, ground.vg, disk)
        await run("losetup", "--detach", disk)
    assert (await ground.host.lvm.read(ground.vg)).free_bytes == free


async def test_a_group_of_that_name_elsewhere_is_a_conflict(ground: Ground) -> None:
    disk = await second_disk(ground, "twin")
    host = make_host(run_directory=f"{ground.folder}/second", deadline_s=90)
    try:
        with pytest.raises(Conflict, match=ground.device):
            await host.lvm.ensure_volume_group(ground.vg, [disk], metadata_bytes=MIB, tags=[])
        assert await host.filesystems.signature(disk) is None
    finally:
        await host.lvm.close()
        await run("losetup", "--detach", disk)


async def test_a_disk_with_anything_on_it_is_refused(ground: Ground) -> None:
    disk = await second_disk(ground, "used")
    await run("mkfs.ext4", "-q", disk)
    try:
        with pytest.raises(WrongState, match="ext4"):
            await ground.host.lvm.ensure_volume_group("fresh", [disk], metadata_bytes=MIB, tags=[])
        assert await ground.host.filesystems.signature(disk) == "ext4"
    finally:
        await run("losetup", "--detach", disk)


async def test_a_physical_volume_of_no_group_is_taken(ground: Ground) -> None:
    """What a vgcreate that was killed half-way leaves."""
    disk = await second_disk(ground, "prepared")
    await run("lvm", "pvcreate", "--config", only(disk), disk)
    vg = f"{ground.vg}-2"
    try:
        assert await ground.host.lvm.ensure_volume_group(
            vg, [disk], metadata_bytes=MIB, tags=["taken"]
        )
        assert (await ground.host.lvm.read(vg)).tags == {"taken"}
    finally:
        await run("lvm", "vgremove", "--yes", "--config", only(disk), vg)
        await run("losetup", "--detach", disk)
