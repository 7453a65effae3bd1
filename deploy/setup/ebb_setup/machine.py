"""Asks this machine, and installs with its package manager.

The only module here that starts programs.
"""

import importlib.util
import os
import shutil
import subprocess  # noqa: TID251 - this runs before anything of ebb's exists on the machine
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from ebb_setup import needs

_PYTHON_MODULE = "python:"


class SetupError(RuntimeError):
    """The message says what is missing and how to get it."""


def say(text: str) -> None:
    sys.stderr.write(f"setup: {text}\n")
    sys.stderr.flush()


def present(probe: str) -> bool:
    """Whether a program, a file ('/...') or a module of this Python ('python:...') is there."""
    if probe.startswith("/"):
        return Path(probe).exists()
    if probe.startswith(_PYTHON_MODULE):
        return importlib.util.find_spec(probe.removeprefix(_PYTHON_MODULE)) is not None
    return shutil.which(probe, path=search_path()) is not None


def search_path() -> str:
    """The PATH, and the folders of the system's tools that are not on every user's PATH."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


def run(argv: Sequence[str | Path], *, env: dict[str, str] | None = None) -> None:
    """Runs quietly; SetupError with the end of what it said if it fails."""
    command = [str(word) for word in argv]
    done = subprocess.run(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode != 0:
        end = "\n".join(done.stdout.splitlines()[-30:])
        raise SetupError(f"{' '.join(command)}\nended with exit code {done.returncode}:\n{end}")


def output(argv: Sequence[str | Path]) -> str:
    """Standard output; empty if the program fails."""
    done = subprocess.run([str(w) for w in argv], capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else ""


def ensure(groups: Iterable[str]) -> None:
    """Installs what these groups of needs lack, or raises SetupError with what is missing."""
    as_root = os.geteuid() == 0
    wanted = needs.needs_of(tuple(groups), as_root=as_root)
    match _plan(wanted, as_root=as_root):
        case needs.Ready():
            return
        case needs.Refuse(message):
            raise SetupError(message)
        case needs.Install(packages, commands):
            say(f"installing {' '.join(packages)}")
            _install(commands)
    left = needs.missing_of(wanted, present)
    if left:
        names = ", ".join(f"{need.probe} (package {need.package})" for need in left)
        raise SetupError(f"apt-get reported success, yet these are still missing: {names}")


def _plan(wanted: tuple[needs.Need, ...], *, as_root: bool) -> needs.Plan:
    return needs.plan(
        needs.missing_of(wanted, present),
        has_apt=present("apt-get"),
        as_root=as_root,
        has_sudo=not as_root and present("sudo") and _sudo_is_free(),
    )


def _sudo_is_free() -> bool:
    sudo = shutil.which("sudo") or "sudo"
    return subprocess.run([sudo, "-n", "true"], capture_output=True, check=False).returncode == 0


def _install(commands: tuple[tuple[str, ...], ...]) -> None:
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    *refresh, install = commands
    for command in refresh:
        try:
            run(command, env=env)
        except SetupError as failure:
            # One unreachable extra repository fails the whole update; the install decides.
            say(f"{failure}\nsetup: going on with the package lists there are")
    run(install, env=env)
