import pytest
from ebb_bench.trace_text import CutShort, count_command_lines

LVCREATE = "lvcreate --yes --type thin --virtualsize 32768s --thinpool pool0 ebb\\n"


def test_a_line_that_the_running_shell_reads_counts_once() -> None:
    assert count_command_lines([f'40 read(0, "{LVCREATE}", 4096) = 68\n'], shells=[40]) == 1


def test_a_line_read_in_single_bytes_counts_once() -> None:
    bytes_read = [f'40  read(0, "{letter}", 1) = 1\n' for letter in ("l", "v", "s", "\\n")]
    assert count_command_lines(bytes_read, shells=[40]) == 1


def test_two_lines_in_one_read_count_twice() -> None:
    assert count_command_lines(['40 read(0, "lvs\\nlvs\\n", 4096) = 8'], shells=[40]) == 2


def test_reads_of_others_and_of_other_files_do_not_count() -> None:
    lines = ['41 read(0, "lvs\\n", 4096) = 4', '40 read(3, "lvs\\n", 4096) = 4']
    assert count_command_lines(lines, shells=[40]) == 0


def test_an_interrupted_read_does_not_count_and_its_resumed_end_does() -> None:
    lines = [
        "40 read(0,  <unfinished ...>",
        '39 execve("/usr/sbin/mkfs.ext4", ["mkfs.ext4", "/dev/x"], 0x7f /* 9 vars */) = 0',
        "40 <... read resumed>0x7ffd, 4096) = ? ERESTARTSYS (To be restarted)",
        "40 read(0,  <unfinished ...>",
        '40 <... read resumed>"lvs\\n", 4096) = 4',
    ]
    assert count_command_lines(lines, shells=[40]) == 1


def test_a_process_with_arguments_counts_by_whatever_name() -> None:
    lines = [
        '50 execve("/sbin/lvm", ["lvm", "pvs"], 0x7ffc /* 4 vars */) = 0',
        '51 execve("/usr/sbin/lvchange", ["lvchange", "-ay", "ebb/a"], 0x7ffc /* 4 vars */) = 0',
        '52 execve("/usr/local/sbin/lvm", ["lvm", "pvs"], 0x7f /* 4 vars */) = -1 ENOENT (No such)',
        '53 execve("/usr/sbin/thin_check", ["thin_check", "-q"], 0x7ffc /* 4 vars */) = 0',
    ]
    assert count_command_lines(lines, shells=[]) == 2


def test_a_shell_that_starts_meanwhile_is_no_command_line_but_what_it_reads_is() -> None:
    lines = [
        '60 execve("/usr/sbin/lvm", ["/usr/sbin/lvm"], 0x7ffc /* 5 vars */ <unfinished ...>',
        "60 <... execve resumed>)           = 0",
        f'60 read(0, "{LVCREATE}", 4096) = 68',
    ]
    assert count_command_lines(lines, shells=[]) == 1


def test_the_word_backslash_n_is_no_line_end() -> None:
    assert count_command_lines(['40 read(0, "\\\\n", 4096) = 2'], shells=[40]) == 0


def test_a_read_that_strace_cut_short_is_an_error() -> None:
    with pytest.raises(CutShort, match="raise strace's -s"):
        count_command_lines(['40 read(0, "lvcreate"..., 4096) = 900'], shells=[40])
