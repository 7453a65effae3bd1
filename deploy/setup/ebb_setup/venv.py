"""The project's virtual environment: made once, made current when pyproject.toml asks for it."""

import fcntl
import hashlib
import json
import os
import sys
import tomllib
from pathlib import Path
from typing import Any

from ebb_setup.machine import ensure, run, say

_MARK = ".ebb-setup"


def install_key(pyproject: dict[str, Any], python: str) -> str:
    """Hash of what an editable install depends on; sources do not, they are read in place."""
    deciding = {
        "python": python,
        "build": pyproject.get("build-system"),
        "project": pyproject["project"],
        "groups": pyproject.get("dependency-groups"),
        "hatch": pyproject.get("tool", {}).get("hatch"),
    }
    return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()[:16]


def make_venv(project: Path) -> None:
    """Leaves `project`/.venv with the project (editable) and its development tools in it."""
    venv = project / ".venv"
    mark = venv / _MARK
    pyproject = tomllib.loads((project / "pyproject.toml").read_text())
    key = install_key(pyproject, sys.version)
    if _is_current(mark, key):
        return
    build = project / "build"
    build.mkdir(exist_ok=True)
    with (build / "setup.lock").open("wb") as lock:  # two makes at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _is_current(mark, key):
            return
        ensure(["venv"])
        python = venv / "bin" / "python"
        if not python.exists() or not _same_python(venv):
            say("making .venv")
            run([sys.executable, "-m", "venv", "--clear", venv])
        say("installing the project and its tools into .venv")
        pip: list[str | Path] = [
            python,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ]
        run([*pip, "--upgrade", "pip"])  # 25.1 is the first that knows --group
        run([*pip, "--editable", project, "--group", f"{project / 'pyproject.toml'}:dev"])
        mark.write_text(key)


def _is_current(mark: Path, key: str) -> bool:
    try:
        return mark.read_text() == key
    except FileNotFoundError:
        return False


def _same_python(venv: Path) -> bool:
    """Whether .venv was made from this very interpreter's version, and that one is still there."""
    settings = (venv / "pyvenv.cfg").read_text()
    version = f"version = {'.'.join(str(part) for part in sys.version_info[:3])}"
    return version in settings and os.access(venv / "bin" / "python", os.X_OK)
