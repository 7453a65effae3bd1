"""The Probe protocol: what this machine has. Read-only."""

import os
import re
from pathlib import Path

from ebbd.errors import EbbError
from ebbd.host.real import mountinfo
from ebbd.host.real.dm import RealDeviceMapper
from ebbd.host.real.machine_root import MachineRoot
from ebbd.host.real.offload import offload
from ebbd.host.real.programs import PROGRAMS
from ebbd.host.real.run import Runner
from ebbd.host.values import ToolVersion

_VERSION = re.compile(r"\d+\.\d+[^\s,;]*")
# One program of each package tells the package's version, in whatever way it does.
_TELLS = {
    "lvm2": ("lvm", "version"),
    "thin-provisioning-tools": ("thin_check", "--version"),
    "mount": ("mount", "--version"),
    "util-linux": ("blkid", "--version"),
    "e2fsprogs": ("mkfs.ext4", "-V"),
    "xfsprogs": ("mkfs.xfs", "-V"),
    "btrfs-progs": ("mkfs.btrfs", "--version"),
}
_FILESYSTEMS = ("btrfs", "ext4", "xfs")
_TARGETS = ("thin", "thin-pool")
_THIN_MODULE = "dm-thin-pool"


class RealProbe:
    """`dm_control` is device-mapper's control node."""

    def __init__(
        self, runner: Runner, root: MachineRoot, dm: RealDeviceMapper, dm_control: Path
    ) -> None:
        self._runner = runner
        self._root = root
        self._dm = dm
        self._dm_control = dm_control

    async def tools(self) -> tuple[ToolVersion, ...]:
        versions = {package: await self._version(package) for package in _TELLS}
        return tuple(
            ToolVersion(
                program.name,
                self._runner.found(program.name),
                versions[program.package] if self._runner.found(program.name) else "",
                program.package,
            )
            for program in PROGRAMS
        )

    async def kernel(self) -> dict[str, str]:
        facts = {"release": os.uname().release}
        modules = await offload("kernel modules", self._modules, facts["release"])
        loaded: dict[str, str] = {}
        if self._dm_control.exists():
            loaded = await self._dm.versions()
            facts["dm driver"] = loaded["driver"]
        for target in _TARGETS:
            if target in loaded:
                facts[f"dm {target}"] = loaded[target]
            elif _THIN_MODULE in modules:
                facts[f"dm {target}"] = "module"
        known = await offload("filesystems", (self._root.proc / "filesystems").read_text, "ascii")
        able = {line.split()[-1] for line in known.splitlines()} | modules
        facts["filesystems"] = " ".join(kind for kind in _FILESYSTEMS if kind in able)
        return facts

    async def cgroup(self) -> dict[str, str]:
        return await offload("cgroups", self._cgroup)

    async def _version(self, package: str) -> str:
        program, argument = _TELLS[package]
        if self._runner.found(program) is None:
            return ""
        try:
            done = await self._runner.run(program, argument, mutates=False, accepted=range(256))
        except EbbError as error:
            return f"does not run: {error.message}"
        found = _VERSION.search(done.stdout + done.stderr)
        return found[0].rstrip(".") if found else "unknown"

    def _modules(self, release: str) -> set[str]:
        """Names of the modules that modprobe could load or that are built in."""
        names: set[str] = set()
        for listing in ("modules.dep", "modules.builtin"):
            path = self._root.path(f"/lib/modules/{release}/{listing}")
            if path.exists():
                files = (line.split(":")[0] for line in path.read_text("utf-8").splitlines())
                names |= {file.rsplit("/", 1)[-1].split(".ko")[0] for file in files}
        return names

    def _cgroup(self) -> dict[str, str]:
        mount = cgroup_mount(self._root)
        if mount is None:
            return {"mount": ""}
        controllers = (mount / "cgroup.controllers").read_text("ascii").split()
        subtree = (mount / "cgroup.subtree_control").read_text("ascii").split()
        # The root itself has no io.max; whoever the controller is enabled for has.
        has_limit = "io" in controllers and any(mount.glob("*/io.max"))
        return {
            "mount": str(mount),
            "controllers": " ".join(controllers),
            "subtree": " ".join(subtree),
            "io.max": "yes" if has_limit else "no",
        }


def cgroup_mount(root: MachineRoot) -> Path | None:
    """Where cgroup v2 is mounted, as this process reaches it."""
    table = mountinfo.parse(root.mount_table.read_text("utf-8", "surrogateescape"))
    for mount in table:
        if mount.filesystem == "cgroup2":
            return root.path(mount.target)
    return None
