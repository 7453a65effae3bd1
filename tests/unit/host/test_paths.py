import stat
from pathlib import Path

import pytest
from ebbd.errors import InvalidInput, NotFound, WrongState
from ebbd.host.real.paths import GuardedPaths


@pytest.fixture
def paths(tmp_path: Path) -> GuardedPaths:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "out").symlink_to("/etc")
    return GuardedPaths(tmp_path)


def test_paths_are_below_the_root(paths: GuardedPaths, tmp_path: Path) -> None:
    for _ in range(2):
        paths.make_directory("/real/dir")
        paths.make_file("/real/dir/file")
    assert (tmp_path / "real" / "dir" / "file").is_file()
    assert paths.kind("/real/dir") == stat.S_IFDIR
    assert paths.kind("/real/dir/file") == stat.S_IFREG
    assert paths.kind("/real/none/deeper") is None
    with pytest.raises(WrongState):
        paths.remove("/real/dir")
    for _ in range(2):
        paths.remove("/real/dir/file")
        paths.remove("/real/dir")
    assert not (tmp_path / "real" / "dir").exists()


@pytest.mark.parametrize("path", ["/link", "/link/x", "/real/out", "/real/out/passwd"])
def test_no_link_is_followed(paths: GuardedPaths, path: str, tmp_path: Path) -> None:
    for act in (paths.make_directory, paths.make_file, paths.kind, paths.remove):
        with pytest.raises(InvalidInput):
            act(path)
    assert [each.name for each in (tmp_path / "real").iterdir()] == ["out"]


@pytest.mark.parametrize("path", ["real/x", "/real/../x", "/real/./x", "/", "", "/a\0b"])
def test_only_plain_absolute_paths(paths: GuardedPaths, path: str) -> None:
    with pytest.raises(InvalidInput):
        paths.make_directory(path)


def test_a_parent_that_is_missing_or_a_file(paths: GuardedPaths) -> None:
    paths.make_file("/real/file")
    with pytest.raises(NotFound):
        paths.make_directory("/real/none/x")
    with pytest.raises(WrongState):
        paths.make_directory("/real/file/x")
    with pytest.raises(WrongState):
        paths.make_directory("/real/file")
    with pytest.raises(WrongState):
        paths.make_file("/real")
