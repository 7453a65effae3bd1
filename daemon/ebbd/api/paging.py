"""Pages of a list ordered by id: the token is the id that the next page begins after."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from ebbd.errors import Busy, InvalidInput
from ebbd.volumes.names import parse_id

T = TypeVar("T")


def page(
    items: Sequence[T], identify: Callable[[T], str], kind: str, *, size: int, token: str
) -> tuple[list[T], str]:
    """One page and the token of the next, empty at the end. `kind` is the ids' kind (v or s).

    A token stays good when things come and go between pages: it names a place, not a count.
    """
    if size < 0:
        raise InvalidInput("the page size is negative", "use 0 for everything at once")
    if token and parse_id(token, kind) is None:
        # CSI asks for ABORTED here: start the listing again (csi.proto, ListVolumes).
        raise Busy(f"{token!r} is not a page token", "start the list again without one")
    rest = [item for item in items if identify(item) > token] if token else list(items)
    if not size or len(rest) <= size:
        return rest, ""
    return rest[:size], identify(rest[size - 1])
