from pathlib import Path

import pytest
from ebb_setup.go import parse_version, required_version
from ebb_setup.machine import SetupError


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("go version go1.26.8 linux/amd64\n", (1, 26)),
        ("go version go1.9 linux/amd64", (1, 9)),
        ("go version devel go1.27-abc linux/amd64", (1, 27)),
        ("", None),
        ("command not found", None),
    ],
)
def test_versions(text: str, version: tuple[int, int] | None) -> None:
    assert parse_version(text) == version


def test_nineteen_is_older_than_twenty_four() -> None:
    old, new = parse_version("go1.19.8"), parse_version("go1.24")
    assert old is not None
    assert new is not None
    assert old < new


def test_the_conformance_module_says_what_it_needs() -> None:
    go_mod = Path(__file__).parents[2] / "conformance" / "go.mod"
    assert required_version(go_mod.read_text()) >= (1, 24)


def test_a_module_without_the_line_is_an_error() -> None:
    with pytest.raises(SetupError, match=r"no line `go 1\.N`"):
        required_version("module x\n")
