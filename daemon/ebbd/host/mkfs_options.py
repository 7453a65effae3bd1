"""Which arguments of mkfs a request may choose: those that shape the filesystem on its own device.

mkfs can also copy a directory into the filesystem (`mkfs.ext4 -d`, `mkfs.btrfs --rootdir`,
`mkfs.xfs -p`), keep an undo file (`-z`), read a list of bad blocks (`-l`) or put a journal on
another device. A path needs no slash for that: ebbd's working directory is `/`. So what may be
given is listed, and nothing else passes. Sources: mke2fs(8), mkfs.xfs(8), mkfs.btrfs(8). Pure.
"""

from collections.abc import Sequence
from types import MappingProxyType

from ebbd.errors import InvalidInput

# Per kind: the flags that stand alone, and those that take a value.
_FLAGS = MappingProxyType(
    {
        "ext4": (
            frozenset({"-j", "-K", "-q", "-v"}),
            frozenset({"-b", "-C", "-e", "-E", "-g", "-G", "-i", "-I", "-J", "-L", "-m", "-N"})
            | {"-O", "-r", "-T", "-U"},
        ),
        "xfs": (
            frozenset({"-K", "-q"}),
            frozenset({"-b", "-d", "-i", "-l", "-L", "-m", "-n", "-s"}),
        ),
        "btrfs": (
            frozenset({"-K", "--nodiscard", "-M", "--mixed", "-q", "--quiet", "-v"}),
            frozenset({"-d", "--data", "-m", "--metadata", "-n", "--nodesize", "-s"})
            | {"--sectorsize", "-L", "--label", "-O", "--features", "-R", "--runtime-features"}
            | {"-U", "--uuid", "--csum", "--checksum"},
        ),
    }
)
# Words inside of a value that lead to another device or file.
_ELSEWHERE = frozenset({"device", "file", "name", "logdev", "rtdev"})
_PLAIN_TEXT = frozenset({"-L", "--label"})


def check_mkfs_options(kind: str, options: Sequence[str]) -> None:
    """InvalidInput names the first argument that may not be given."""
    alone, valued = _FLAGS[kind]
    words = iter(options)
    for word in words:
        if word in alone:
            continue
        flag, value = _taken_apart(word, valued)
        if not flag:
            raise InvalidInput(
                f"mkfs.{kind}: {word!r} may not be given",
                f"use those of {', '.join(sorted(alone | valued))} that mkfs.{kind}(8) explains",
            )
        if value is None and (value := next(words, None)) is None:
            raise InvalidInput(f"mkfs.{kind}: {word} wants a value", f"see mkfs.{kind}(8)")
        if "/" in value or (flag not in _PLAIN_TEXT and _leads_elsewhere(value)):
            raise InvalidInput(
                f"mkfs.{kind}: {value!r} cannot be an option: it leads to another device or file",
                "only options for the volume's own device go here",
            )


def _taken_apart(word: str, valued: frozenset[str]) -> tuple[str, str | None]:
    """The flag and the value in the same word (None: in the next); no flag: not one of these."""
    if word in valued:
        return word, None
    flag, equals, value = word.partition("=")
    if word.startswith("--"):
        return (flag, value) if equals and flag in valued else ("", None)
    return (word[:2], word[2:]) if word[:2] in valued else ("", None)


def _leads_elsewhere(value: str) -> bool:
    return any(part.partition("=")[0].strip() in _ELSEWHERE for part in value.split(","))
