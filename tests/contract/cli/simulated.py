"""The real `ebbd --simulate`, run as a process below one directory."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CONFIG = """
node: {{id: node-1, max_volumes: 8}}
run_directory: {run}
pools:
  - name: ebb/fast
    loop: {{file: {run}/fast.img, size: 4Gi}}
    overcommit_ratio: 1.5
  - name: ebb2/slow
    loop: {{file: {run}/slow.img, size: 2Gi}}
mounts: {{allowed_directories: ["{run}/mounts"]}}
"""


@dataclass(frozen=True, slots=True)
class Simulated:
    """A daemon that answers; mounts are allowed below `mounts`."""

    socket: Path
    mounts: Path


@contextmanager
def simulated(directory: Path) -> Iterator[Simulated]:
    """Runs while this is open; ends it as an operator does and wants exit code 0."""
    config = directory / "ebbd.yaml"
    config.write_text(CONFIG.format(run=directory))
    socket = directory / "ebbd.sock"
    command = ["-m", "ebbd", "--simulate", "--config", str(config), "--socket", str(socket)]
    with subprocess.Popen([sys.executable, *command], stderr=subprocess.PIPE, text=True) as process:
        try:
            _until_ready(process)
            yield Simulated(socket, directory / "mounts")
        finally:
            process.terminate()
            _, rest = process.communicate(timeout=30)
    assert process.returncode == 0, rest


def _until_ready(process: "subprocess.Popen[str]") -> None:
    """ebbd's log says when it answers; its end without that is the test's."""
    said = []
    for line in process.stderr or ():
        said.append(line)
        if json.loads(line)["event"] == "ready":
            return
    raise AssertionError(f"ebbd never became ready: {said}")
