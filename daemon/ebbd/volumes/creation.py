"""How a volume comes to be: blank, or as a copy of a snapshot or of another volume.

One LVM command either way. The request is checked completely before anything is changed, and a
repeated one finds what the first one made.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ebbd.errors import Conflict, InvalidInput, NotFound
from ebbd.intent import parse_intent
from ebbd.model import Created, Parameters, Prepare, Snapshot, Unchanged, Volume
from ebbd.volumes import mutations
from ebbd.volumes.names import check_name, head_lv
from ebbd.volumes.parameters import parse_parameters
from ebbd.volumes.pools import PoolSpec
from ebbd.volumes.records import Birth, volume_tags
from ebbd.volumes.sizes import check_range, choose_size, minimum_bytes, satisfies
from ebbd.volumes.store import Store, refuse_if_deleting
from ebbd.volumes.writer import flow_of

FILESYSTEMS = ("ext4", "xfs", "btrfs")


@dataclass(frozen=True, slots=True)
class VolumeRequest:
    """What CreateVolume asks. `source` is a snapshot's or a volume's id, empty for a new one."""

    name: str
    required_bytes: int = 0
    limit_bytes: int = 0
    filesystem: str = ""
    block: bool = False
    parameters: Mapping[str, str] = field(default_factory=dict)
    mutable_parameters: Mapping[str, str] = field(default_factory=dict)
    source: str = ""


class Creation:
    """Makes volumes in a store. Time and incarnation ids are given, so that tests know them."""

    def __init__(
        self, store: Store, *, now_ms: Callable[[], int], new_incarnation: Callable[[], str]
    ) -> None:
        self._store = store
        self._now_ms = now_ms
        self._new_incarnation = new_incarnation

    async def create(self, request: VolumeRequest) -> Created[Volume] | Unchanged[Volume]:
        """A volume of this name: made, or found if it is compatible with the request.

        Raises InvalidInput, NotFound (source), Conflict (the name means another volume),
        SizeOutOfRange and NoRoom.
        """
        check_name(request.name)
        check_range(request.required_bytes, request.limit_bytes)
        if request.filesystem not in {"", *FILESYSTEMS} or (request.block and request.filesystem):
            raise InvalidInput(
                f"filesystem {request.filesystem!r} cannot be had",
                f"use one of {', '.join(FILESYSTEMS)}, or none for a raw block volume",
            )
        parameters = parse_parameters(request.parameters)
        attributes = parse_intent(request.mutable_parameters)
        parse_intent(parameters.intent | attributes)  # the layers must make sense together
        volume_id = self._store.naming.volume_id(request.name)
        async with self._store.locks.hold(volume_id, *filter(None, [request.source])):
            existing = (await self._store.catalog()).volumes.get(volume_id)
            if existing is not None:
                self._check_compatible(existing, request, parameters)
                return Unchanged(existing)
            if request.source:
                await self._create_copy(volume_id, request, parameters, attributes)
            else:
                await self._create_blank(volume_id, request, parameters, attributes)
            return Created(await self._store.require_volume(volume_id))

    async def _create_blank(
        self,
        volume_id: str,
        request: VolumeRequest,
        parameters: Parameters,
        attributes: Mapping[str, str],
    ) -> None:
        store = self._store
        spec = store.pools.choose(parameters.pool)
        filesystem = "" if request.block else request.filesystem or self._default_filesystem
        size = self._size(request, spec, filesystem)
        birth = Birth(
            name=request.name,
            incarnation=self._new_incarnation(),
            filesystem=filesystem,
            created_ms=self._now_ms(),
            prepare=Prepare.FORMAT if filesystem else None,
            parameters=parameters,
            attributes=attributes,
        )
        await store.mutate(
            mutations.create(
                store.host.lvm,
                spec.vg,
                spec.pool,
                head_lv(self._digest(volume_id), 1),
                size_bytes=size,
                tags=volume_tags(birth),
                flow=flow_of(parameters.claim_namespace),
                admit=store.admission(spec, size),
            )
        )

    async def _create_copy(
        self,
        volume_id: str,
        request: VolumeRequest,
        parameters: Parameters,
        attributes: Mapping[str, str],
    ) -> None:
        store = self._store
        source = await self._source(request.source)
        spec = store.pools.choose(f"{source.vg}/{source.pool}")
        if parameters.pool and parameters.pool != spec.name:
            raise InvalidInput(
                f"a copy stays in its source's pool {spec.name}, not in {parameters.pool}",
                "leave the parameter 'pool' out, or use a StorageClass of the source's pool",
            )
        filesystem = _copied_filesystem(source, request)
        size = self._size(request, spec, filesystem, source_bytes=source.size_bytes)
        birth = Birth(
            name=request.name,
            incarnation=self._new_incarnation(),
            filesystem=filesystem,
            created_ms=self._now_ms(),
            size_bytes=size if size > store.lv(source.vg, source.lv_name).size_bytes else 0,
            prepare=(source.prepare or Prepare.RENEW) if filesystem else None,
            source=source.id,
            parameters=parameters,
            attributes=attributes,
        )
        await store.mutate(
            mutations.snapshot(
                store.host.lvm,
                store.lv(source.vg, source.lv_name),
                source.vg,
                head_lv(self._digest(volume_id), 1),
                tags=volume_tags(birth),
                read_only=False,
                flow=flow_of(parameters.claim_namespace),
                admit=store.admission(spec, size),
            )
        )

    async def _source(self, source_id: str) -> Volume | Snapshot:
        catalog = await self._store.catalog()
        found = catalog.volumes.get(source_id) or catalog.snapshots.get(source_id)
        if found is None:
            raise NotFound(
                f"there is no volume or snapshot {source_id!r} to copy",
                "'ebb snapshot list' and 'ebb volume list' show those that are there",
            )
        if isinstance(found, Volume):
            refuse_if_deleting(found)
        return found

    def _size(
        self, request: VolumeRequest, spec: PoolSpec, filesystem: str, *, source_bytes: int = 0
    ) -> int:
        extent = self._store.group(spec.vg).extent_bytes
        return choose_size(
            request.required_bytes,
            request.limit_bytes,
            default_bytes=self._store.settings.default_bytes,
            minimum_bytes=minimum_bytes(filesystem, extent),
            extent_bytes=extent,
            source_bytes=source_bytes,
        )

    def _check_compatible(
        self, volume: Volume, request: VolumeRequest, parameters: Parameters
    ) -> None:
        """Conflict that names the first difference; an equal request passes."""
        refuse_if_deleting(volume)
        filesystem = "" if request.block else request.filesystem or self._default_filesystem
        if not request.filesystem and request.source and not request.block:
            # A copy has its source's; a block volume is still another thing than was asked for.
            filesystem = volume.filesystem or filesystem
        pool = f"{volume.vg}/{volume.pool}"
        told = {
            "size": satisfies(volume.size_bytes, request.required_bytes, request.limit_bytes),
            "source": volume.source == request.source,
            "filesystem": volume.filesystem == filesystem,
            "pool": self._store.pools.choose(parameters.pool or pool).name == pool,
            "mkfs-options": volume.mkfs_options == parameters.mkfs_options,
            "mount-options": volume.mount_options == parameters.mount_options,
            "intent": volume.intent_class == parameters.intent,
        }
        if different := [name for name, same in told.items() if not same]:
            raise Conflict(
                f"a volume named {volume.name!r} exists with another {' and '.join(different)}",
                "use another name, or ask for what is there ('ebb volume show')",
            )

    @property
    def _default_filesystem(self) -> str:
        return self._store.settings.default_filesystem

    @staticmethod
    def _digest(volume_id: str) -> str:
        return volume_id.rpartition("-")[2]


def _copied_filesystem(source: Volume | Snapshot, request: VolumeRequest) -> str:
    if request.block:
        return ""
    if source.filesystem and request.filesystem not in {"", source.filesystem}:
        raise InvalidInput(
            f"the source has {source.filesystem}, a copy cannot become {request.filesystem}",
            f"ask for {source.filesystem}, or leave the filesystem out",
        )
    filesystem = source.filesystem or request.filesystem
    if not filesystem:
        raise InvalidInput(
            f"{source.id} is a raw block volume and its filesystem is not known",
            "ask for a block volume, or name the filesystem that was made on it",
        )
    return filesystem
