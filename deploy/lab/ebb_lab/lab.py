"""A lab: a throwaway node with a real kernel, for as long as an `async with` lasts.

    async with Lab(disks=(Disk("pool", 4 * GIB),)) as lab:
        await lab.run(["vgcreate", "vg", "/dev/disk/by-id/virtio-pool"])

Everything a lab owns is in one temporary folder and in child processes; both are gone when the
block is left, and also when the process that holds the lab is killed. Labs share nothing but the
cached images, which they only read.
"""

import asyncio
import shlex
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from ebb_lab import accel, copying
from ebb_lab.cache import Cache, default_root
from ebb_lab.errors import CommandFailed, LabError, LabLost, LabTimeout
from ebb_lab.guest import Guest, Keys, to_result
from ebb_lab.images import Images, held_images
from ebb_lab.machine import QUIET, Hardware, Machine, command_line, reserve_ports
from ebb_lab.model import Disk, Forward, Result
from ebb_lab.progress import Progress
from ebb_lab.scratch import ROOT_OVERLAY, disk_file, make_disks, scratch_folder

_SSH_PORT = 22
_POWER_OFF_TIMEOUT_S = 60.0
_LAST_LOOK_TIMEOUT_S = 20.0
_COPY_TIMEOUT_S = 300.0
_EBBD = ("ebb-lab-ebbd",)
RESULTS_IN_GUEST = "/results"


