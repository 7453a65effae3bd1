"""The text that the guest's shell is given, run by this machine's own shell."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from ebb_lab.guest import command_text, termination_text
from hypothesis import given, settings
from hypothesis import strategies as st

SHELLS = ("/bin/sh", "/bin/bash")
PRINT = "import os, sys; sys.stdout.write(repr((sys.argv[1:], os.environ.get('V'), os.getcwd())))"


def _sh(text: str, shell: str = "/bin/sh") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [shell, "-c", text], capture_output=True, text=True, check=False, timeout=20
    )


@settings(max_examples=20, deadline=None)
@given(
    words=st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=9), max_size=3
    ),
    value=st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=9),
)
def test_words_and_environment_arrive_as_they_are(words: list[str], value: str) -> None:
    text = command_text([sys.executable, "-Xutf8", "-c", PRINT, *words], env={"V": value}, cwd="/")
    assert _sh(text).stdout == repr((words, value, "/"))


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("code", [0, 1, 255])
def test_the_exit_code_is_the_commands(shell: str, code: int) -> None:
    assert _sh(command_text(["sh", "-c", f"exit {code}"], cwd="/"), shell).returncode == code


@pytest.mark.parametrize("shell", SHELLS)
def test_a_command_ended_by_a_signal_has_an_exit_code(shell: str) -> None:
    done = _sh(command_text(["sh", "-c", "kill -KILL $$"], cwd="/"), shell)
    assert done.returncode == 128 + signal.SIGKILL


def test_a_folder_that_is_not_there_runs_nothing() -> None:
    done = _sh(command_text(["echo", "ran"], cwd="/does/not/exist"))
    assert done.returncode != 0
    assert done.stdout == ""


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("script", "number"),
    [
        ("echo started; exec sleep 60", signal.SIGTERM),
        ("trap '' TERM; echo started; while :; do sleep 60; done", signal.SIGKILL),
    ],
)
def test_the_noted_group_is_ended_even_if_it_will_not(
    shell: str, script: str, number: int, tmp_path: Path
) -> None:
    note = str(tmp_path / "note")
    text = command_text(["sh", "-c", script], cwd="/", note=note)
    with subprocess.Popen(
        [shell, "-c", text], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "started\n"
        assert _sh(termination_text(note), shell).returncode == 0
        # SIGKILL takes the noting shell along; SIGTERM leaves it to tell the exit code.
        ended = 128 + number if number == signal.SIGTERM else -number
        assert child.wait(timeout=20) == ended
