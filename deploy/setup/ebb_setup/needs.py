"""What each make target needs of the machine, and what to do about what is missing. Pure.

A need is met by a program on the PATH or by a file. Whether it is, whether apt can be used and as
whom is asked by the caller; here it becomes a plan: nothing to do, commands to run, or a message
that names everything missing at once and the command that gets it.
"""

import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Need:
    """`probe` is a program's name, or a file's path if it starts with '/'."""

    probe: str
    package: str
    purpose: str


VENV = (Need("python:ensurepip", "python3-venv", "the virtual environment of the project"),)
LAB = (
    Need("qemu-system-x86_64", "qemu-system-x86", "runs the lab"),
    Need("qemu-img", "qemu-utils", "keeps the lab's changes apart from the cached image"),
    Need("mmdebstrap", "mmdebstrap", "builds the lab's image"),
    Need(
        "/usr/share/keyrings/debian-archive-keyring.gpg",
        "debian-archive-keyring",
        "checks the packages that go into the image",
    ),
    Need("mke2fs", "e2fsprogs", "makes the lab's disks"),
    Need("modprobe", "kmod", "finds the modules for the lab's initramfs"),
    Need("cpio", "cpio", "packs the lab's initramfs"),
    Need("ssh", "openssh-client", "runs commands in the lab"),
    Need("ssh-keygen", "openssh-client", "makes the lab's keys"),
    Need("setpriv", "util-linux", "ends the lab together with what started it"),
    Need("tar", "tar", "copies files into and out of the lab"),
)
LAB_WITHOUT_ROOT = (
    Need("fakeroot", "fakeroot", "gives the image's files to root without being root"),
    Need("newuidmap", "uidmap", "lets mmdebstrap build without root"),
)
UNITS = (Need("systemd-analyze", "systemd", "checks the systemd units"),)
GROUPS = {"venv": VENV, "lab": LAB, "units": UNITS}


@dataclass(frozen=True, slots=True)
class Ready:
    """Nothing is missing."""


@dataclass(frozen=True, slots=True)
class Install:
    """Run these commands in order, then look again."""

    packages: tuple[str, ...]
    commands: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Refuse:
    """Nothing can be installed from here: tell the person."""

    message: str


Plan = Ready | Install | Refuse


def needs_of(groups: Iterable[str], *, as_root: bool) -> tuple[Need, ...]:
    wanted = [need for group in groups for need in GROUPS[group]]
    if "lab" in groups and not as_root:
        wanted += LAB_WITHOUT_ROOT
    return tuple(wanted)


def missing_of(needs: Iterable[Need], present: Callable[[str], bool]) -> tuple[Need, ...]:
    return tuple(need for need in needs if not present(need.probe))


def plan(missing: tuple[Need, ...], *, has_apt: bool, as_root: bool, has_sudo: bool) -> Plan:
    """What to do about what is missing.

    `has_sudo` means that sudo works without asking for a password: a build does not stop to ask.
    """
    if not missing:
        return Ready()
    packages = tuple(dict.fromkeys(need.package for need in missing))
    install = ("apt-get", "install", "-y", "--no-install-recommends", *packages)
    if has_apt and (as_root or has_sudo):
        prefix = () if as_root else ("sudo", "-n")
        return Install(packages, ((*prefix, "apt-get", "update"), (*prefix, *install)))
    return Refuse(message(missing, install, has_apt=has_apt))


def message(missing: tuple[Need, ...], install: tuple[str, ...], *, has_apt: bool) -> str:
    width = max(len(need.probe) for need in missing)
    lines = ["This machine lacks:"]
    lines += [f"  {need.probe:<{width}}  {need.purpose}" for need in missing]
    if has_apt:
        lines += ["Install it with:", f"  sudo {shlex.join(install)}", "then run make again."]
    else:
        names = " ".join(dict.fromkeys(need.package for need in missing))
        lines += [
            "There is no apt here. Install these programs with this system's own package manager;",
            f"Debian's packages for them are: {names}",
            "then run make again.",
        ]
    return "\n".join(lines)
