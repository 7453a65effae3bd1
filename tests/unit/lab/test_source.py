import subprocess
import tomllib
from pathlib import Path

import pytest
from ebb_lab import BuildFailed, process
from ebb_lab.source import list_files, read_version, run_files, source_key

PYPROJECT = tomllib.loads("""
[project]
name = "ebb"
scripts = { ebbd = "ebbd.__main__:main" }
[tool.hatch.version]
path = "ebbd/__init__.py"
[tool.hatch.build]
dev-mode-dirs = ["daemon", "proto"]
""")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("a.py", "sub/b.py", "ignored.log", "build/c.o", ".venv/d.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    return tmp_path


def _git(project: Path, *arguments: str) -> None:
    git = process.find("git")
    subprocess.run([git, "-C", project, *arguments], check=True, capture_output=True)


async def _names(project: Path) -> list[str]:
    return [str(name) for name in await list_files(project)]


async def test_git_says_which_files_are_the_projects(project: Path) -> None:
    (project / ".gitignore").write_text("*.log\n/build/\n/.venv/\n")
    _git(project, "init")
    _git(project, "add", "a.py")
    assert await _names(project) == [".gitignore", "a.py", "sub/b.py"]
    (project / "a.py").unlink()  # deleted, not committed
    assert await _names(project) == [".gitignore", "sub/b.py"]


async def test_without_git_what_is_made_is_left_out(project: Path) -> None:
    assert await _names(project) == ["a.py", "ignored.log", "sub/b.py"]


async def test_the_key_follows_content_names_and_modes(project: Path) -> None:
    files = await list_files(project)
    keys = [source_key("image", project, files)]
    assert source_key("image", project, files) == keys[0]
    keys.append(source_key("other", project, files))
    keys.append(source_key("image", project, files[:1]))
    (project / "a.py").chmod(0o755)
    keys.append(source_key("image", project, files))
    (project / "a.py").write_text("changed")
    keys.append(source_key("image", project, files))
    assert len(set(keys)) == 5


def test_what_makes_it_runnable_comes_from_pyproject() -> None:
    files = run_files(PYPROJECT, "1.2")
    assert files["site/project.pth"] == "/ebb/daemon\n/ebb/proto\n"
    assert "from ebbd.__main__ import main\n" in files["bin/ebbd"]
    assert "from pytest import main" in files["bin/pytest"]
    assert "Version: 1.2\n" in files["site/ebb-1.2.dist-info/METADATA"]
    assert files["site/ebb-1.2.dist-info/entry_points.txt"].endswith("ebbd = ebbd.__main__:main\n")


def test_the_version_is_where_pyproject_says(tmp_path: Path) -> None:
    (tmp_path / "ebbd").mkdir()
    module = tmp_path / "ebbd" / "__init__.py"
    module.write_text('"""x"""\n\n__version__ = "3.1"  # next\n')
    assert read_version(PYPROJECT, tmp_path) == "3.1"
    assert read_version({"project": {"version": "4"}}, tmp_path) == "4"
    module.write_text("")
    with pytest.raises(BuildFailed, match="__version__"):
        read_version(PYPROJECT, tmp_path)