class Lab:
    """See the module. Parameters:

    disks        scratch disks, empty at first, kept over power cuts until the lab is closed
    forwards     TCP ports of the guest wanted on the host's 127.0.0.1; see `port()`
    ebbd         start ebbd with its built-in configuration; its socket is there when the lab is up
    console      gets all that the console says; the boot is then verbose and ends in a shell there
    results      folder on the host for what the guest leaves in /results; see `fetch_results()`
    boot_timeout_s   from starting QEMU to a guest that can be used
    project      root of the source tree that the guest gets as /ebb
    """

    def __init__(
        self,
        *,
        disks: Sequence[Disk] = (),
        forwards: Sequence[Forward] = (),
        cpus: int = 2,
        memory_mib: int = 2048,
        ebbd: bool = False,
        console: Callable[[bytes], None] | None = None,
        results: Path | None = None,
        boot_timeout_s: float = 120.0,
        project: Path | None = None,
        progress: Progress | None = None,
    ) -> None:
        if len({disk.name for disk in disks}) != len(disks):
            raise LabError("two disks have the same name")
        self._disks = tuple(disks)
        self._forwards = tuple(forwards)
        self._cpus = cpus
        self._memory_mib = memory_mib
        self._ebbd = ebbd
        self._console = console
        self._results = results
        self._boot_timeout_s = boot_timeout_s
        self._project = project or Path(__file__).resolve().parents[3]
        self._progress = progress or Progress()
        self._stack = AsyncExitStack()
        self._scratch = Path()
        self._images: Images | None = None
        self._machine: Machine | None = None
        self._guest: Guest | None = None
        self._keys: Keys | None = None
        self._ports: dict[int, int] = {}

    async def __aenter__(self) -> Self:
        try:
            await self._open()
            await self.boot()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def _open(self) -> None:
        enter = self._stack.enter_async_context
        cache = Cache(default_root())
        self._images = await enter(held_images(cache, self._project, self._progress))
        self._scratch = await enter(scratch_folder())
        self._stack.push_async_callback(self.power_cut)
        self._keys = await Keys.make(self._scratch)
        await make_disks(self._scratch, self._disks, self._images.image.root_disk)

    @property
    def console_log(self) -> Path:
        """All that the kernel and the guest's init printed, over all boots of this lab."""
        return self._scratch / "console.log"

    @property
    def running(self) -> bool:
        return self._machine is not None and self._machine.running

    def port(self, guest_port: int) -> int:
        """The port on 127.0.0.1 that leads to this port of the guest."""
        return self._ports[guest_port]

    async def boot(self) -> None:
        """Starts the machine on the same disks as before; returns when commands can be run."""
        if self.running:
            raise LabError("the lab is running: power_cut() or power_off() comes first")
        await self.power_cut()  # what a guest that powered off by itself left of its connection
        if self._images is None or self._keys is None:
            raise LabError("a lab is used with `async with Lab(...) as lab:`")
        accelerator = await accel.choose(self._images.image, default_root(), self._progress)
        forwards, holders = reserve_ports([Forward(0, _SSH_PORT), *self._forwards])
        self._ports = {forward.guest_port: forward.host_port for forward in forwards}
        hardware = self._hardware(self._images, self._keys, forwards)
        argv = command_line(hardware, accelerator, self._kernel_arguments())
        guest = Guest(self._scratch, self._keys, self._ports[_SSH_PORT])
        async with self._progress.step(f"booting ({accelerator.name}: {accelerator.reason})"):
            machine = await Machine.start(argv, self.console_log, self._console)
            self._machine, self._guest = machine, guest
            try:
                async with asyncio.timeout(self._boot_timeout_s):
                    await machine.ready()
                    await guest.connect()
                    if self._ebbd:
                        to_result(_EBBD, await guest.run(_EBBD)).check()
            except TimeoutError:
                await self.power_cut()
                raise LabTimeout(
                    f"the lab was not up within {self._boot_timeout_s:.0f} s and has been ended."
                    f"{_tail(machine)}"
                ) from None
            except (LabLost, CommandFailed) as failure:
                await self.power_cut()
                raise LabLost(f"{failure}{_tail(machine)}") from failure
            finally:
                for holder in holders:
                    holder.close()

    def _hardware(self, images: Images, keys: Keys, forwards: tuple[Forward, ...]) -> Hardware:
        initrd = self._scratch / "initrd"
        identity = {"hostname": b"ebb-lab\n", **keys.guest_files()}
        initrd.write_bytes(images.image.initramfs(identity))
        return Hardware(
            kernel=images.image.kernel,
            initrd=initrd,
            root_overlay=self._scratch / ROOT_OVERLAY,
            dependencies=images.dependencies,
            source=images.source,
            disks=tuple(disk_file(self._scratch, disk) for disk in self._disks),
            forwards=forwards,
            cpus=self._cpus,
            memory_mib=self._memory_mib,
        )

    def _kernel_arguments(self) -> str:
        wanted = QUIET if self._console is None else "ebb.start=console"
        return f"{wanted} ebb.start=ebbd" if self._ebbd else wanted

    async def power_cut(self) -> None:
        """Ends the machine at once, as if the plug were pulled. Nothing in the guest is told."""
        machine, guest = self._machine, self._guest
        self._machine = self._guest = None
        if machine is not None:
            await machine.kill()
        if guest is not None:
            await guest.close()

    async def power_off(self) -> None:
        """Ends it in order: services stopped, filesystems unmounted, disks synced."""
        machine = self._machine
        if machine is None:
            raise LabError("the lab is not running")
        try:
            async with asyncio.timeout(_POWER_OFF_TIMEOUT_S):
                # ssh loses its guest on the way: how it ends says nothing.
                async with self._running_guest().open(["ebb-lab-poweroff"]):
                    await machine.ended()
        except TimeoutError:
            raise LabTimeout(
                f"the lab did not power off within {_POWER_OFF_TIMEOUT_S:.0f} s and has been ended."
                f"{_tail(machine)}"
            ) from None
        finally:
            await self.power_cut()

    async def reboot(self) -> None:
        await self.power_off()
        await self.boot()

    async def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float = 120.0,
        input: bytes | None = None,  # noqa: A002 - the name asyncio's own communicate() uses
        env: Mapping[str, str] | None = None,
        cwd: str = "/ebb",
        check: bool = True,
    ) -> Result:
        """Runs a command as root and collects what it prints.

        With `check` an exit code other than 0 raises CommandFailed. After `timeout_s` the machine
        is ended and LabTimeout raised: a lab in which something hangs is not used any further.
        """
        guest = self._running_guest()
        async with self._deadline(argv, timeout_s):
            result = to_result(argv, await guest.run(argv, input=input, env=env, cwd=cwd))
        return result.check() if check else result

    @asynccontextmanager
    async def stream(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str = "/ebb",
        stdin: int | None = DEVNULL,
        stdout: int | None = PIPE,
        stderr: int | None = PIPE,
    ) -> AsyncIterator[Process]:
        """A command that runs as long as the block: its pipes and its exit code as a Process.

        Leaving the block sends SIGTERM to whatever still runs of it in the guest.
        """
        async with self._running_guest().open(
            argv, env=env, cwd=cwd, stdin=stdin, stdout=stdout, stderr=stderr
        ) as child:
            yield child

    async def attach(self, argv: Sequence[str], *, terminal: bool, timeout_s: float | None) -> int:
        """Runs a command on this process's own terminal or streams; its exit code."""
        guest = self._running_guest()
        async with self._deadline(argv, timeout_s):
            return await guest.interactive(argv, terminal=terminal)

    async def put(self, local: Path, remote: str) -> None:
        """Copies a file or a folder of the host to the path `remote` in the guest."""
        async with self._deadline(("put", remote), _COPY_TIMEOUT_S):
            await copying.put(self._running_guest(), local, remote)

    async def get(self, remote: str, local: Path) -> None:
        """Copies what is in a folder of the guest into one of the host, or a file to a file."""
        async with self._deadline(("get", remote), _COPY_TIMEOUT_S):
            await copying.get(self._running_guest(), remote, local)

    async def fetch_results(self) -> None:
        """Brings the guest's /results into the host's folder `results`, if one was given."""
        if self._results is not None:
            await self.get(RESULTS_IN_GUEST, self._results)

    def type(self, keys: bytes) -> None:
        """Types on the console."""
        if self._machine is not None:
            self._machine.type(keys)

    async def ended(self) -> None:
        """Waits until the machine is off by itself."""
        if self._machine is not None:
            await self._machine.ended()

    async def forward_socket(self, remote: str) -> Path:
        """A unix socket of the guest as one on the host (for instance ebbd's)."""
        local = self._scratch / f"forward-{Path(remote).name}"
        local.unlink(missing_ok=True)
        await self._running_guest().forward_socket(local, remote)
        return local

    def _running_guest(self) -> Guest:
        if self._guest is None:
            raise LabError("the lab is not running: boot() starts it on the same disks")
        return self._guest

    @asynccontextmanager
    async def _deadline(self, argv: Sequence[str], timeout_s: float | None) -> AsyncIterator[None]:
        machine = self._machine
        timer = asyncio.timeout(timeout_s)
        try:
            async with timer:
                yield
        except TimeoutError:
            if not timer.expired() or machine is None:
                raise
            await self._rescue_results()
            await self.power_cut()
            raise LabTimeout(
                f"{shlex.join(argv)} did not end within {timeout_s} s: the lab has been ended."
                f"{_tail(machine)}"
            ) from None

    async def _rescue_results(self) -> None:
        """Before a machine is ended: what there is of its results helps to see why."""
        guest = self._guest
        if self._results is None or guest is None:
            return
        try:
            async with asyncio.timeout(_LAST_LOOK_TIMEOUT_S):
                await copying.get(guest, RESULTS_IN_GUEST, self._results)
        except (TimeoutError, LabError) as failure:
            self._progress.say(f"the results could not be saved: {failure!r}")


def _tail(machine: Machine) -> str:
    tail = machine.console_tail()
    return f"\nThe console ended with:\n{tail}" if tail else "\nIts console stayed empty."
