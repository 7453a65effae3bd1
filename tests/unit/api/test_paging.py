"""Pages by place: nothing is listed twice, nothing that stays is left out."""

import pytest
from ebbd.api.paging import page
from ebbd.errors import Busy, InvalidInput
from ebbd.volumes.names import Naming
from hypothesis import given
from hypothesis import strategies as st

NAMING = Naming("aaaaaaaa")
ITEMS = sorted(NAMING.volume_id(str(n)) for n in range(12))


def walk(items: list[str], size: int) -> list[list[str]]:
    pages, token = [], ""
    while True:
        chosen, token = page(items, str, "v", size=size, token=token)
        pages.append(chosen)
        if not token:
            return pages


@given(st.integers(0, 12), st.integers(1, 14))
def test_every_item_once_in_order(count: int, size: int) -> None:
    pages = walk(ITEMS[:count], size)
    assert [item for one in pages for item in one] == ITEMS[:count]
    assert all(len(one) == size for one in pages[:-1])
    assert len(pages) == max(1, -(-count // size)), "no empty page at the end"


def test_everything_at_once() -> None:
    assert walk(ITEMS, 0) == [ITEMS]


def test_things_come_and_go_between_two_pages() -> None:
    first, token = page(ITEMS, str, "v", size=5, token="")
    left = [item for item in ITEMS if item != first[-1]]
    second, _ = page(left, str, "v", size=0, token=token)
    assert second == ITEMS[5:]


@pytest.mark.parametrize("token", ["x", "5", "s-aaaaaaaa-aaaaaaaaaaaaaaaa", ITEMS[0] + "x"])
def test_what_is_no_token(token: str) -> None:
    with pytest.raises(Busy, match="without one"):
        page(ITEMS, str, "v", size=1, token=token)


def test_a_negative_size() -> None:
    with pytest.raises(InvalidInput):
        page(ITEMS, str, "v", size=-1, token="")
