"""The systemd units: systemd takes them, they are as tight as told, and ebb can live with them."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import ebbd.__main__ as ebbd_main
import pytest
from ebb_csi import __main__ as csi_main
from ebb_csi.app import endpoint_path
from ebbd.app import GRACE_S
from ebbd.config import Config
from ebbd.host.real.run import _DEATH_S
from unit.deploy.unit_files import ROOT, UNITS, UnitFile, parse_unit, read_unit

SERVICES = ("ebbd.service", "ebb-csi.service")
OPERATIONS = ROOT / "docs" / "operations.md"
# systemd.exec(5): each of these gives a service a mount namespace of its own.
OWN_MOUNT_NAMESPACE = frozenset(
    {
        *("PrivateTmp", "PrivateDevices", "PrivateMounts", "PrivateIPC", "PrivateNetwork"),
        *("PrivateUsers", "MountFlags", "MountAPIVFS", "DynamicUser", "LogNamespace"),
        *("ProtectSystem", "ProtectHome", "ProtectProc", "ProcSubset", "ProtectControlGroups"),
        *("ProtectKernelTunables", "ProtectKernelModules", "ProtectKernelLogs"),
        *("ReadOnlyPaths", "ReadWritePaths", "InaccessiblePaths", "ExecPaths", "NoExecPaths"),
        *("BindPaths", "BindReadOnlyPaths", "TemporaryFileSystem", "RootDirectory", "RootImage"),
        *("MountImages", "ExtensionImages", "ExtensionDirectories", "IPCNamespacePath"),
        *("NetworkNamespacePath", "LoadCredential", "LoadCredentialEncrypted"),
        *("SetCredential", "SetCredentialEncrypted"),
    }
)


def systemd(*argv: str) -> subprocess.CompletedProcess[str]:
    """A systemd tool, looking at files only; it needs no running systemd."""
    return subprocess.run(
        argv, capture_output=True, text=True, check=False, env=os.environ | {"LC_ALL": "C"}
    )


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A machine's file system with systemd's own units, and ebb installed as operations.md says."""
    units = tmp_path / "usr" / "lib" / "systemd" / "system"
    shutil.copytree("/usr/lib/systemd/system", units, symlinks=True)
    for unit in UNITS.iterdir():
        shutil.copy(unit, units)
    for kind in ("sysusers.d", "tmpfiles.d"):
        shutil.copytree(ROOT / "deploy" / "systemd" / kind, tmp_path / "usr" / "lib" / kind)
    programs = tmp_path / "opt" / "ebb" / "bin"
    programs.mkdir(parents=True)
    for program in ("ebbd", "ebb-csi"):
        (programs / program).touch(mode=0o755)
    (tmp_path / "etc").mkdir()
    return tmp_path


def verify(root: Path) -> str:
    """What systemd-analyze has to say; nothing when all is well."""
    done = systemd("systemd-analyze", "verify", "--man=no", f"--root={root}", *SERVICES)
    return done.stdout + done.stderr


def test_systemd_takes_the_units(installed: Path) -> None:
    assert verify(installed) == ""


@pytest.mark.parametrize(
    ("right", "wrong", "complaint"),
    [
        ("KillMode=process", "KillMode=proces", "kill mode"),
        ("/opt/ebb/bin/ebbd", "/opt/ebb/bin/ebdd", "not executable"),
        ("OOMPolicy=", "OOMPolitics=", "OOMPolitics"),
    ],
)
def test_systemd_would_not_take_a_wrong_unit(
    installed: Path, right: str, wrong: str, complaint: str
) -> None:
    unit = installed / "usr/lib/systemd/system/ebbd.service"
    text = unit.read_text()
    assert right in text
    unit.write_text(text.replace(right, wrong))
    assert complaint in verify(installed)


def told_exposure() -> dict[str, str]:
    """Unit → the exposure that docs/operations.md promises not to exceed."""
    text = OPERATIONS.read_text(encoding="utf-8")
    return dict(re.findall(r"^\| `(\S+\.service)` \| (\d+\.\d) \|", text, re.MULTILINE))


def security(unit: Path, at_most: str) -> subprocess.CompletedProcess[str]:
    threshold = at_most.replace(".", "")  # systemd-analyze counts in tenths here
    return systemd(
        *("systemd-analyze", "security", "--offline=true", "--no-pager"),
        *(f"--threshold={threshold}", str(unit)),
    )


