"""Builds the Go programs of this folder's modules, once per pin, into the user's cache.

The cache key is the content of the module's go.mod, go.sum and Go sources, so a changed pin builds
anew and nothing else does. Go's own build cache and module cache are used as they are.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
BUILD_TIMEOUT_S = 900


@dataclass(frozen=True, slots=True)
class Tool:
    """A program: the folder of the module that pins it, and the package to build there."""

    name: str
    module: Path
    package: str
    go_version: str


SANITY = Tool(
    "csi-sanity", FOLDER, "github.com/kubernetes-csi/csi-test/v5/cmd/csi-sanity", go_version="1.25"
)
DESCRIPTOR = Tool("descriptor", FOLDER / "descriptor", ".", go_version="1.23")
KUSTOMIZE = Tool(
    "kustomize", FOLDER / "kustomize", "sigs.k8s.io/kustomize/kustomize/v5", go_version="1.25"
)


class GoToolError(Exception):
    """Go is not installed, or could not build; the message says what to do."""


def build(tool: Tool) -> Path:
    """The program's file, built without cgo if it is not in the cache; raises GoToolError."""
    program = cache_folder() / pin_key(tool) / tool.name
    if program.exists():
        return program
    program.parent.mkdir(parents=True, exist_ok=True)
    with (program.parent / "lock").open("w") as lock:  # tests on every core want it at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            _build(tool, program)
    return program


def _build(tool: Tool, program: Path) -> None:
    go = _go(tool)
    print(f"building {tool.name} (once per pin; a minute or two)", file=sys.stderr, flush=True)
    unfinished = program.with_name(f"{tool.name}.{os.getpid()}")
    built = subprocess.run(
        [go, "build", "-trimpath", "-o", str(unfinished), tool.package],
        cwd=tool.module,
        env=os.environ | {"CGO_ENABLED": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=BUILD_TIMEOUT_S,
        check=False,
    )
    if built.returncode != 0:
        raise GoToolError(
            f"`go build {tool.package}` in {tool.module} ended with {built.returncode}:\n"
            f"{built.stdout}\nit needs Go {tool.go_version} or newer and, the first time, the Go "
            "module proxy"
        )
    unfinished.replace(program)


def dependency(tool: Tool, module: str) -> Path:
    """The files of a module that the tool's go.mod pins, in Go's own cache; raises GoToolError."""
    told = subprocess.run(
        [_go(tool), "mod", "download", "-json", module],
        cwd=tool.module,
        capture_output=True,
        text=True,
        timeout=BUILD_TIMEOUT_S,
        check=False,
    )
    if told.returncode != 0:
        raise GoToolError(
            f"`go mod download {module}` in {tool.module} ended with {told.returncode}:\n"
            f"{told.stdout}{told.stderr}\nit needs, the first time, the Go module proxy"
        )
    return Path(json.loads(told.stdout)["Dir"])


def _go(tool: Tool) -> str:
    go = shutil.which("go")
    if go is None:
        raise GoToolError(
            f"Go is not installed, so {tool.name} cannot be built; install Go {tool.go_version} or "
            "newer (apt install golang-go, or https://go.dev/dl/) and run this again"
        )
    return go


def cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "ebb" / "conformance"


def pin_key(tool: Tool) -> str:
    digest = hashlib.sha256()
    for name in ("go.mod", "go.sum", "main.go"):
        file = tool.module / name
        if file.exists():
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
