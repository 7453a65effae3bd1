"""One QEMU process: its command line, its console, its beginning and its end."""

import asyncio
import re
import socket
from asyncio.subprocess import PIPE, STDOUT, Process
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ebb_lab import process
from ebb_lab.accel import Accelerator
from ebb_lab.errors import LabLost
from ebb_lab.model import Forward
from ebb_lab.scratch import DiskFile

_READY = re.compile(rb"EBB-LAB-READY ([0-9.]+)")
_FAILED = re.compile(rb"EBB-LAB-FAILED ([^\r\n]*)")
_PANIC = re.compile(rb"(Kernel panic[^\r\n]*)")
_TAIL_BYTES = 8192
_TAIL_LINES = 40

QUIET = "quiet loglevel=3"
KERNEL_ARGUMENTS = (
    "console=ttyS0 panic=-1 "
    # Nobody attacks a lab: mitigations, randomised addresses, audit and LSMs cost boot time only.
    "mitigations=off nokaslr audit=0 selinux=0 apparmor=0 random.trust_cpu=on "
    # An emulated clock is fine as it is; the crypto self-tests take half a second under emulation.
    "tsc=reliable no_timer_check cryptomgr.notests initcall_blacklist=init_kprobe_trace "
    "psi=1"
)


@dataclass(frozen=True, slots=True)
class Hardware:
    """What one boot is made of."""

    kernel: Path
    initrd: Path
    root_overlay: Path
    dependencies: Path
    source: Path
    disks: tuple[DiskFile, ...]
    forwards: tuple[Forward, ...]
    cpus: int
    memory_mib: int


def command_line(
    hardware: Hardware, accelerator: Accelerator, arguments: str = QUIET
) -> list[str | Path]:
    """QEMU's argv. `arguments` is added to the kernel's."""
    network = ",".join(
        [
            "user,id=net,restrict=on",  # a lab that reaches out is not the same lab tomorrow
            *(f"hostfwd=tcp:127.0.0.1:{f.host_port}-:{f.guest_port}" for f in hardware.forwards),
        ]
    )
    return [
        "qemu-system-x86_64",
        *("-M", "q35", *accelerator.arguments),
        *("-smp", str(hardware.cpus), "-m", f"{hardware.memory_mib}M"),
        *("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio"),
        *("-kernel", hardware.kernel, "-initrd", hardware.initrd),
        *("-append", f"{KERNEL_ARGUMENTS} {arguments}"),
        *_drive("lab-root", hardware.root_overlay, "qcow2"),
        *_drive("lab-deps", hardware.dependencies, "raw", "readonly=on"),
        # Written only for the length of one boot (byte code, pytest's cache), and thrown away.
        *_drive("lab-source", hardware.source, "raw", "snapshot=on"),
        *(word for held in hardware.disks for word in _scratch_drive(held)),
        *("-netdev", network, "-device", "virtio-net-pci,netdev=net,romfile="),
        *("-device", "virtio-rng-pci"),
    ]


def _scratch_drive(held: DiskFile) -> tuple[str, ...]:
    limits = [
        f"throttling.{key}={value}"
        for key, value in (("iops-total", held.disk.iops), ("bps-total", held.disk.bps))
        if value is not None
    ]
    return _drive(held.disk.name, held.path, "raw", "discard=unmap", *limits)


def _drive(serial: str, path: Path, image_format: str, *options: str) -> tuple[str, ...]:
    escaped = str(path).replace(",", ",,")
    drive = ",".join(
        [f"if=none,id={serial},file={escaped},format={image_format},cache=unsafe", *options]
    )
    return ("-drive", drive, "-device", f"virtio-blk-pci,drive={serial},serial={serial}")


def reserve_ports(wanted: Iterable[Forward]) -> tuple[tuple[Forward, ...], list[socket.socket]]:
    """The forwards with 0 replaced by free ports, and the sockets that hold these ports.

    The sockets are bound but do not listen, and both they and QEMU's set SO_REUSEADDR, so QEMU can
    listen on a port that nobody else is given meanwhile. Close them once QEMU runs.
    """
    forwards: list[Forward] = []
    held: list[socket.socket] = []
    for forward in wanted:
        if forward.host_port:
            forwards.append(forward)
            continue
        holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        held.append(holder)
        forwards.append(Forward(holder.getsockname()[1], forward.guest_port))
    return tuple(forwards), held


class Machine:
    """A running QEMU. Its console goes to `console`, a file that is appended to at every boot."""

    def __init__(self, qemu: Process, console: Path, show: Callable[[bytes], None]) -> None:
        self._qemu = qemu
        self._console = console
        self._tail: deque[bytes] = deque()
        self._show = show
        self._ready: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._reader = asyncio.create_task(self._read_console())

    @classmethod
    async def start(
        cls,
        argv: Sequence[str | Path],
        console: Path,
        show: Callable[[bytes], None] | None = None,
    ) -> "Machine":
        """`show` is handed what the console says, as it says it."""
        qemu = await process.start(argv, stdin=PIPE, stderr=STDOUT)
        return cls(qemu, console, show or (lambda _: None))

    @property
    def running(self) -> bool:
        return self._qemu.returncode is None

    async def ready(self) -> float:
        """Waits for the guest to say it can be used; its own seconds since the kernel started."""
        return await asyncio.shield(self._ready)

    async def ended(self) -> None:
        """Waits until the machine is off."""
        await asyncio.shield(self._reader)

    async def kill(self) -> None:
        """The power cut."""
        await process.end(self._qemu)
        await self._reader

    def type(self, keys: bytes) -> None:
        """Types on the console."""
        if self._qemu.stdin is not None:
            self._qemu.stdin.write(keys)

    def console_tail(self) -> str:
        text = b"".join(self._tail)[-_TAIL_BYTES:].decode(errors="replace").replace("\r", "")
        return "\n".join(text.splitlines()[-_TAIL_LINES:])

    async def _read_console(self) -> None:
        stream = self._qemu.stdout
        if stream is None:
            raise LabLost("QEMU was started without a console")
        seen = b""
        with self._console.open("ab", buffering=0) as log:
            while chunk := await stream.read(65536):
                log.write(chunk)
                self._show(chunk)
                self._remember(chunk)
                if not self._ready.done():
                    seen += chunk
                    self._judge(seen)
        await self._qemu.wait()
        if not self._ready.done():
            self._settle(
                LabLost(f"QEMU ended with exit code {self._qemu.returncode} while booting")
            )

    def _remember(self, chunk: bytes) -> None:
        self._tail.append(chunk)
        while sum(map(len, self._tail)) - len(self._tail[0]) > _TAIL_BYTES:
            self._tail.popleft()

    def _judge(self, seen: bytes) -> None:
        if found := _READY.search(seen):
            self._ready.set_result(float(found[1]))
        elif found := _FAILED.search(seen) or _PANIC.search(seen):
            self._settle(LabLost(f"the guest did not come up: {found[1].decode(errors='replace')}"))

    def _settle(self, failure: LabLost) -> None:
        self._ready.set_exception(failure)
        self._ready.exception()  # retrieved: nobody may be waiting any more
