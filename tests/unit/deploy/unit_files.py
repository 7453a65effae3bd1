"""Reading systemd's unit files: what they say, without what systemd would make of it."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
UNITS = ROOT / "deploy" / "systemd" / "system"
_SECONDS = re.compile(r"(\d+)(min|s)?")


@dataclass(frozen=True, slots=True)
class UnitFile:
    """Settings in the file's order; one that is given several times stands there several times."""

    settings: tuple[tuple[str, str], ...]

    def all_of(self, name: str) -> tuple[str, ...]:
        return tuple(value for setting, value in self.settings if setting == name)

    def one(self, name: str) -> str:
        [value] = self.all_of(name)
        return value

    def words(self, name: str) -> tuple[str, ...]:
        return tuple(word for value in self.all_of(name) for word in value.split())

    def seconds(self, name: str) -> int:
        found = _SECONDS.fullmatch(self.one(name))
        assert found, f"{name} is not a plain number of seconds or minutes"
        return int(found[1]) * (60 if found[2] == "min" else 1)


def parse_unit(text: str) -> UnitFile:
    lines = [line for line in text.splitlines() if line and line[0] not in "#;["]
    return UnitFile(tuple((name, value) for name, _, value in (x.partition("=") for x in lines)))


def read_unit(name: str) -> UnitFile:
    return parse_unit((UNITS / name).read_text(encoding="utf-8"))
