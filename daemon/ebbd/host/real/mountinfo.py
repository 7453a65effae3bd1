"""mountinfo (proc_pid_mountinfo(5)) into Mount values. Pure."""

import re

from ebbd.errors import HostFailure
from ebbd.host.values import Mount

_OCTAL = re.compile(r"\\([0-7]{3})")
_FIXED_FIELDS = 6


def unescape(field: str) -> str:
    r"""Blank, tab, newline and backslash are written as \040, \011, \012 and \134."""
    return _OCTAL.sub(lambda found: chr(int(found[1], 8)), field) if "\\" in field else field


def parse(text: str, path: str = "mountinfo") -> tuple[Mount, ...]:
    """Every line of a mountinfo file. Raises HostFailure naming `path` and the line."""
    mounts: list[Mount] = []
    # Lines end at \n alone: of all that str.splitlines() cuts at, the kernel escapes nothing else,
    # and anybody who may mount may put it in a path.
    for number, line in enumerate(text.removesuffix("\n").split("\n") if text else (), start=1):
        try:
            mounts.append(_mount(line))
        except ValueError as error:
            raise HostFailure(f"{path}:{number}: not a mountinfo line: {line!r}") from error
    return tuple(mounts)


def _mount(line: str) -> Mount:
    words = line.split(" ")
    end = words.index("-", _FIXED_FIELDS)  # after the optional fields
    mount_id, parent_id, device, root, target, options = words[:_FIXED_FIELDS]
    filesystem, source, super_options = words[end + 1 : end + 4]
    major, minor = device.split(":")
    return Mount(
        mount_id=int(mount_id),
        parent_id=int(parent_id),
        major=int(major),
        minor=int(minor),
        root=unescape(root),
        target=unescape(target),
        options=tuple(options.split(",")),
        filesystem=filesystem,
        source=unescape(source),
        super_options=tuple(super_options.split(",")),
    )
