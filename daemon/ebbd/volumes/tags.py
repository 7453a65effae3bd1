"""Facts as LVM tags: `ebb.<key>=<value>`, written in the command that makes the LV.

LVM's tag alphabet is [A-Za-z0-9_+.-/=!:#&] (lvm(8), "TAGS"). Values are percent-encoded with `!`
in the place of `%`; a mapping becomes one tag in the form of a query string. A tag of another
program is left alone, and a key that this version does not know is kept unread.
"""

import re
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qsl, quote, unquote, urlencode

from ebbd.errors import HostFailure

PREFIX = "ebb."
OLDEST_SCHEMA = 1  # one version back is read too
SCHEMA = 2
TAG_BYTES = 1024  # LVM's limit for one tag
_LEGAL = re.compile(r"[A-Za-z0-9_+.\-/=!:#&]+\Z")


def _swap(text: str) -> str:
    return text.replace("~", "!7E").replace("%", "!")


def escape(value: str) -> str:
    """Any text in LVM's tag alphabet; `unescape` gives it back."""
    return _swap(quote(value, safe="+/:#&=").replace("!", "%21"))


def unescape(value: str) -> str:
    return unquote(value.replace("!", "%"))


def pack(mapping: Mapping[str, str]) -> str:
    """A mapping as one value, in key order."""
    return _swap(urlencode(sorted(mapping.items()), quote_via=quote, safe=""))


def unpack(value: str) -> dict[str, str]:
    return dict(parse_qsl(value.replace("!", "%"), keep_blank_values=True))


def tag(key: str, value: str) -> str:
    """One tag; `value` is already escaped or packed. Too long a fact is a HostFailure that names
    it: input limits are set so that it cannot happen.
    """
    text = f"{PREFIX}{key}={value}" if value else f"{PREFIX}{key}"
    if len(text) > TAG_BYTES or not _LEGAL.match(text):
        raise HostFailure(f"the fact {key!r} does not fit an LVM tag ({len(text)} characters)")
    return text


def read(tags: Iterable[str]) -> dict[str, str]:
    """Ebb's tags by key, values still escaped; a tag without `=` has an empty value."""
    facts: dict[str, str] = {}
    for text in tags:
        if text.startswith(PREFIX):
            key, _, value = text.removeprefix(PREFIX).partition("=")
            facts[key] = value
    return facts
