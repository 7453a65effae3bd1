import tomllib
from typing import Any

from ebb_setup.venv import install_key

PYPROJECT = """
[project]
dependencies = ["rich"]
[dependency-groups]
dev = ["ruff"]
[tool.hatch.build]
dev-mode-dirs = ["csi"]
[tool.ruff]
line-length = 100
"""


def _changed(old: str, new: str) -> dict[str, Any]:
    return tomllib.loads(PYPROJECT.replace(old, new))


def test_only_what_an_install_depends_on_makes_a_new_one() -> None:
    key = install_key(tomllib.loads(PYPROJECT), "3.11")
    assert install_key(_changed("100", "80"), "3.11") == key
    others = [
        install_key(_changed('"rich"', '"rich", "psutil"'), "3.11"),
        install_key(_changed('"ruff"', '"ruff", "mypy"'), "3.11"),
        install_key(_changed('"csi"', '"csi", "proto"'), "3.11"),
        install_key(tomllib.loads(PYPROJECT), "3.12"),
    ]
    assert len({key, *others}) == 5
