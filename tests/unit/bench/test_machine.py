import os
from pathlib import Path

import pytest
from ebb_bench.machine import CommandRefused, cpu_model, cpu_s, lvm_shells, rss_bytes, typed


def process(proc: Path, pid: int, name: str, parent: int) -> None:
    folder = proc / str(pid)
    folder.mkdir()
    ticks = "0 0 0 0 0 0 0 0 0 150 50 0 0"
    (folder / "stat").write_text(f"{pid} ({name}) S {parent} {ticks}\n")
    (folder / "status").write_text(f"Name:\t{name}\nVmHWM:\t  9 kB\nVmRSS:\t    2048 kB\n")


def test_only_the_daemons_own_lvm_is_its_shell(tmp_path: Path) -> None:
    process(tmp_path, 10, "ebbd", 1)
    process(tmp_path, 11, "lvm", 10)
    process(tmp_path, 12, "lvm", 1)
    process(tmp_path, 13, "lvm (x", 10)
    assert lvm_shells(10, tmp_path) == [11]


def test_memory_and_processor_are_read_from_proc(tmp_path: Path) -> None:
    process(tmp_path, 10, "a) b (c", 1)
    assert rss_bytes(10, tmp_path) == 2 * 2**20
    assert cpu_s(10, 100, tmp_path) == 2.0


def test_a_process_that_ended_has_no_memory(tmp_path: Path) -> None:
    process(tmp_path, 10, "ebbd", 1)
    (tmp_path / "10" / "status").write_text("Name:\tebbd\nState:\tZ (zombie)\n")
    with pytest.raises(ValueError, match="VmRSS"):
        rss_bytes(10, tmp_path)


def test_this_very_process_can_be_read() -> None:
    assert rss_bytes(os.getpid()) > 2**20
    assert cpu_s(os.getpid(), os.sysconf("SC_CLK_TCK")) > 0


def test_the_processors_name(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: QEMU TCG CPU\n")
    assert cpu_model(tmp_path) == "QEMU TCG CPU"


def test_a_typed_command_that_fails_says_what_and_why() -> None:
    with pytest.raises(CommandRefused, match=r"ls /nowhere ended with 2: .*No such file"):
        typed("ls", "/nowhere")
