"""LVM2's configuration text, as the metadata area holds it, into plain values.

One regular expression cuts the text into words (lvm2: libdm/libdm-config.c), one loop builds the
tree: a section is a dict, an array a list, a string a str, a number an int. Comments are dropped.
Everything in a VG's metadata is written by LVM itself, so what this grammar does not know is
damage, and says where.
"""

import re
from collections.abc import Iterator
from typing import TypeAlias

Value: TypeAlias = "int | str | list[int | str]"
Section: TypeAlias = "dict[str, Value | Section]"

_WORD = re.compile(
    r"""
    "(?:[^"\\]|\\.)*"          # a string, with \" and \\ inside
    | [{}\[\]=,]               # punctuation
    | \#[^\n]*                 # a comment, to the end of the line
    | [^\s{}\[\]=,"\#]+        # a name or a number
    | "                        # a string that never ends
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


class Damaged(ValueError):
    """Text that LVM cannot have written."""


def parse(text: str) -> Section:
    """The text's top-level section. Raises Damaged."""
    words = (word for word in _WORD.findall(text) if word[0] != "#")
    root: Section = {}
    section = root
    above: list[Section] = []
    for word in words:
        if word == "}":
            if not above:
                raise Damaged("a closing brace too many")
            section = above.pop()
            continue
        follows = next(words, "")
        if follows == "{":
            inner: Section = {}
            section[word] = inner
            above.append(section)
            section = inner
        elif follows == "=":
            section[word] = _value(words)
        else:
            raise Damaged(f"neither a section nor a value after {word!r}")
    if above:
        raise Damaged("a section that never ends")
    return root


def _value(words: Iterator[str]) -> Value:
    word = next(words, "")
    if word != "[":
        return _scalar(word)
    array: list[int | str] = []
    for item in words:
        if item == "]":
            return array
        if item != ",":
            array.append(_scalar(item))
    raise Damaged("an array that never ends")


def _scalar(word: str) -> int | str:
    if word[:1] == '"' and len(word) > 1:
        inner = word[1:-1]
        return _ESCAPED.sub(r"\1", inner) if "\\" in inner else inner
    try:
        return int(word)
    except ValueError:
        raise Damaged(f"neither a string nor a number: {word[:40]!r}") from None
