"""Put the real host together."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ebbd.host.protocols import Host
from ebbd.host.real.blockdev import RealBlockdev
from ebbd.host.real.claims import MARK, Claims
from ebbd.host.real.dm import RealDeviceMapper
from ebbd.host.real.filesystem import RealFilesystems
from ebbd.host.real.freezer import RealCgroups
from ebbd.host.real.lvm import RealLvm
from ebbd.host.real.lvm_commands import LvmCommands
from ebbd.host.real.machine_root import MachineRoot
from ebbd.host.real.mounts import RealMounts
from ebbd.host.real.probe import RealProbe, cgroup_mount
from ebbd.host.real.programs import PROGRAMS, locate
from ebbd.host.real.run import Runner
from ebbd.host.real.thin_metadata import RealThinMetadata

_DM_CONTROL = Path("/dev/mapper/control")
_DEFAULT_CGROUPS = "/sys/fs/cgroup"
_MAKE_DEADLINES = 10  # mkfs, growth and trim may write for long: their deadline is so much later


def make_host(
    *,
    run_directory: str,
    prefix: Sequence[str] = (),
    deadline_s: float,
    devices: Mapping[str, Sequence[str]] | None = None,
) -> Host:
    """The machine this process runs on, or the one that `prefix` leads to.

    `run_directory` (a path of the machine; made if absent) takes LVM's configuration.
    A prefix is taken to enter the mount namespace of process 1. `devices` are the PVs of VGs that
    are known beforehand; others are asked for once. Raises Unavailable naming missing programs.
    """
    root = _root(bool(prefix))
    runner = Runner(
        locate(PROGRAMS, root.filesystem),
        prefix=tuple(prefix),
        timeout_s=deadline_s,
        environment={MARK: run_directory},
    )
    filesystems = RealFilesystems(runner, root, make_timeout_s=deadline_s * _MAKE_DEADLINES)
    folder = f"{run_directory}/lvm"
    commands = LvmCommands(runner, folder, visible_folder=root.path(folder), timeout_s=deadline_s)
    claims = Claims(root, run_directory, timeout_s=deadline_s)
    dm = RealDeviceMapper(str(_DM_CONTROL))
    cgroups = cgroup_mount(root) or root.path(_DEFAULT_CGROUPS)
    return Host(
        lvm=RealLvm(commands, filesystems.signature, devices or {}, claims),
        dm=dm,
        thin=RealThinMetadata(runner, dm),
        filesystems=filesystems,
        mounts=RealMounts(runner, root),
        cgroups=RealCgroups(runner, root, cgroups),
        blockdev=RealBlockdev(runner, root),
        probe=RealProbe(runner, root, dm, _DM_CONTROL),
        simulated=False,
    )


def _root(prefixed: bool) -> MachineRoot:
    if not prefixed:
        return MachineRoot()
    return MachineRoot(
        filesystem=Path("/proc/1/root"),
        mount_table=Path("/proc/1/mountinfo"),
        mount_namespace=Path("/proc/1/ns/mnt"),
    )
