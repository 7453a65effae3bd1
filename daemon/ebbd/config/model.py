"""What the configuration has, section by section, with every default.

Frozen and strict: a key that is not here is an error, and so is a value of another kind. Sizes are
bytes, times seconds.
"""

import socket
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from ebbd.config.source import Path
from ebbd.config.values import (
    GIB,
    KIB,
    MIB,
    AbsolutePath,
    Bytes,
    DevicePath,
    PoolName,
    between,
    distinct,
    node_id,
    node_key,
    not_empty,
    refuse,
    socket_path,
    tcp_address,
)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class NodeConfig(_Section):
    """What this node is called. `max_volumes` None: no attach limit."""

    id: Annotated[str, AfterValidator(node_id)]
    key: Annotated[str, AfterValidator(node_key)] | None = None
    max_volumes: Annotated[int, Field(ge=1)] | None = None


class ListenConfig(_Section):
    """A TCP address for ebb.v1, with TLS on both sides: there is no other way over TCP."""

    address: Annotated[str, AfterValidator(tcp_address)]
    certificate: AbsolutePath
    key: AbsolutePath
    client_ca: AbsolutePath


class ApiConfig(_Section):
    """Where ebb.v1 listens, and the group that may talk to it. `listen` None: nowhere else."""

    socket: Annotated[AbsolutePath, AfterValidator(socket_path)] = "/run/ebb/ebbd.sock"
    group: Annotated[str, Field(min_length=1)] = "ebb"
    listen: ListenConfig | None = None


class LoopConfig(_Section):
    """A pool's backing file: sparse, made when it is not there."""

    file: AbsolutePath
    size: Annotated[Bytes, between(128 * MIB, 2**60)] = 10 * GIB


class PoolConfig(_Section):
    """One pool: an `existing` one, or `name` with the `devices` or the `loop` file to make it on.

    Sizes are bytes. `size` None: all the room of the VG. `metadata_size` is the VG's metadata area.
    """

    existing: PoolName | None = None
    name: PoolName | None = None
    devices: (
        Annotated[
            tuple[DevicePath, ...],
            Field(strict=False),
            AfterValidator(not_empty),
            AfterValidator(distinct),
        ]
        | None
    ) = None
    loop: LoopConfig | None = None
    size: Annotated[Bytes, between(16 * MIB, 2**60)] | None = None
    overcommit_ratio: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)] = 2.0
    metadata_size: Annotated[Bytes, between(MIB, GIB)] = 64 * MIB
    chunk_size: Annotated[Bytes, between(64 * KIB, GIB, 64 * KIB)] | None = None

    @property
    def full_name(self) -> str:
        """VG/POOL."""
        return self.existing or self.name or ""

    @property
    def vg(self) -> str:
        return self.full_name.partition("/")[0]

    @property
    def pool(self) -> str:
        return self.full_name.partition("/")[2]

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        makes = self.model_fields_set & {
            "name",
            "devices",
            "loop",
            "size",
            "metadata_size",
            "chunk_size",
        }
        if self.existing is not None:
            if makes:
                raise refuse(
                    f"`existing` pools are taken as they are: remove {', '.join(sorted(makes))}"
                )
            return self
        if self.name is None:
            raise refuse("a pool has `existing: VG/POOL`, or a `name` to make it under")
        if (self.devices is None) == (self.loop is None):
            raise refuse("give `devices: [/dev/…]` or `loop: {file, size}` to make the pool on")
        return self


class DefaultsConfig(_Section):
    """What a volume is when its request does not say."""

    filesystem: Literal["ext4", "xfs", "btrfs"] = "ext4"
    size: Annotated[Bytes, between(1, 2**50)] = GIB


class MountsConfig(_Section):
    """Directories below which ebbd may mount: nothing outside is ever touched."""

    allowed_directories: Annotated[
        tuple[AbsolutePath, ...], Field(strict=False), AfterValidator(not_empty)
    ] = (
        "/var/lib/kubelet",
        "/run/ebb/mounts",
    )

    @model_validator(mode="after")
    def _not_everything(self) -> Self:
        if "/" in self.allowed_directories:
            raise refuse("`/` would allow every path; name the kubelet's directory")
        return self


class LvmConfig(_Section):
    """How LVM is run: a hard deadline for one command, and words to put before each.

    For a daemon in a container the prefix is `[nsenter, --target, "1", --mount, --ipc, --]`: LVM
    and udev wait for each other with semaphores of the machine's IPC namespace.
    """

    deadline_s: Annotated[float, Field(ge=1, le=3600, allow_inf_nan=False)] = 60.0
    prefix: Annotated[tuple[str, ...], Field(strict=False)] = ()


class LogConfig(_Section):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "console"] = "json"


class Config(_Section):
    """The whole file. `default_pool` None: the first pool."""

    node: NodeConfig
    api: ApiConfig = ApiConfig()
    run_directory: AbsolutePath = "/run/ebb"
    pools: Annotated[tuple[PoolConfig, ...], Field(strict=False), AfterValidator(not_empty)] = (
        PoolConfig(name="ebb/pool0", loop=LoopConfig(file="/var/lib/ebb/pool.img")),
    )
    default_pool: PoolName | None = None
    defaults: DefaultsConfig = DefaultsConfig()
    mounts: MountsConfig = MountsConfig()
    lvm: LvmConfig = LvmConfig()
    log: LogConfig = LogConfig()

    @classmethod
    def default(cls, hostname: str | None = None) -> Self:
        """What ebbd runs with when there is no file."""
        return cls(node=NodeConfig(id=hostname or socket.gethostname()))

    @model_validator(mode="after")
    def _pools_agree(self) -> Self:
        problems = disagreements(self)
        if problems:
            told = "\n".join(message for _, message in problems)
            raise PydanticCustomError("ebbd", "{told}", {"told": told, "problems": problems})
        return self


def disagreements(config: Config) -> list[tuple[Path, str]]:
    """What is wrong between values that are each right, with the path to blame."""
    problems: list[tuple[Path, str]] = []
    names = [pool.full_name for pool in config.pools]
    for number, pool in enumerate(config.pools):
        if pool.full_name in names[:number]:
            problems.append(
                (("pools", number), f"the pool {pool.full_name} is named twice; name each once")
            )
            continue
        problems += [
            (("pools", number), message)
            for other in config.pools[:number]
            if (message := _quarrel(pool, other))
        ]
    if config.default_pool is not None and config.default_pool not in names:
        known = ", ".join(names)
        problems.append(
            (("default_pool",), f"{config.default_pool} is not in `pools`; use one of {known}")
        )
    return problems


def _quarrel(pool: PoolConfig, other: PoolConfig) -> str:
    """Why two pools that ebbd makes cannot both be: a VG has one make-up, a device one VG."""
    if pool.existing or other.existing:
        return ""
    if pool.vg == other.vg:
        makeups = {(each.devices, each.loop, each.metadata_size) for each in (pool, other)}
        if len(makeups) > 1:
            return (
                f"{pool.name} and {other.name} share a VG; give both the same devices or loop, "
                "and the same metadata_size"
            )
        if pool.size is None or other.size is None:
            return f"{pool.name} and {other.name} share a VG; give each a size"
        return ""
    shared = set(pool.devices or ()) & set(other.devices or ())
    if pool.loop and other.loop and pool.loop.file == other.loop.file:
        shared.add(pool.loop.file)
    if shared:
        return (
            f"{', '.join(sorted(shared))} is given to {pool.vg} and to {other.vg}; "
            "a device belongs to one VG"
        )
    return ""
