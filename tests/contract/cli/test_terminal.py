"""`ebb` with somebody in front of it: progress, questions, Ctrl-C."""

import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from contract.cli.process import EBB, environment
from contract.cli.scripted import Script
from ebb_pb import ebb_pb2 as pb

VOLUME = pb.Volume(id="v-1", name="db", pool="ebb/pool", size_bytes=2**30, filesystem="ext4")
CREATED = pb.CreateVolumeResponse(volume=VOLUME, created=True)


@dataclass
class Terminal:
    """A running `ebb` whose stdin and stderr are a terminal, and what it showed there so far."""

    process: "subprocess.Popen[str]"
    master: int
    shown: str = field(default="")

    def read_until(self, text: str) -> None:
        """Wait for a text; the end of the output without it fails the test."""
        while text not in self.shown:
            more = self._read()
            assert more, f"{text!r} never came: {self.shown!r}"

    def read_all(self) -> str:
        while self._read():
            pass
        return self.shown

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def _read(self) -> str:
        try:
            more = os.read(self.master, 4096).decode()
        except OSError:  # EIO: the other side of a pty was closed
            return ""
        self.shown += more
        return more


@contextmanager
def terminal(script: Script, *arguments: str) -> Iterator[Terminal]:
    master, slave = pty.openpty()
    with subprocess.Popen(
        # What runs in the background of a shell inherits that SIGINT is ignored; on a terminal
        # nothing does.
        ["/usr/bin/env", "--default-signal=INT", *EBB, *arguments],
        stdin=slave,
        stdout=subprocess.PIPE,
        stderr=slave,
        text=True,
        env=environment(script.socket),
    ) as process:
        os.close(slave)
        try:
            yield Terminal(process, master)
        finally:
            process.kill()
            os.close(master)


def test_something_quick_shows_no_progress(script: Script) -> None:
    script.say("CreateVolume", CREATED)
    with terminal(script, "volume", "create", "db") as it:
        assert it.read_all() == ""
        assert it.process.communicate()[0].startswith("Created volume db")


def test_something_slow_shows_what_goes_on_and_for_how_long(script: Script) -> None:
    held = script.hold("CreateVolume", CREATED)
    with terminal(script, "volume", "create", "db") as it:
        it.read_until("Creating volume db")
        it.read_until("0:00:0")
        held.release.set()
        it.read_all()
        assert it.process.communicate()[0].startswith("Created volume db")
        assert it.process.returncode == 0


def test_no_color_shows_no_color(script: Script) -> None:
    with terminal(script, "volume", "create", "db", "--no-color") as it:
        text = it.read_all()
    assert "Error: " in text
    assert "\x1b[31m" not in text
    assert "\x1b[1;31m" not in text


def test_interrupting_a_change_says_that_it_goes_on(script: Script) -> None:
    held = script.hold("CreateVolume", CREATED)
    with terminal(script, "volume", "create", "db") as it:
        assert held.reached.wait(60)
        it.process.send_signal(signal.SIGINT)
        text = it.read_all()
        assert it.process.wait() == 130
    assert held.cancelled.get(timeout=60)  # the daemon learns that its caller has left
    assert "ebbd finishes what it has begun: creating volume db may still go on" in text
    assert "ebb volume show db" in text


def test_interrupting_a_look_changes_nothing(script: Script) -> None:
    held = script.hold("ListVolumes", pb.ListVolumesResponse())
    with terminal(script, "volume", "list") as it:
        assert held.reached.wait(60)
        it.process.send_signal(signal.SIGINT)
        text = it.read_all()
        assert it.process.wait() == 130
    assert "\x1b[1;31mError: " in text
    assert "nothing was changed" in text


@pytest.mark.parametrize(("answer", "exit_code", "requests"), [("y\n", 0, 2), ("n\n", 1, 1)])
def test_deleting_asks_first_on_a_terminal(
    script: Script, answer: str, exit_code: int, requests: int
) -> None:
    script.say("GetVolume", VOLUME)
    script.say("DeleteVolume", pb.DeleteVolumeResponse(deleted=True))
    with terminal(script, "volume", "delete", "db") as it:
        it.read_until("Delete db and all data there? [y/N]")
        it.type(answer)
        it.read_all()
        assert it.process.wait() == exit_code
    assert len(script.requests) == requests
