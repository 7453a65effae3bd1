import socket
from pathlib import Path

from ebb_lab import Disk, Forward
from ebb_lab.accel import Accelerator
from ebb_lab.machine import Hardware, command_line, reserve_ports
from ebb_lab.scratch import DiskFile

TCG = Accelerator("tcg", "a test")


def _words(*disks: DiskFile, forwards: tuple[Forward, ...] = ()) -> list[str]:
    folder = Path("/lab")
    hardware = Hardware(
        kernel=folder / "vmlinuz",
        initrd=folder / "initrd",
        root_overlay=folder / "root.qcow2",
        dependencies=folder / "deps.img",
        source=folder / "source.img",
        disks=disks,
        forwards=forwards,
        cpus=2,
        memory_mib=512,
    )
    return [str(word) for word in command_line(hardware, TCG)]


def _drive_of(words: list[str], serial: str) -> str:
    return next(word for word in words if word.startswith(f"if=none,id={serial},"))


def test_a_disk_without_limits_is_not_throttled() -> None:
    words = _words(DiskFile(Disk("pool", 1 << 30), Path("/lab/pool.img")))
    assert _drive_of(words, "pool") == (
        "if=none,id=pool,file=/lab/pool.img,format=raw,cache=unsafe,discard=unmap"
    )
    assert "virtio-blk-pci,drive=pool,serial=pool" in words


def test_limits_become_qemus_throttle() -> None:
    words = _words(DiskFile(Disk("slow", 1 << 30, iops=100, bps=5000), Path("/lab/slow.img")))
    assert _drive_of(words, "slow").endswith(",throttling.iops-total=100,throttling.bps-total=5000")


def test_a_comma_in_a_path_stays_in_the_path() -> None:
    words = _words(DiskFile(Disk("pool", 1 << 30), Path("/a,b/pool.img")))
    assert ",file=/a,,b/pool.img," in _drive_of(words, "pool")


def test_the_labs_own_disks_cannot_be_changed_for_good() -> None:
    words = _words()
    assert _drive_of(words, "lab-deps").endswith("readonly=on")
    assert _drive_of(words, "lab-source").endswith("snapshot=on")
    assert "format=qcow2" in _drive_of(words, "lab-root")


def test_forwards_are_on_loopback_only_and_the_guest_reaches_nothing() -> None:
    network = next(w for w in _words(forwards=(Forward(8080, 80),)) if w.startswith("user,"))
    assert network == "user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:8080-:80"


def test_kvm_shows_the_hosts_cpu_and_emulation_never_does() -> None:
    assert "host" in Accelerator("kvm", "").arguments
    assert "host" not in TCG.arguments


def test_a_reserved_port_can_be_listened_on_by_one_who_reuses_addresses_and_no_other() -> None:
    forwards, holders = reserve_ports([Forward(0, 22), Forward(4242, 80), Forward(0, 443)])
    assert [forward.guest_port for forward in forwards] == [22, 80, 443]
    assert forwards[1] == Forward(4242, 80)
    assert len({forward.host_port for forward in forwards}) == 3
    assert all(forward.host_port for forward in forwards)
    try:
        with socket.socket() as qemu:
            qemu.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            qemu.bind(("127.0.0.1", forwards[0].host_port))
            qemu.listen()
        others, more = reserve_ports([Forward(0, 1) for _ in range(200)])
        assert not {f.host_port for f in others} & {forwards[0].host_port, forwards[2].host_port}
        holders += more
    finally:
        for holder in holders:
            holder.close()
