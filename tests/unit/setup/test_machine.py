import sys
from pathlib import Path

import pytest
from ebb_setup import machine


def test_programs_files_and_modules_are_found(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.touch()
    assert machine.present("sh")
    assert machine.present(str(there))
    assert machine.present("python:json")
    assert not machine.present("no-such-program")
    assert not machine.present(str(tmp_path / "not-there"))
    assert not machine.present("python:no_such_module")


def test_a_command_that_fails_shows_the_end_of_what_it_said() -> None:
    script = "import sys; print('first'); print('E: Unable to locate package'); sys.exit(100)"
    with pytest.raises(machine.SetupError, match=r"(?s)exit code 100:.*Unable to locate package"):
        machine.run([sys.executable, "-c", script])


def test_nothing_missing_starts_no_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        pytest.fail("nothing was to be installed")

    monkeypatch.setattr(machine, "present", lambda _: True)
    monkeypatch.setattr(machine, "_install", refuse)
    machine.ensure(["venv", "lab"])


def test_what_cannot_be_installed_is_an_error_with_the_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machine, "present", lambda _: False)
    with pytest.raises(machine.SetupError, match=r"(?s)This machine lacks:.*qemu-system-x86_64"):
        machine.ensure(["lab"])
