"""What this machine can and cannot do for ebb, and the remedy: facts in, checks out, all pure.

`ebb doctor` prints the checks.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ebbd.host.values import ToolVersion
from ebbd.inspect.checks import Check, Status
from ebbd.inspect.pool_checks import PoolFacts, Thresholds, check_pool
from ebbd.volumes.orphans import Orphan


@dataclass(frozen=True, slots=True)
class VolumeProblem:
    """A volume that is not as it should be: what is wrong and what to do."""

    name: str
    problem: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Machine:
    """All that is known: the three answers of `ebbd.host.protocols.Probe`, the pools, the volumes.

    `volumes` is how many there are, `problems` those among them that have one. `missing` are VGs
    that are configured and not served: the reason and the remedy. `unlisted` says of a pool why its
    thin devices could not be looked at.
    """

    kernel: Mapping[str, str]
    cgroup: Mapping[str, str]
    tools: Sequence[ToolVersion]
    pools: Sequence[PoolFacts]
    volumes: int
    problems: Sequence[VolumeProblem] = ()
    missing: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    orphans: Sequence[Orphan] = ()
    unlisted: Mapping[str, str] = field(default_factory=dict)
    simulated: bool = False


TESTED_KERNEL = (6, 1)
# `vgcreate --setautoactivation` came with it; older ones bring every generation up at boot.
LVM_WITH_AUTOACTIVATION = (2, 3, 12)
FILESYSTEMS = ("ext4", "xfs", "btrfs")
DEFAULT_FILESYSTEM = "ext4"
REQUIRED_TOOLS = frozenset({"lvm", "mount", "blkid", "mkfs.ext4"})
_ABSENT = frozenset({"", "no"})


def diagnose(machine: Machine, thresholds: Thresholds | None = None) -> tuple[Check, ...]:
    """Every check, from the ground up: node, kernel, cgroups, tools, pools, volumes, orphans."""
    fill = thresholds or Thresholds()
    checks = [*check_kernel(machine.kernel), *check_cgroup(machine.cgroup)]
    checks += check_tools(machine.tools)
    for pool in machine.pools:
        checks += check_pool(pool, fill)
    for vg, (detail, remedy) in machine.missing.items():
        checks.append(Check("pool", f"{vg} volume group", Status.FAILED, detail, remedy))
    if not machine.pools and not machine.missing:
        remedy = "name one under `pools` in ebbd's configuration"
        checks.append(Check("pool", "any pool", Status.FAILED, "there is none", remedy))
    checks += check_volumes(machine.volumes, machine.problems)
    checks += check_orphans(machine.orphans, machine.unlisted)
    if machine.simulated:
        remedy = "start ebbd without --simulate to use this machine's own disks"
        detail = "everything here is in memory; what follows is said of the simulation"
        checks.insert(0, Check("node", "simulation", Status.WARNING, detail, remedy))
    return tuple(checks)


def check_kernel(kernel: Mapping[str, str]) -> Iterator[Check]:
    """Release, thin provisioning targets, filesystems."""
    release = kernel.get("release", "")
    version = _numbers(release)[:2]
    if version and version < TESTED_KERNEL:
        detail = f"{release} is older than {'.'.join(map(str, TESTED_KERNEL))}, the oldest tested"
        yield Check("kernel", "release", Status.WARNING, detail, "run a newer kernel")
    else:
        yield Check("kernel", "release", Status.OK, release or "unknown")
    for target in ("thin-pool", "thin"):
        name, found = f"target {target}", kernel.get(f"dm {target}", "")
        if found in _ABSENT:
            remedy = (
                "load it with `modprobe dm_thin_pool`; without it, install a kernel that has it"
            )
            yield Check("kernel", name, Status.FAILED, "device-mapper lacks it", remedy)
        else:
            yield Check("kernel", name, Status.OK, found)
    supported = kernel.get("filesystems", "").split()
    for filesystem in FILESYSTEMS:
        name = f"filesystem {filesystem}"
        if filesystem in supported:
            yield Check("kernel", name, Status.OK, "can be mounted")
        else:
            status = Status.FAILED if filesystem == DEFAULT_FILESYSTEM else Status.WARNING
            detail = f"volumes with {filesystem} cannot be mounted"
            remedy = f"load it with `modprobe {filesystem}`, or use another filesystem"
            yield Check("kernel", name, status, detail, remedy)


def check_cgroup(cgroup: Mapping[str, str]) -> Iterator[Check]:
    """The cgroup v2 mount, its io controller, io.max: volumes do without, limits on them do not."""
    mount = cgroup.get("mount", "")
    if mount in _ABSENT:
        remedy = "boot with systemd.unified_cgroup_hierarchy=1 (the default of current systems)"
        detail = "not mounted: IO cannot be limited, consumers cannot be frozen"
        yield Check("cgroup", "cgroup v2", Status.WARNING, detail, remedy)
        return
    yield Check("cgroup", "cgroup v2", Status.OK, mount)
    controllers = cgroup.get("controllers", "")
    if "io" in controllers.split():
        yield Check("cgroup", "io controller", Status.OK, "available")
    else:
        remedy = "use a kernel with CONFIG_BLK_CGROUP, and no cgroup_disable=io on its command line"
        detail = f"not among the controllers ({controllers or 'none'}): IO cannot be limited"
        yield Check("cgroup", "io controller", Status.WARNING, detail, remedy)
        return
    if cgroup.get("io.max", "") in _ABSENT:
        remedy = "use a kernel with CONFIG_BLK_DEV_THROTTLING; put +io into cgroup.subtree_control"
        detail = "not there: volumes' IO cannot be limited"
        yield Check("cgroup", "io.max", Status.WARNING, detail, remedy)
    else:
        yield Check("cgroup", "io.max", Status.OK, "available")


def check_tools(tools: Sequence[ToolVersion]) -> Iterator[Check]:
    """Every program that ebbd starts, and whether LVM is recent enough."""
    for tool in tools:
        if tool.path is None:
            status = Status.FAILED if tool.name in REQUIRED_TOOLS else Status.WARNING
            remedy = f"install {tool.package or tool.name} (`apt-get install {tool.package}`)"
            if not tool.package:
                remedy = f"install the package that has {tool.name}"
            yield Check("tools", tool.name, status, "not found", remedy)
        else:
            detail = f"{tool.path} {tool.version}".strip()
            yield Check("tools", tool.name, Status.OK, detail)
    lvm = next((tool for tool in tools if tool.name == "lvm" and tool.path), None)
    version = _numbers(lvm.version)[:3] if lvm else ()
    if version and version < LVM_WITH_AUTOACTIVATION:
        yield Check(
            "lvm",
            "version",
            Status.WARNING,
            f"{lvm.version if lvm else ''} cannot switch autoactivation off: every generation of "
            "every volume comes up at boot",
            "use LVM 2.03.12 or newer",
        )


def check_volumes(count: int, problems: Sequence[VolumeProblem]) -> Iterator[Check]:
    """The volumes that are not as they should be, else one line that says so."""
    for problem in problems:
        yield Check("volumes", problem.name, Status.FAILED, problem.problem, problem.remedy)
    if not problems:
        detail = f"{count} volume{'' if count == 1 else 's'}, none with a problem"
        yield Check("volumes", "condition", Status.OK, detail)


def check_orphans(orphans: Sequence[Orphan], unlisted: Mapping[str, str]) -> Iterator[Check]:
    """What is ebb's and belongs to nothing, else one line that says so."""
    for orphan in orphans:
        status = Status.FAILED if orphan.broken else Status.WARNING
        removal = "`ebb gc` shows it, `ebb gc --remove` removes it"
        remedy = removal if orphan.action else orphan.remedy
        yield Check("orphans", orphan.subject, status, orphan.reason, remedy)
    for pool, why in sorted(unlisted.items()):
        detail, _, remedy = why.partition("; ")
        yield Check(
            "orphans",
            f"{pool} thin devices",
            Status.WARNING,
            f"not looked at: {detail}",
            remedy or "see the checks of the pool",
        )
    if not orphans and not unlisted:
        yield Check("orphans", "any", Status.OK, "none")


def _numbers(version: str) -> tuple[int, ...]:
    """The leading dotted numbers: `2.03.16(2)` is (2, 3, 16); none in `simulated`."""
    leading = re.match(r"[0-9]+(?:\.[0-9]+)*", version)
    return tuple(map(int, leading.group().split("."))) if leading else ()
