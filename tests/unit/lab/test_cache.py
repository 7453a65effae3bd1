import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from ebb_lab import Progress
from ebb_lab.cache import Cache, default_root, key_of
from hypothesis import given
from hypothesis import strategies as st

LONG_AGO_S = 1_000_000.0
DAY_S = 24 * 3600.0


def _maker(content: str, made: list[Path]) -> Callable[[Path], Awaitable[None]]:
    async def make(folder: Path) -> None:
        made.append(folder)
        await asyncio.sleep(0)
        (folder / "thing").write_text(content)

    return make


async def _use(cache: Cache, key: str, made: list[Path]) -> str:
    async with cache.entry(
        "image", key, _maker(key, made), Progress(), forget_after_s=DAY_S
    ) as folder:
        return (folder / "thing").read_text()


def _age(root: Path, key: str) -> None:
    os.utime(root / f"image-{key}" / ".held", (LONG_AGO_S, LONG_AGO_S))


def _folders(root: Path) -> list[str]:
    return [path.name for path in root.iterdir() if path.is_dir()]


async def test_an_entry_is_made_once(tmp_path: Path) -> None:
    cache, made = Cache(tmp_path / "new"), list[Path]()
    assert await _use(cache, "one", made) == "one"
    assert await _use(cache, "one", made) == "one"
    assert await _use(cache, "two", made) == "two"
    assert len(made) == 2


async def test_two_builders_of_one_entry_wait_for_each_other(tmp_path: Path) -> None:
    made: list[Path] = []
    contents = await asyncio.gather(*(_use(Cache(tmp_path), "one", made) for _ in range(4)))
    assert contents == ["one"] * 4
    assert len(made) == 1


async def test_a_build_that_failed_leaves_nothing_and_is_tried_again(tmp_path: Path) -> None:
    cache, made = Cache(tmp_path), list[Path]()

    async def fail(folder: Path) -> None:
        (folder / "half").write_text("half")
        raise ValueError("no network")

    with pytest.raises(ValueError, match="no network"):
        async with cache.entry("image", "one", fail, Progress(), forget_after_s=DAY_S):
            pytest.fail("there is nothing to use")
    assert _folders(tmp_path) == []
    assert await _use(cache, "one", made) == "one"


async def test_entries_unused_for_long_are_removed_but_not_the_newest(tmp_path: Path) -> None:
    cache, made = Cache(tmp_path, keep_newest=1), list[Path]()
    for key in ("old", "older"):
        await _use(cache, key, made)
        _age(tmp_path, key)
    await _use(cache, "new", made)
    assert _folders(tmp_path) == ["image-new"]


async def test_an_entry_in_use_stays_however_old(tmp_path: Path) -> None:
    cache, made = Cache(tmp_path, keep_newest=1), list[Path]()
    async with cache.entry(
        "image", "held", _maker("held", made), Progress(), forget_after_s=DAY_S
    ) as folder:
        _age(tmp_path, "held")
        await _use(cache, "new", made)
        assert (folder / "thing").read_text() == "held"


async def test_what_a_killed_builder_left_is_removed(tmp_path: Path) -> None:
    left = tmp_path / "image-one.making-x"
    left.mkdir()
    os.utime(left, (LONG_AGO_S, LONG_AGO_S))
    await _use(Cache(tmp_path), "two", [])
    assert not left.exists()


@given(st.lists(st.binary(max_size=4), max_size=4), st.lists(st.binary(max_size=4), max_size=4))
def test_keys_tell_lists_apart(one: list[bytes], other: list[bytes]) -> None:
    assert (key_of(one) == key_of(other)) == (one == other)


def test_the_cache_is_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert default_root() == Path("/somewhere/ebb/lab")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert default_root() == Path("/home/me/.cache/ebb/lab")
