"""device-mapper without LVM: what is active, how full a pool is, and the mending of a killed LVM.

Device-mapper knows an LV by its mangled name; one LV may have several devices, layers below the one
that bears its name (`vg-pool-tpool` is the pool itself, `vg-pool` a mere window on it).
"""

import errno
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TypeVar

from ebbd.errors import HostFailure, NotFound, WrongState
from ebbd.host.real import dm_ioctl
from ebbd.host.real.dm_ioctl import Command, Control, Flag, Reply, Target
from ebbd.host.real.names import dm_name, split_dm_name
from ebbd.host.real.offload import offload
from ebbd.host.real.pool_status import parse_mapped_bytes, parse_pool_status
from ebbd.host.values import DeviceInfo, PoolStatus

T = TypeVar("T")
_LVM = "LVM-"
_PROBE = "ebb-probe"
_DEEPEST = 8


class RealDeviceMapper:
    """The DeviceMapper protocol on /dev/mapper/control."""

    def __init__(self, control: str = "/dev/mapper/control") -> None:
        self._control = control

    async def info(self, vg: str, name: str) -> DeviceInfo | None:
        return await self._do(f"status of {vg}/{name}", lambda control: _info(control, vg, name))

    async def active(self, vg: str) -> dict[str, DeviceInfo]:
        return await self._do(f"devices of {vg}", lambda control: _active(control, vg))

    async def pool_status(self, vg: str, pool: str) -> PoolStatus:
        line = await self._do(
            f"status of {vg}/{pool}", lambda control: _pool(control, vg, pool).parameters
        )
        return parse_pool_status(line)

    async def mapped_bytes(self, vg: str, name: str) -> int:
        target = await self._do(
            f"status of {vg}/{name}", lambda control: _status(control, dm_name(vg, name))
        )
        if target is None or target.kind != "thin":
            raise NotFound(f"thin volume {vg}/{name} is not active", "stage it first")
        return parse_mapped_bytes(target.parameters)

    async def resume(self, vg: str, name: str) -> None:
        await self._do(f"resume of {vg}/{name}", lambda control: _resume(control, vg, name))

    async def pool_has(self, vg: str, pool: str, device_id: int) -> bool:
        return await self._do(
            f"thin id {device_id} of {vg}/{pool}",
            lambda control: _pool_has(control, _pool(control, vg, pool).name, device_id),
        )

    async def set_transaction_id(self, vg: str, pool: str, *, current: int, new: int) -> None:
        await self.message(vg, pool, f"set_transaction_id {current} {new}")

    async def message(self, vg: str, pool: str, message: str) -> None:
        """A message to the pool (thin-provisioning.rst, "Messages")."""
        payload = b"\0" * 8 + message.encode("ascii") + b"\0"
        await self._do(
            f"message {message!r} to {vg}/{pool}",
            lambda control: control.call(
                Command.TARGET_MSG, name=_pool(control, vg, pool).name, payload=payload
            ),
        )

    async def versions(self) -> dict[str, str]:
        """`driver` and every target that the kernel has loaded, with their versions."""
        return await self._do("versions", _versions)

    async def _do(self, what: str, work: Callable[[Control], T]) -> T:
        return await offload(f"device-mapper: {what}", self._open_and, work)

    def _open_and(self, work: Callable[[Control], T]) -> T:
        with closing(Control(self._control)) as control:
            return work(control)


