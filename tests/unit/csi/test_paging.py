from collections.abc import Sequence

import pytest
from ebb_csi import paging
from ebb_csi.paging import Cursor, Page, Source
from ebb_csi.status import Refusal
from grpc import StatusCode
from hypothesis import given
from hypothesis import strategies as st


def node(key: str, items: Sequence[str]) -> Source[str]:
    """A node's list as ebb.v1 pages it: ordered, the token is the last item given out."""

    async def fetch(size: int, token: str) -> Page[str]:
        left = [item for item in sorted(items) if item > token]
        given = tuple(left[:size] if size else left)
        return Page(given, given[-1] if len(given) < len(left) else "")

    return Source(key, fetch)


def test_a_token_is_read_as_it_was_written() -> None:
    for cursor in (Cursor("n1", "vol-7"), Cursor("n1"), Cursor("n1", "a/b")):
        assert paging.parse(cursor.token()) == cursor


@pytest.mark.parametrize("token", ["", "x", "/", "/x", "invalid-token"])
def test_what_is_no_token_is_aborted(token: str) -> None:
    with pytest.raises(Refusal, match="start again without a token") as refusal:
        paging.parse(token)
    assert refusal.value.code is StatusCode.ABORTED


async def test_a_token_of_a_node_that_is_gone_is_aborted() -> None:
    with pytest.raises(Refusal) as refusal:
        await paging.page([node("n1", ["a"])], "n9/a", 0)
    assert refusal.value.code is StatusCode.ABORTED


async def test_without_a_limit_everything_comes_at_once() -> None:
    sources = [node("n2", ["c"]), node("n1", ["b", "a"])]
    assert await paging.page(sources, "", 0) == Page(("a", "b", "c"), "")


async def test_a_page_goes_on_to_the_next_node() -> None:
    sources = [node("n1", ["a", "b"]), node("n2", ["c", "d"])]
    first = await paging.page(sources, "", 3)
    assert first == Page(("a", "b", "c"), "n2/c")
    assert await paging.page(sources, first.next_token, 0) == Page(("d",), "")


async def test_a_page_that_ends_with_its_node_points_to_the_next() -> None:
    sources = [node("n1", ["a", "b"]), node("n2", ["c"])]
    assert await paging.page(sources, "", 2) == Page(("a", "b"), "n2/")


async def test_the_last_page_has_no_token() -> None:
    assert await paging.page([node("n1", ["a", "b"])], "", 2) == Page(("a", "b"), "")
    assert await paging.page([node("n1", [])], "", 2) == Page((), "")
    assert await paging.page([], "", 2) == Page((), "")


async def test_a_node_with_nothing_in_it_is_stepped_over() -> None:
    sources = [node("n1", ["a"]), node("n2", []), node("n3", ["b"])]
    assert await paging.page(sources, "", 2) == Page(("a", "b"), "")


@given(
    st.dictionaries(st.sampled_from(["n1", "n2", "n3"]), st.sets(st.text("abc", min_size=1))),
    st.integers(1, 4),
)
async def test_pages_of_any_size_together_are_the_whole_list(
    lists: dict[str, set[str]], size: int
) -> None:
    sources = [node(key, sorted(items)) for key, items in lists.items()]
    whole = await paging.page(sources, "", 0)
    collected: tuple[str, ...] = ()
    token = ""
    while True:
        page = await paging.page(sources, token, size)
        assert len(page.items) <= size
        collected += page.items
        token = page.next_token
        if not token:
            break
    assert collected == whole.items
    assert len(whole.items) == sum(len(items) for items in lists.values())
