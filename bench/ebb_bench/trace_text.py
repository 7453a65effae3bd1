"""Counts the command lines given to LVM in what strace wrote. Pure; trusts nothing of ebbd's.

A command line is either a process (an execve of lvm with arguments, or of a link to it such as
lvcreate) or a line that a running `lvm` shell, which has no arguments, read from its stdin.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import PurePosixPath

_LINE = re.compile(r"(?P<pid>\d+)\s+(?P<call>.*)")
_UNFINISHED = re.compile(r"(?P<begun>.*?)\s*<unfinished \.\.\.>")
_RESUMED = re.compile(r"<\.\.\. \w+ resumed>(?P<rest>.*)")
_TEXT = r'"(?:[^"\\]|\\.)*"'
_EXECVE = re.compile(rf"execve\((?P<path>{_TEXT}), \[(?P<argv>.*?)\], 0x.*\)\s+= 0")
_ARGUMENT = re.compile(_TEXT)
_READ_STDIN = re.compile(rf"read\(0,\s*(?P<text>{_TEXT})(?P<cut>\.\.\.)?, \d+\)\s+= \d+")
_NEWLINE = re.compile(r"(?<!\\)(?:\\\\)*\\n")
# The names under which lvm2 installs links to lvm begin with what they are about.
_LINK = re.compile(r"(?:lv|pv|vg)[a-z]+")


class CutShort(ValueError):
    """strace left bytes out, so lines cannot be counted."""


def count_command_lines(lines: Iterable[str], shells: Collection[int]) -> int:
    """`shells` are the pids of lvm shells that ran when the trace began."""
    known, count = set(shells), 0
    for pid, call in _whole_calls(lines):
        if started := _EXECVE.fullmatch(call):
            name = PurePosixPath(started["path"].strip('"')).name
            if name == "lvm" and len(_ARGUMENT.findall(started["argv"])) == 1:
                known.add(pid)
            elif name == "lvm" or _LINK.fullmatch(name):
                count += 1
        elif pid in known and (read := _READ_STDIN.fullmatch(call)):
            if read["cut"]:
                raise CutShort(f"a read of the shell is cut short: {call}; raise strace's -s")
            count += len(_NEWLINE.findall(read["text"]))
    return count


def _whole_calls(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Each call once, where strace wrote its beginning and its end apart."""
    begun: dict[int, str] = {}
    for line in lines:
        if (told := _LINE.fullmatch(line.rstrip("\n"))) is None:
            continue
        pid, call = int(told["pid"]), told["call"]
        if part := _UNFINISHED.fullmatch(call):
            begun[pid] = part["begun"]
        elif end := _RESUMED.fullmatch(call):
            yield pid, begun.pop(pid, "") + end["rest"]
        else:
            yield pid, call
