"""The Lvm protocol on the machine's LVM.

A mutation is one command line. Every option that is not needed to say what is wanted has its reason
beside it. Reads never run a command: they look at the metadata area (metadata_reader).
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ParamSpec, TypeVar

from ebbd.errors import Conflict, HostFailure, NotFound, WrongState
from ebbd.host import commits
from ebbd.host.pool_sizes import CHUNK_BYTES, pool_metadata_bytes
from ebbd.host.real.claims import Claims
from ebbd.host.real.lvm_commands import LvmCommands
from ebbd.host.real.metadata_area import Unreadable
from ebbd.host.real.metadata_reader import MetadataReader, Reading
from ebbd.host.real.names import checked, checked_tag
from ebbd.host.real.offload import offload
from ebbd.host.real.text_format import Damaged
from ebbd.host.values import VolumeGroup

P = ParamSpec("P")
T = TypeVar("T")
_KIB = 1 << 10
_MIB = 1 << 20
_SECTOR_BYTES = 512
# Yes to LVM's questions: there is nobody to ask, and in the shell the next command line would be
# taken for the answer. Where a question guards data (vgcreate), "no" is given instead.
_YES = "--yes"
_ALWAYS_NO = "-qq"
# Where a device is only suspended and resumed no node or link changes, so there is nothing to wait
# for; udev's re-probing of the device cost 0.7 s of a snapshot and 2 s of an extension.
_NO_WAIT = "--noudevsync"


class RealLvm:
    """LVM's VGs by name.

    `devices` are the PVs of VGs that are known beforehand; those of any other VG are asked of the
    machine's LVM once. `signature` is Filesystems.signature: what stands on a device.
    """

    def __init__(
        self,
        commands: LvmCommands,
        signature: Callable[[str], Awaitable[str | None]],
        devices: Mapping[str, Sequence[str]],
        claims: Claims,
    ) -> None:
        self._commands = commands
        self._claims = claims
        self._signature = signature
        self._reader = MetadataReader()
        self._devices = {vg: tuple(known) for vg, known in devices.items()}
        self._system_id = ""
        self._accepted = False
        self._asked_at: dict[str, int] = {}

    @property
    def command_lines(self) -> int:
        return self._commands.lines

    async def seqno(self, vg: str) -> int:
        with self._forgetting(vg):
            found = await _reading(vg, self._reader.seqno, vg, await self._devices_of(vg))
            if found is None:
                raise _no_group(vg)
            return found

    async def read(self, vg: str) -> VolumeGroup:
        with self._forgetting(vg):
            reading = await self._read(vg)
            if reading is None:
                raise _no_group(vg)
            return reading.metadata.group

    async def claim(self, vg: str) -> None:
        group = await self.read(vg)
        await self._claims.take(vg, group.uuid)

    async def ensure_volume_group(
        self, vg: str, devices: Sequence[str], *, metadata_bytes: int, tags: Sequence[str]
    ) -> bool:
        resolved = await offload("device names", _resolve, devices)
        self._know(checked(vg), resolved)
        if await self._read(vg) is not None:
            return False
        if elsewhere := await self._commands.physical_volumes(vg):
            raise Conflict(
                f"VG {vg} exists on {', '.join(elsewhere)}, not on {', '.join(resolved)}",
                "name those devices, or choose another VG name",
            )
        for device in resolved:
            found = await self._signature(device)
            if found is not None and not await self._is_free_pv(vg, device, found):
                raise WrongState(
                    f"{device} is not empty: it holds {found}",
                    f"choose another device, or clear it yourself: wipefs --all {device}",
                )
        await self._mutate(
            vg,
            "vgcreate",
            _ALWAYS_NO,
            *("--setautoactivation", "n"),  # at boot every generation would come up
            *("--metadatasize", f"{-(-metadata_bytes // _MIB)}m"),
            *_tags("--addtag", tags),
            vg,
            *resolved,
        )
        return True

    async def ensure_pool(
        self, vg: str, pool: str, *, size_bytes: int | None, chunk_bytes: int | None
    ) -> bool:
        group = await self.read(vg)
        if checked(pool) in group.pools:
            return False
        if pool in group.volumes or pool in group.other_names:
            raise Conflict(
                f"{vg}/{pool} is there and is no thin pool", "choose another name for the pool"
            )
        room = group.free_bytes if size_bytes is None else size_bytes
        size = ("--extents", "100%FREE") if size_bytes is None else ("--size", f"{size_bytes}b")
        chunk = chunk_bytes or CHUNK_BYTES
        metadata_bytes = pool_metadata_bytes(room, chunk)
        # Not `--type thin-pool`: LVM 2.03.16 refuses --errorwhenfull beside it.
        await self._mutate(
            vg,
            "lvcreate",
            _YES,
            *("--zero", "y"),  # a chunk's former owner must not show through
            *("--errorwhenfull", "y"),  # a full pool that queues hangs every consumer
            *size,
            *("--chunksize", f"{chunk // _KIB}k"),
            *("--poolmetadatasize", f"{metadata_bytes // _MIB}m"),
            *("--thinpool", pool),
            vg,
        )
        return True

    async def activate_pool(self, vg: str, pool: str) -> None:
        await self._mutate(vg, "lvchange", "--activate", "y", f"{checked(vg)}/{checked(pool)}")

    async def create_thin(
        self, vg: str, pool: str, name: str, *, size_bytes: int, tags: Sequence[str]
    ) -> int:
        sectors = -(-size_bytes // _SECTOR_BYTES)
        await self._mutate(
            vg,
            "lvcreate",
            _YES,
            *("--type", "thin"),
            *("--virtualsize", f"{sectors}s"),
            *("--thinpool", checked(pool)),
            *("--name", checked(name)),
            *("--activate", "n"),
            *("--wipesignatures", "n"),  # there is no device to wipe, and nothing on it
            *_tags("--addtag", tags),
            checked(vg),
        )
        return commits.CREATE_THIN

    async def create_snapshot(
        self, vg: str, origin: str, name: str, *, tags: Sequence[str], read_only: bool
    ) -> int:
        await self._mutate(
            vg,
            "lvcreate",
            _YES,
            _NO_WAIT,
            "--snapshot",
            *("--activate", "n"),
            *("--setactivationskip", "n"),
            *("--permission", "r" if read_only else "rw"),
            *("--name", checked(name)),
            *_tags("--addtag", tags),
            f"{checked(vg)}/{checked(origin)}",
        )
        return commits.CREATE_SNAPSHOT

    async def remove(self, vg: str, names: Sequence[str]) -> int:
        await self._mutate(
            vg, "lvremove", _YES, *(f"{checked(vg)}/{checked(name)}" for name in names)
        )
        return commits.REMOVE_EACH * len(names)

    async def extend(self, vg: str, name: str, *, size_bytes: int) -> int:
        volume = (await self.read(checked(vg))).volumes.get(checked(name))
        if volume is None:
            raise NotFound(f"no thin volume {vg}/{name}", "ebb volume list shows what there is")
        if volume.size_bytes >= size_bytes:
            return 0
        sectors = -(-size_bytes // _SECTOR_BYTES)
        await self._mutate(vg, "lvextend", _YES, _NO_WAIT, "--size", f"{sectors}s", f"{vg}/{name}")
        return commits.EXTEND

    async def change_tags(
        self, vg: str, name: str | None, *, add: Sequence[str] = (), remove: Sequence[str] = ()
    ) -> int:
        command = "vgchange" if name is None else "lvchange"
        what = checked(vg) if name is None else f"{checked(vg)}/{checked(name)}"
        await self._mutate(vg, command, *_tags("--addtag", add), *_tags("--deltag", remove), what)
        return commits.CHANGE_TAGS

    async def rename(self, vg: str, name: str, new_name: str) -> int:
        group = await self.read(checked(vg))
        if name not in group.volumes:
            raise NotFound(f"no thin volume {vg}/{name}", "ebb volume list shows what there is")
        if new_name in {*group.volumes, *group.pools, *group.other_names}:
            raise Conflict(f"{vg}/{new_name} exists already", "use another name")
        await self._mutate(vg, "lvrename", _YES, vg, checked(name), checked(new_name))
        return commits.RENAME

    async def activate(self, vg: str, name: str) -> None:
        await self._mutate(
            vg,
            "lvchange",
            *("--activate", "y"),
            "--ignoreactivationskip",  # a snapshot made by hand carries the flag
            f"{checked(vg)}/{checked(name)}",
        )

    async def deactivate(self, vg: str, name: str) -> None:
        await self._mutate(vg, "lvchange", "--activate", "n", f"{checked(vg)}/{checked(name)}")

    async def close(self) -> None:
        try:
            await self._commands.close()
        finally:
            self._claims.release()

    async def _is_free_pv(self, vg: str, device: str, signature: str) -> bool:
        """A PV of no VG: prepared by hand, or by a vgcreate of ours that was killed half-way."""
        return signature == "LVM2_member" and not await _reading(vg, self._reader.groups_on, device)

    @contextmanager
    def _forgetting(self, vg: str) -> Iterator[None]:
        """Where the devices that are known have no VG any more they are forgotten: a disk that
        went away comes back under another name.
        """
        try:
            yield
        except (NotFound, HostFailure):
            self._devices.pop(vg, None)
            raise

    async def _mutate(self, vg: str, command: str, *arguments: str) -> None:
        await self._devices_of(vg)
        if not self._accepted:
            await self._accept()
        await self._commands.run(command, *arguments)

    async def _accept(self) -> None:
        devices = sorted({device for known in self._devices.values() for device in known})
        await self._commands.accept(devices, self._system_id)
        self._accepted = True

    def _know(self, vg: str, devices: Sequence[str]) -> None:
        if self._devices.get(vg) != tuple(devices):
            self._devices[vg] = tuple(devices)
            self._accepted = False

    async def _devices_of(self, vg: str) -> tuple[str, ...]:
        if vg not in self._devices:
            found = await self._commands.physical_volumes(checked(vg))
            if not found:
                raise _no_group(vg)
            self._know(vg, found)
        return self._devices[vg]

    async def _read(self, vg: str) -> Reading | None:
        reading = await _reading(vg, self._reader.read, vg, await self._devices_of(vg))
        if reading is None:
            return None
        seqno = reading.metadata.group.seqno
        if reading.metadata.pv_ids - reading.pv_ids and self._asked_at.get(vg) != seqno:
            # Somebody has extended the VG: without its new PV LVM would find the VG incomplete.
            self._asked_at[vg] = seqno
            self._know(vg, await self._commands.physical_volumes(vg) or self._devices[vg])
        if reading.metadata.system_id != self._system_id and reading.metadata.system_id:
            self._system_id = reading.metadata.system_id
            self._accepted = False
        return reading


async def _reading(vg: str, read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    try:
        return await offload(f"metadata of VG {vg}", read, *args, **kwargs)
    except (Unreadable, Damaged) as error:
        raise HostFailure(
            f"the metadata of VG {vg} cannot be read: {error}",
            f"see vgck {vg}; /etc/lvm/backup/{vg} has the latest copy",
        ) from error


def _resolve(devices: Sequence[str]) -> list[str]:
    """LVM's filter and its reports want the kernel's names, not links such as /dev/disk/by-id."""
    return [str(Path(device).resolve(strict=True)) for device in devices]


def _tags(option: str, tags: Sequence[str]) -> list[str]:
    return [word for tag in tags for word in (option, checked_tag(tag))]


def _no_group(vg: str) -> NotFound:
    return NotFound(f"no VG {vg} on this machine", "vgs shows what there is; is a disk missing?")
