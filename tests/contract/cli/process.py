"""The real `ebb`, run as a process or called."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ebb_cli.app import build
from typer.testing import CliRunner

EBB = (sys.executable, "-m", "ebb_cli")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command left: exit code and both streams."""

    exit_code: int
    out: str
    err: str

    @property
    def document(self) -> Any:  # noqa: ANN401 - JSON
        return json.loads(self.out)


class Ebb:
    """Runs `ebb`; never a terminal, never anything on stdin."""

    def __call__(self, *arguments: str) -> Outcome:
        raise NotImplementedError

    def ok(self, *arguments: str) -> Outcome:
        """A command that has to succeed without a word on stderr."""
        outcome = self(*arguments)
        assert (outcome.exit_code, outcome.err) == (0, ""), outcome
        return outcome

    def json(self, *arguments: str) -> Any:  # noqa: ANN401 - JSON
        return self.ok(*arguments, "--output", "json").document


class ProcessEbb(Ebb):
    """As a user runs it."""

    def __init__(self, socket: Path) -> None:
        self.environment = environment(socket)

    def __call__(self, *arguments: str) -> Outcome:
        done = subprocess.run(  # noqa: PLW1510 - the exit code is what is tested
            [*EBB, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=self.environment,
            timeout=60,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)


class CalledEbb(Ebb):
    """The same command tree called in this process: half a second less for each command."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.tree = build()

    def __call__(self, *arguments: str) -> Outcome:
        environment = {"EBB_SOCKET": str(self.socket)}
        done = CliRunner().invoke(
            self.tree, arguments, prog_name="ebb", env=environment, catch_exceptions=False
        )
        return Outcome(done.exit_code, done.stdout, done.stderr)


def environment(socket: Path) -> dict[str, str]:
    return {**os.environ, "EBB_SOCKET": str(socket), "TERM": "xterm", "COLUMNS": "200"}
