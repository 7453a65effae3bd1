"""The completion script, in a real bash."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from contract.cli.process import CalledEbb, environment
from contract.cli.scripted import Script
from ebb_cli.app import build
from ebb_pb import ebb_pb2 as pb
from typer.testing import CliRunner

BASH = shutil.which("bash") or "/bin/bash"
# What readline does with the script: set the words, call the function, read COMPREPLY.
ASK = """
source "$1"
COMP_WORDS=("${@:2}"); COMP_CWORD=$(($# - 2))
_ebb_completion ebb
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def scripted(script: Script) -> Script:
    script.say(
        "ListVolumes",
        pb.ListVolumesResponse(
            volumes=[pb.Volume(id=f"v-{name}", name=name) for name in ("db", "db-copy", "web")]
        ),
    )
    script.say(
        "ListSnapshots",
        pb.ListSnapshotsResponse(
            snapshots=[
                pb.Snapshot(id="s-1", name="before", volume_name="db", group_id="g-1"),
                pb.Snapshot(id="s-2", name="after", volume_name="db", group_id="g-1"),
            ]
        ),
    )
    script.say("ListPools", pb.ListPoolsResponse(pools=[pb.Pool(name="ebb/pool")]))
    return script


def complete(tmp_path: Path, socket: Path, *words: str) -> list[str]:
    """What bash offers for the last word."""
    program = tmp_path / "bin" / "ebb"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m ebb_cli "$@"\n')
    program.chmod(0o755)
    source = tmp_path / "completion.bash"
    source.write_text(CalledEbb(socket).ok("completion", "bash").out)
    env = environment(socket)
    done = subprocess.run(
        [BASH, "-c", ASK, "bash", str(source), *words],
        env={**env, "PATH": f"{program.parent}:{env['PATH']}"},
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    return done.stdout.split()


def offers(socket: Path, *words: str) -> list[str]:
    """What the script would get for the last word, without a process for it."""
    asked = {
        "EBB_SOCKET": str(socket),
        "_EBB_COMPLETE": "complete_bash",
        "COMP_WORDS": "\n".join(words),
        "COMP_CWORD": str(len(words) - 1),
    }
    return CliRunner().invoke(build(), prog_name="ebb", env=asked).stdout.split()


def test_bash_offers_what_fits(scripted: Script, tmp_path: Path) -> None:
    assert complete(tmp_path, scripted.socket, "ebb", "volume", "show", "d") == ["db", "db-copy"]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("ebb", "vol"), ["volume"]),
        (("ebb", "volume", "gr"), ["grow"]),
        (("ebb", "volume", "show", "d"), ["db", "db-copy"]),
        (("ebb", "volume", "delete", "db", "w"), ["web"]),
        (("ebb", "snapshot", "restore", ""), ["before", "after"]),
        (("ebb", "snapshot", "create", "we"), ["web"]),
        (("ebb", "group", "show", ""), ["g-1"]),
        (("ebb", "pool", "show", ""), ["ebb/pool"]),
        (("ebb", "volume", "list", "--output", "j"), ["json"]),
    ],
)
def test_tab_offers_what_fits(scripted: Script, words: tuple[str, ...], offered: list[str]) -> None:
    assert offers(scripted.socket, *words) == offered


@pytest.mark.parametrize("before", [True, False])
def test_tab_asks_the_daemon_that_the_line_names(
    scripted: Script, tmp_path: Path, *, before: bool
) -> None:
    named = ("--socket", str(scripted.socket))
    words = ("ebb", *(named if before else ()), "volume", "show", *(() if before else named), "w")
    assert offers(tmp_path / "none", *words) == ["web"]


def test_without_a_daemon_tab_is_silent(tmp_path: Path) -> None:
    assert complete(tmp_path, tmp_path / "none", "ebb", "volume", "show", "d") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_a_script_for_each_shell(shell: str, tmp_path: Path) -> None:
    assert f"_EBB_COMPLETE=complete_{shell}" in CalledEbb(tmp_path).ok("completion", shell).out