@pytest.mark.parametrize("name", SERVICES)
def test_the_exposure_is_no_higher_than_told(name: str) -> None:
    done = security(UNITS / name, told_exposure()[name])
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", SERVICES)
def test_a_looser_unit_would_be_more_exposed_than_told(tmp_path: Path, name: str) -> None:
    loose = tmp_path / name
    text = (UNITS / name).read_text(encoding="utf-8")
    loose.write_text(re.sub(r"^(Capability|SystemCall|Restrict).*\n", "", text, flags=re.MULTILINE))
    assert security(loose, told_exposure()[name]).returncode != 0


def namespaced(unit: UnitFile) -> set[str]:
    return {name for name, value in unit.settings if value != "no"} & OWN_MOUNT_NAMESPACE


def test_ebbd_stays_in_the_mount_namespace_of_the_node() -> None:
    assert namespaced(read_unit("ebbd.service")) == set()
    assert namespaced(parse_unit("[Service]\nPrivateTmp=yes\n")) == {"PrivateTmp"}
    assert "PrivateTmp" in namespaced(read_unit("ebb-csi.service"))


def test_systemd_removes_no_directory_that_volumes_are_mounted_below() -> None:
    assert read_unit("ebbd.service").all_of("RuntimeDirectory") == ()
    mounted = Config.default("worker").mounts.allowed_directories
    own = read_unit("ebb-csi.service").one("RuntimeDirectory")
    assert not any(Path(folder).is_relative_to(f"/run/{own}") for folder in mounted)


def test_nothing_but_ebbd_itself_is_killed_and_that_late() -> None:
    unit = read_unit("ebbd.service")
    assert unit.one("KillMode") == "process"
    assert unit.one("OOMPolicy") == "continue"
    longest = Config.default("worker").lvm.deadline_s + GRACE_S + _DEATH_S
    assert unit.seconds("TimeoutStopSec") > longest


def test_systemd_is_told_when_ebbd_is_ready_and_waits_for_that() -> None:
    unit = read_unit("ebbd.service")
    assert unit.one("Type") == "notify"
    assert unit.seconds("TimeoutStartSec") > 2 * Config.default("worker").lvm.deadline_s


def test_the_plugin_gets_its_grace() -> None:
    unit = read_unit("ebb-csi.service")
    given = csi_main.parser().parse_args(unit.one("ExecStart").split()[1:])
    assert unit.seconds("TimeoutStopSec") > given.grace_s


def test_the_command_lines_are_taken_and_the_sockets_meet() -> None:
    program, *arguments = read_unit("ebbd.service").one("ExecStart").split()
    given = ebbd_main.arguments().parse_args(arguments)
    assert program == "/opt/ebb/bin/ebbd"
    assert not given.simulate
    socket = given.socket or Config.default("worker").api.socket

    unit = read_unit("ebb-csi.service")
    program, *arguments = unit.one("ExecStart").split()
    settings = csi_main.settings(csi_main.parser().parse_args(arguments))
    assert program == "/opt/ebb/bin/ebb-csi"
    assert isinstance(settings.ebbd, str)
    assert endpoint_path(settings.ebbd) == Path(socket)
    assert settings.endpoint.parent == Path("/run") / unit.one("RuntimeDirectory")


def test_the_plugin_is_without_privilege() -> None:
    unit = read_unit("ebb-csi.service")
    assert unit.one("User") == unit.one("Group") == Config.default("worker").api.group
    assert unit.words("CapabilityBoundingSet") == unit.words("AmbientCapabilities") == ()


def test_the_user_and_the_directories_come_to_be(installed: Path) -> None:
    config = Config.default("worker")
    sysusers = systemd("systemd-sysusers", f"--root={installed}", "ebb.conf")
    assert sysusers.returncode == 0, sysusers.stderr
    users = [line.split(":") for line in (installed / "etc/passwd").read_text().splitlines()]
    [user] = [user for user in users if user[0] == read_unit("ebb-csi.service").one("User")]
    assert user[-1].endswith("nologin")
    groups = (installed / "etc/group").read_text().splitlines()
    assert config.api.group in {line.split(":")[0] for line in groups}

    lines = (ROOT / "deploy/systemd/tmpfiles.d/ebb.conf").read_text().splitlines()
    entries = [line.split() for line in lines if not line.startswith("#")]
    # d without an age: made when absent, never emptied, never removed.
    assert {(kind, *age) for kind, _, _, _, _, *age in entries} == {("d", "-")}
    folders = {path: mode for _, path, mode, *_ in entries}
    assert folders[config.run_directory] == "0755"
    pool = config.pools[0].loop
    assert pool
    assert folders[str(Path(pool.file).parent)] == "0700"
