import tomllib
from pathlib import Path

import pytest
from ebb_lab import BuildFailed
from ebb_lab.dependencies import dependencies_key, read_requirements, requirements

PYPROJECT = """
[project]
dependencies = ["grpcio>=1.85", "rich"]
[dependency-groups]
base = ["pytest"]
test = [{ include-group = "base" }, "hypothesis"]
dev = ["ruff"]
"""


def test_the_guest_gets_the_projects_dependencies_and_the_test_group() -> None:
    assert requirements(tomllib.loads(PYPROJECT)) == (
        "grpcio>=1.85",
        "rich",
        "pytest",
        "hypothesis",
    )


def test_a_group_that_includes_itself_is_refused() -> None:
    looping = PYPROJECT.replace('base = ["pytest"]', 'base = [{ include-group = "test" }]')
    with pytest.raises(BuildFailed, match="includes itself"):
        requirements(tomllib.loads(looping))


def test_this_projects_own_list_is_read() -> None:
    project = Path(__file__).parents[3]
    names = {wanted.partition(">")[0] for wanted in read_requirements(project)}
    assert {"grpcio", "protobuf", "pytest", "hypothesis"} <= names


def test_a_changed_list_or_image_makes_another_disk() -> None:
    keys = {
        dependencies_key("image", ("a", "b")),
        dependencies_key("image", ("a",)),
        dependencies_key("other", ("a", "b")),
    }
    assert len(keys) == 3
