"""Lists in pages, over any number of nodes, with nothing remembered between two pages.

A token is the key of the node to go on with, a slash, and that node's own token (empty: its
beginning). Nodes are visited in the order of their keys, so that a page means the same whoever
answers it.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from grpc import StatusCode

from ebb_csi.status import Refusal

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Some items and the token that goes on after them; empty: there is no more."""

    items: tuple[Item, ...]
    next_token: str


@dataclass(frozen=True, slots=True)
class Source(Generic[Item]):
    """One node's list: `fetch(size, token)` gives a page of at most `size` items, 0 for all."""

    node_key: str
    fetch: Callable[[int, str], Awaitable[Page[Item]]]


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where the next page begins."""

    node_key: str
    inner: str = ""

    def token(self) -> str:
        return f"{self.node_key}/{self.inner}"


def parse(token: str) -> Cursor:
    """Raises Refusal (ABORTED, as CSI wants it) for what is no token of ours."""
    node_key, slash, inner = token.partition("/")
    if not slash or not node_key:
        raise bad(token)
    return Cursor(node_key, inner)


def bad(token: str) -> Refusal:
    return Refusal(
        StatusCode.ABORTED,
        f"starting_token {token!r} is not one this list gave out; start again without a token",
    )


async def page(sources: Sequence[Source[Item]], token: str, max_entries: int) -> Page[Item]:
    """At most `max_entries` (0: all) items from where `token` (empty: the beginning) points."""
    ordered = sorted(sources, key=lambda source: source.node_key)
    cursor = parse(token) if token else Cursor("")
    if token and cursor.node_key not in {source.node_key for source in ordered}:
        raise bad(token)
    items: tuple[Item, ...] = ()
    for source in ordered:
        if source.node_key < cursor.node_key:
            continue
        if max_entries and len(items) == max_entries:
            return Page(items, Cursor(source.node_key).token())
        inner = cursor.inner if source.node_key == cursor.node_key else ""
        found = await source.fetch(max_entries and max_entries - len(items), inner)
        items += found.items
        if found.next_token:
            return Page(items, Cursor(source.node_key, found.next_token).token())
    return Page(items, "")
