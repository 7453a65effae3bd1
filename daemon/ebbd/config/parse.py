"""From text to `Config`: every problem at once, in the words of the file."""

import socket
from pathlib import Path as FilePath
from types import MappingProxyType
from typing import get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ebbd.config.model import Config
from ebbd.config.source import Problem, Source, read_yaml, suggestion
from ebbd.errors import InvalidInput, NotFound

# pydantic's error types that speak of Python, in the words of a YAML file.
_SHAPES = MappingProxyType(
    {
        "tuple_type": "a list",
        "string_type": "a text",
        "int_type": "a whole number",
        "float_type": "a number",
    }
)


class ConfigError(InvalidInput):
    """The configuration is wrong: every problem, each at its line."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__(
            "\n".join(str(problem) for problem in problems),
            "correct the file and start ebbd again; docs/config.md explains every key",
        )


def load_config(path: FilePath | None, *, hostname: str | None = None) -> Config:
    """The configuration in a file; None: the defaults. NotFound, ConfigError."""
    if path is None:
        return Config.default(hostname)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as missing:
        raise NotFound(
            f"there is no configuration at {path}", "make it, or start ebbd without --config"
        ) from missing
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} cannot be read: {error}", "it must be UTF-8 text") from error
    return parse_config(text, file=str(path), hostname=hostname or socket.gethostname())


def parse_config(text: str, *, file: str = "ebbd.yaml", hostname: str) -> Config:
    """The configuration in `text`; ConfigError has every problem in it, in the file's order."""
    source = read_yaml(text, file)
    values = {} if source.value is None else source.value
    config = None
    if not isinstance(values, dict):
        source.add((), f"not a mapping of keys; {suggestion('', Config.model_fields)}")
    else:
        node = values.setdefault("node", {})
        if isinstance(node, dict):
            node.setdefault("id", hostname)
        config = _validate(values, source)
    if config is None or source.problems:
        raise ConfigError(tuple(sorted(source.problems, key=lambda problem: problem.line)))
    return config


def _validate(values: dict[str, object], source: Source) -> Config | None:
    try:
        return Config.model_validate(values)
    except ValidationError as invalid:
        for error in invalid.errors():
            for path, message in error.get("ctx", {}).get("problems", ()):
                source.add(path, message)
            if "problems" not in error.get("ctx", {}) and not source.blames(error["loc"]):
                source.add(error["loc"], _explain(error))
        return None


def _explain(error: ErrorDetails) -> str:
    """What is wrong and what is allowed, in the words of the file rather than of pydantic."""
    if error["type"] == "ebbd":
        return error["msg"]
    *parents, key = error["loc"]
    if error["type"] == "extra_forbidden":
        return f"unknown key; {suggestion(str(key), _fields_at(tuple(parents)))}"
    if error["type"] == "missing":
        return "is missing; it must be given"
    if error["type"] == "model_type":
        return f"is not a section; {suggestion('', _fields_at(error['loc']))}"
    told = _SHAPES.get(error["type"]) or error["msg"].removeprefix("Input should be ")
    given = error["input"]
    shown = "this" if isinstance(given, dict | list) else repr(given)
    return f"{shown} is not right; it should be {told}"


def _fields_at(path: tuple[str | int, ...]) -> dict[str, object]:
    """The keys allowed in the section that a path leads to."""
    section: type[BaseModel] = Config
    for part in path:
        if isinstance(part, str):
            section = section_in(section.model_fields[part].annotation) or section
    return dict(section.model_fields)


def section_in(annotation: object) -> type[BaseModel] | None:
    """The section in an annotation: itself, or the item of a tuple or of an optional."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for arg in get_args(annotation) if (found := section_in(arg))), None)
