import pytest
from contract.host.bench import GIB, MIB, Bench
from ebbd.errors import InvalidInput, NotFound, SizeOutOfRange, WrongState

KINDS = pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs"])


@KINDS
async def test_a_new_filesystem_has_its_signature_and_takes_files(bench: Bench, kind: str) -> None:
    device = await bench.volume()
    assert await bench.host.filesystems.signature(device) is None
    await bench.host.filesystems.make(device, kind, [])
    assert await bench.host.filesystems.signature(device) == kind
    place = await bench.mounted(device, "m", kind)
    await bench.consumer.write_file(place, "note", b"hello")
    await bench.host.mounts.unmount(place)
    await bench.host.mounts.mount(device, place, kind, [])
    assert await bench.consumer.read_file(place, "note") == b"hello"


@KINDS
async def test_a_device_with_data_is_not_formatted_again(bench: Bench, kind: str) -> None:
    device = await bench.volume()
    await bench.host.filesystems.make(device, kind, [])
    place = await bench.mounted(device, "m", kind)
    await bench.consumer.write_file(place, "note", b"precious")
    await bench.host.mounts.unmount(place)
    for other in ("ext4", "xfs", "btrfs"):
        with pytest.raises(WrongState):
            await bench.host.filesystems.make(device, other, [])
    await bench.host.mounts.mount(device, place, kind, [])
    assert await bench.consumer.read_file(place, "note") == b"precious"


@KINDS
async def test_an_interrupted_mkfs_can_be_made_again(bench: Bench, kind: str) -> None:
    device = await bench.volume()
    await bench.host.filesystems.make(device, "ext4", [])
    await bench.host.filesystems.make(device, kind, [], overwrite=True)
    assert await bench.host.filesystems.signature(device) == kind
    await bench.mounted(device, "m", kind)


@KINDS
async def test_a_mounted_device_is_never_formatted(bench: Bench, kind: str) -> None:
    device = await bench.volume()
    await bench.host.filesystems.make(device, kind, [])
    place = await bench.mounted(device, "m", kind)
    with pytest.raises(WrongState):
        await bench.host.filesystems.make(device, kind, [])
    await bench.consumer.write_file(place, "note", b"still here")
    assert await bench.consumer.read_file(place, "note") == b"still here"


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("ext4", ["-L", "label", "-i", "65536"]),
        ("xfs", ["-L", "label", "-m", "reflink=1"]),
        ("btrfs", ["-L", "label", "-m", "single"]),
    ],
)
async def test_mkfs_takes_options(bench: Bench, kind: str, options: list[str]) -> None:
    device = await bench.volume()
    await bench.host.filesystems.make(device, kind, options)
    assert await bench.host.filesystems.signature(device) == kind


@KINDS
@pytest.mark.parametrize("options", [["--no-such-option"], ["-y"], ["-d", "/etc"], ["etc"], [""]])
async def test_options_that_mkfs_refuses(bench: Bench, kind: str, options: list[str]) -> None:
    device = await bench.volume()
    with pytest.raises(InvalidInput):
        await bench.host.filesystems.make(device, kind, options)
    assert await bench.host.filesystems.signature(device) is None


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("ext4", ["-d", "."]),  # would copy the whole machine into the volume
        ("ext4", ["-detc"]),
        ("ext4", ["-qd", ".."]),
        ("ext4", ["-z", "undo"]),
        ("ext4", ["-J", "size=4,device=UUID=x"]),
        ("xfs", ["-p", "protofile"]),
        ("xfs", ["-l", "logdev=sda"]),
        ("xfs", ["-d", "size=1g,name=sda"]),
        ("xfs", ["-c", "options=f"]),
        ("btrfs", ["--rootdir=."]),
        ("btrfs", ["--rootdir", "etc"]),
        ("btrfs", ["-r", "."]),
        ("btrfs", ["sda"]),
        ("btrfs", ["--", "sda"]),
    ],
)
async def test_mkfs_reads_and_writes_nothing_else(
    bench: Bench, kind: str, options: list[str]
) -> None:
    device = await bench.volume()
    with pytest.raises(InvalidInput):
        await bench.host.filesystems.make(device, kind, options)
    assert await bench.host.filesystems.signature(device) is None


async def test_a_kind_that_ebb_does_not_make(bench: Bench) -> None:
    device = await bench.volume()
    with pytest.raises(InvalidInput):
        await bench.host.filesystems.make(device, "vfat", [])
    assert await bench.host.filesystems.signature(device) is None


@pytest.mark.parametrize(("kind", "size_bytes"), [("xfs", 296 * MIB), ("btrfs", 108 * MIB)])
async def test_too_small_for_the_kind(bench: Bench, kind: str, size_bytes: int) -> None:
    device = await bench.volume("v1", size_bytes)
    with pytest.raises(SizeOutOfRange):
        await bench.host.filesystems.make(device, kind, [])
    assert await bench.host.filesystems.signature(device) is None


