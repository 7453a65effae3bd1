"""Labs that end: by a timeout, a power cut, in order, with their owner; and two at once."""

import asyncio
import os
import select
import subprocess
import sys
from pathlib import Path

import pytest
from ebb_lab import Disk, Lab, LabError, LabTimeout

pytestmark = pytest.mark.timeout(600)

MIB = 2**20
POOL = Disk("pool", 64 * MIB)
RUN = (sys.executable, "-m", "ebb_lab", "run")


async def test_a_timeout_ends_the_machine_and_says_so() -> None:
    async with Lab() as lab:
        with pytest.raises(
            LabTimeout, match=r"(?s)sleep 600 did not end within 1 s.*EBB-LAB-READY"
        ):
            await lab.run(["sleep", "600"], timeout_s=1)
        assert not lab.running
        with pytest.raises(LabError, match="not running"):
            await lab.run(["true"])


async def test_what_was_synced_survives_a_power_cut_and_what_ran_does_not() -> None:
    async with Lab(disks=[POOL]) as lab:
        first_boot = (await lab.run(["cat", "/proc/sys/kernel/random/boot_id"])).stdout
        await lab.run(["mkfs.ext4", "-q", POOL.device])
        await lab.run(["mount", POOL.device, "/mnt"])
        script = "echo kept >/mnt/file; echo kept >/var/lib/file; echo gone >/run/file; sync"
        await lab.run(["sh", "-c", script])
        async with lab.stream(["sleep", "600"]) as interrupted:
            await lab.power_cut()
            assert await asyncio.wait_for(interrupted.wait(), 20) != 0
        assert not lab.running

        await lab.boot()
        assert (await lab.run(["cat", "/proc/sys/kernel/random/boot_id"])).stdout != first_boot
        await lab.run(["mount", POOL.device, "/mnt"])
        assert (await lab.run(["cat", "/mnt/file", "/var/lib/file"])).stdout == "kept\nkept\n"
        assert (await lab.run(["test", "-e", "/run/file"], check=False)).exit_code == 1

        await lab.run(["sh", "-c", "echo unsynced >/mnt/file"])
        await lab.reboot()  # in order: what was not synced is
        await lab.run(["mount", POOL.device, "/mnt"])
        assert (await lab.run(["cat", "/mnt/file"])).stdout == "unsynced\n"


async def test_two_labs_at_once_know_nothing_of_each_other() -> None:
    async with Lab(disks=[POOL]) as one, Lab(disks=[POOL]) as other:
        for lab, word in ((one, "one"), (other, "other")):
            await lab.run(["sh", "-c", f"printf %-8s {word} >{POOL.device}; hostname {word}; sync"])
        for lab, word in ((one, "one"), (other, "other")):
            held = await lab.run(["head", "-c", "8", POOL.device])
            assert held.stdout.strip() == word
            assert (await lab.run(["hostname"])).stdout.strip() == word


def test_the_command_line_ends_as_its_command_and_brings_the_results(tmp_path: Path) -> None:
    results = tmp_path / "results"
    script = "echo out; echo err >&2; echo kept >/results/file; exit 3"
    done = subprocess.run(
        [*RUN, "--results", str(results), "--", "sh", "-c", script],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stdout) == (3, "out\n")
    assert done.stderr.endswith("err\n")
    assert (results / "file").read_text() == "kept\n"


def test_a_timeout_on_the_command_line_still_brings_the_results(tmp_path: Path) -> None:
    script = "echo kept >/results/file; sleep 600"
    done = subprocess.run(
        [*RUN, "--timeout", "5", "--results", str(tmp_path), "--", "sh", "-c", script],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 124
    assert "did not end within 5.0 s: the lab has been ended." in done.stderr
    assert (tmp_path / "file").read_text() == "kept\n"


def test_a_lab_whose_owner_is_killed_is_gone_with_all_it_had(tmp_path: Path) -> None:
    command = [*RUN, "--", "sh", "-c", "echo up; sleep 600"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, env=os.environ | {"TMPDIR": str(tmp_path)}
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"up\n"
        (scratch,) = tmp_path.glob("ebb-lab-*")
        children = [os.pidfd_open(pid) for pid in _children(owner.pid) if _is_qemu(pid)]
        assert len(children) == 1
        owner.kill()
    # A pidfd becomes readable when its process ends.
    assert select.select(children, [], [], 30)[0] == children
    os.close(children[0])
    waiting = 'while [ -e "$1" ]; do sleep 0.05; done'
    subprocess.run(["/usr/bin/timeout", "30", "sh", "-c", waiting, "sh", scratch], check=True)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _is_qemu(pid: int) -> bool:
    return "qemu" in Path(f"/proc/{pid}/comm").read_text()
