"""YAML text to plain values, and where in the text each of them stands.

The text is composed, not loaded: the node tree knows every line, so that a problem found later can
name it, and a key written twice is a problem like any other instead of an end.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    Event,
    ScalarEvent,
)
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

Path = tuple[str | int, ...]  # keys and list positions, from the top

_LONGEST_TEXT = 1 << 20
_DEEPEST = 16  # pools, one of them, its loop, its file: four
_BRACKETS = re.compile(rf"(?:[\[{{]\s*){{{_DEEPEST + 1}}}")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong at one place; `key` is dotted, empty for the file as a whole."""

    file: str
    line: int
    key: str
    message: str

    def __str__(self) -> str:
        key = f"{self.key}: " if self.key else ""
        return f"{self.file}:{self.line}: {key}{self.message}"


@dataclass(slots=True)
class Source:
    """A document as plain values, the line of every path in it, and what is wrong already."""

    file: str
    value: object = None
    lines: dict[Path, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def blames(self, path: Path) -> bool:
        """Is there a problem at exactly this place already?"""
        return any(problem.key == dotted(path) for problem in self.problems)

    def add(self, path: Path, message: str) -> None:
        """Note a problem at the path's line, or at its nearest parent that is written down."""
        known = path
        while known and known not in self.lines:
            known = known[:-1]
        self.add_at(self.lines.get(known, 1), path, message)

    def add_at(self, line: int, path: Path, message: str) -> None:
        self.problems.append(Problem(self.file, line, dotted(path), message))


def dotted(path: Path) -> str:
    """`pools[0].loop.size`, as a person would write it."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{_printable(part)}" if text else _printable(part)
    return text


def _printable(text: str) -> str:
    """A key may hold any character, and a terminal obeys some of them."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def suggestion(key: str, allowed: Mapping[str, object]) -> str:
    """What to do about an unknown key."""
    close = get_close_matches(key, list(allowed), n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    return f"{hint}allowed here: {', '.join(allowed)}"


def read_yaml(text: str, file: str) -> Source:
    """Compose the one document in `text`; syntax errors and double keys are in `problems`."""
    source = Source(file)
    yaml = YAML(typ="safe", pure=True)
    try:
        if (refused := _refused(yaml, text)) is not None:
            source.add_at(*refused)
            return source
        node = yaml.compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        told = error.problem or error.context or "not YAML"
        source.add_at(mark.line + 1 if mark else 1, (), f"{told}; this is not valid YAML")
        return source
    except YAMLError as error:
        source.add_at(1, (), f"{error}; this is not valid YAML")
        return source
    source.value = None if node is None else _Reader(yaml, source).plain(node, ())
    return source


def _refused(yaml: YAML, text: str) -> tuple[int, Path, str] | None:
    """What no configuration needs, found before a tree is built: line, path and message.

    An alias can make a few lines mean millions of values, or itself; nesting without end ends the
    interpreter's stack; a tag names a constructor, which trusts that the text is fit for it.
    """
    if len(text) > _LONGEST_TEXT:
        return 1, (), f"more than {_LONGEST_TEXT} characters; no configuration is that long"
    if (found := _BRACKETS.search(text)) is not None:  # the scanner's time grows with their square
        line = text.count("\n", 0, found.start()) + 1
        return line, (), f"nested more than {_DEEPEST} deep; see docs/config.md for the shape"
    depth = 0
    for event in yaml.parse(text):
        if isinstance(event, CollectionStartEvent):
            depth += 1
        elif isinstance(event, CollectionEndEvent):
            depth -= 1
        if told := _unwanted(event, depth):
            return event.start_mark.line + 1, (), told
    return None


def _unwanted(event: Event, depth: int) -> str:
    if depth > _DEEPEST:
        return f"nested more than {_DEEPEST} deep; see docs/config.md for the shape"
    if isinstance(event, AliasEvent):
        return "an alias (*name) is not taken here; write the value out"
    if getattr(event, "anchor", None) is not None:
        return "an anchor (&name) is not taken here; write the value where it is wanted"
    if (tag := getattr(event, "tag", None)) is not None:
        return f"a tag ({tag}) is not taken here; write the value alone"
    if isinstance(event, ScalarEvent) and not _is_text(event.value):
        return "half of a surrogate pair is no character; write the character"
    return ""


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


class _Reader:
    """Walks a node tree into plain values, noting lines and problems in `source`."""

    def __init__(self, yaml: YAML, source: Source) -> None:
        self._yaml = yaml
        self._source = source

    def plain(self, node: Node, path: Path) -> object:
        self._source.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            return [self.plain(item, (*path, number)) for number, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: MappingNode, path: Path) -> dict[str, object]:
        values: dict[str, object] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, ScalarNode):
                self._source.add_at(line, path, "a key is a plain word")
                continue
            key = str(key_node.value)
            here = (*path, key)
            if key in values:
                first = self._source.lines[here]
                self._source.add_at(
                    line, here, f"written twice (first in line {first}); keep one of them"
                )
                continue
            self._source.lines[here] = line
            values[key] = self.plain(value_node, here)
        return values

    def _scalar(self, node: Node, path: Path) -> object:
        try:
            value: object = self._yaml.constructor.construct_object(node)
        except (YAMLError, ValueError) as error:
            self._source.add(path, f"{str(error).splitlines()[0]}; write it as a quoted text")
            return None
        return value