@contextmanager
def _absent_is_none() -> Iterator[None]:
    """ENXIO is how device-mapper says that there is no such device."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise


def _device(control: Control, spelled: str) -> Reply | None:
    with _absent_is_none():
        reply = control.call(Command.DEV_STATUS, name=spelled)
        return reply if reply.uuid.startswith(_LVM) else None
    return None


def _status(control: Control, spelled: str) -> Target | None:
    """The status line, without the flush that a plain query of a thin pool would cause."""
    with _absent_is_none():
        reply = control.call(Command.TABLE_STATUS, name=spelled, flags=Flag.NOFLUSH)
        return next(iter(dm_ioctl.targets(reply)), None)
    return None


@dataclass(frozen=True, slots=True)
class _Pool:
    """The device that is the pool itself, and its status line."""

    name: str
    parameters: str


def _pool(control: Control, vg: str, pool: str) -> _Pool:
    """While a pool has no thin LV, LVM activates it under its plain name; later below -tpool."""
    for spelled in (dm_name(vg, pool, "tpool"), dm_name(vg, pool)):
        target = _status(control, spelled)
        if target is not None and target.kind == "thin-pool":
            return _Pool(spelled, target.parameters)
    raise NotFound(f"thin pool {vg}/{pool} is not active", f"lvchange --activate y {vg}/{pool}")


def _information(reply: Reply) -> DeviceInfo:
    return DeviceInfo(
        name=reply.name,
        uuid=reply.uuid,
        major=reply.major,
        minor=reply.minor,
        open_count=reply.open_count,
        suspended=_suspended(reply),
        read_only=bool(reply.flags & Flag.READONLY),
    )


def _suspended(reply: Reply) -> bool:
    return bool(reply.flags & Flag.SUSPEND)


def _info(control: Control, vg: str, name: str) -> DeviceInfo | None:
    reply = _device(control, dm_name(vg, name))
    return _information(reply) if reply else None


def _active(control: Control, vg: str) -> dict[str, DeviceInfo]:
    """An LV with layers is one entry: its own device where there is one, suspended if any is."""
    devices: dict[str, DeviceInfo] = {}
    suspended: set[str] = set()
    for spelled in dm_ioctl.names(control.call(Command.LIST_DEVICES)):
        parts = split_dm_name(spelled)
        if parts is None or parts[0] != vg or (reply := _device(control, spelled)) is None:
            continue
        _vg, name, layer = parts
        if not layer or name not in devices:
            devices[name] = _information(reply)
        if _suspended(reply):
            suspended.add(name)
    return {name: replace(device, suspended=name in suspended) for name, device in devices.items()}


def _versions(control: Control) -> dict[str, str]:
    driver = control.call(Command.VERSION).version
    targets = dict(dm_ioctl.versions(control.call(Command.LIST_VERSIONS)))
    return {"driver": driver, **targets}


def _resume(control: Control, vg: str, name: str) -> None:
    """Resume the LV's devices, those they lie on first.

    Resuming a pool above its suspended metadata device would wait in the kernel for good.
    """
    spelled = [dm_name(vg, name, layer) for layer in ("tpool", "real", "")]
    devices = [reply for each in spelled if (reply := _device(control, each)) is not None]
    if not devices:
        raise NotFound(f"{vg}/{name} is not active", "there is nothing to resume")
    for reply in devices:
        _resume_upwards(control, reply, _DEEPEST)


def _resume_upwards(control: Control, reply: Reply, depth: int) -> None:
    if depth == 0:
        raise WrongState(f"{reply.name} lies on too many layers", "see dmsetup ls --tree")
    below = control.call(Command.TABLE_DEPS, name=reply.name)
    for number in dm_ioctl.dependencies(below):
        with _absent_is_none():  # a disk or a loop device: nothing of device-mapper's
            lower = control.call(Command.DEV_STATUS, device=number)
            if lower.uuid.startswith(_LVM):
                _resume_upwards(control, lower, depth - 1)
    if _suspended(reply):
        control.call(Command.DEV_SUSPEND, name=reply.name)  # without the SUSPEND flag: resume


def _pool_has(control: Control, pool: str, device_id: int) -> bool:
    """Load a thin table for that id on a throw-away device, and see whether the pool takes it.

    The thin target's constructor opens the device in the pool's metadata without creating it
    (ENODATA: no such id). Nothing is written, no IO can reach the device since its table never
    becomes live, and it is gone when this returns. A metadata snapshot would answer as well, but
    it commits to the pool and stays there if we die. One that an ebbd killed here left behind has
    no table and is removed first.
    """
    pool_device = control.call(Command.DEV_STATUS, name=pool)
    probe = f"{_PROBE}-{pool}"[:127]
    with _absent_is_none():
        control.call(Command.DEV_REMOVE, name=probe)
    control.call(Command.DEV_CREATE, name=probe)
    try:
        line = f"{pool_device.major}:{pool_device.minor} {device_id}"
        entry = Target(start=0, length=8, kind="thin", parameters=line)
        control.call(Command.TABLE_LOAD, name=probe, targets=1, payload=dm_ioctl.table([entry]))
    except OSError as error:
        if error.errno == errno.ENODATA:
            return False
        raise HostFailure(f"probing {pool} for thin id {device_id}: {error}") from error
    else:
        return True
    finally:
        with suppress(FileNotFoundError), _absent_is_none():
            control.call(Command.DEV_REMOVE, name=probe)