@pytest.mark.parametrize(
    ("kind", "size_bytes"), [("ext4", 8 * MIB), ("xfs", 300 * MIB), ("btrfs", 112 * MIB)]
)
async def test_the_smallest_of_a_kind(bench: Bench, kind: str, size_bytes: int) -> None:
    device = await bench.volume("v1", size_bytes)
    await bench.host.filesystems.make(device, kind, [])
    place = await bench.mounted(device, "m", kind)
    await bench.consumer.write_file(place, "note", b"x")


async def test_a_physical_volume_has_a_signature(bench: Bench) -> None:
    device = await bench.host.blockdev.ensure_loop(bench.file, GIB)
    assert await bench.host.filesystems.signature(device) is None
    await bench.host.lvm.ensure_volume_group(
        f"{bench.vg}2", [device], metadata_bytes=4 * MIB, tags=[]
    )
    assert await bench.host.filesystems.signature(device) == "LVM2_member"


async def test_a_device_that_is_not_there_is_never_called_blank(bench: Bench) -> None:
    device = await bench.volume()
    await bench.host.lvm.deactivate(bench.vg, "v1")
    with pytest.raises(NotFound):
        await bench.host.filesystems.signature(device)


@KINDS
async def test_a_mounted_filesystem_grows(bench: Bench, kind: str) -> None:
    device = await bench.volume("v1", GIB)
    await bench.host.filesystems.make(device, kind, [])
    place = await bench.mounted(device, "m", kind)
    await bench.consumer.write_file(place, "note", b"before")
    before = await bench.host.filesystems.usage(place)
    assert not await bench.host.filesystems.grow(device, kind, place)
    await bench.host.lvm.extend(bench.vg, "v1", size_bytes=2 * GIB)
    assert await bench.host.filesystems.grow(device, kind, place)
    after = await bench.host.filesystems.usage(place)
    assert after.total_bytes > before.total_bytes + GIB * 9 // 10
    assert not await bench.host.filesystems.grow(device, kind, place)
    assert await bench.consumer.read_file(place, "note") == b"before"


@KINDS
async def test_usage_adds_up(bench: Bench, kind: str) -> None:
    device = await bench.volume("v1", GIB)
    await bench.host.filesystems.make(device, kind, [])
    place = await bench.mounted(device, "m", kind)
    before = await bench.host.filesystems.usage(place)
    assert GIB // 2 < before.total_bytes <= GIB
    assert 0 < before.available_bytes <= before.total_bytes - before.used_bytes
    assert before.used_inodes + before.available_inodes == before.total_inodes
    assert (before.total_inodes > 0) == (kind != "btrfs")
    await bench.consumer.write_file(place, "large", bytes(range(256)) * (64 * 1024))
    after = await bench.host.filesystems.usage(place)
    assert after.used_bytes >= before.used_bytes + 15 * MIB
    assert after.available_bytes <= before.available_bytes - 15 * MIB


@KINDS
async def test_a_clone_gets_an_identity_of_its_own(bench: Bench, kind: str) -> None:
    device = await bench.volume("v1")
    await bench.host.filesystems.make(device, kind, [])
    place = await bench.mounted(device, "origin", kind)
    await bench.consumer.write_file(place, "note", b"shared")
    # Taken while it is mounted: the clone's log wants replay before its UUID can change.
    clone = await bench.snapshot("v1", "c1")
    await bench.host.filesystems.renew_identity(clone, kind)
    await bench.host.filesystems.renew_identity(clone, kind)
    copy = await bench.mounted(clone, "clone", kind)
    assert await bench.consumer.read_file(copy, "note") == b"shared"
    await bench.consumer.write_file(copy, "note", b"the clone's")
    assert await bench.consumer.read_file(place, "note") == b"shared"


async def test_the_identity_of_a_mounted_filesystem_stays(bench: Bench) -> None:
    device = await bench.volume("v1")
    await bench.host.filesystems.make(device, "ext4", [])
    await bench.mounted(device, "m")
    with pytest.raises(WrongState):
        await bench.host.filesystems.renew_identity(device, "ext4")


@KINDS
async def test_trim_gives_blocks_back_to_the_pool(bench: Bench, kind: str) -> None:
    device = await bench.volume("v1")
    await bench.host.filesystems.make(device, kind, [])
    place = await bench.mounted(device, "m", kind)
    await bench.consumer.write_file(place, "large", bytes(range(256)) * (256 * 1024))
    full = await bench.host.dm.mapped_bytes(bench.vg, "v1")
    await bench.consumer.remove_file(place, "large")
    assert await bench.host.filesystems.trim(place) > 0
    assert await bench.host.dm.mapped_bytes(bench.vg, "v1") <= full - 48 * MIB
