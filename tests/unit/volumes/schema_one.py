"""A reader of tag schema 1, frozen: what an ebbd one version back makes of a VG.

It shares no code with the daemon, whose reader goes on changing. An LV is a volume when its name
says so, and is understood when its schema number is 1 and its story is whole; other keys are kept
unread; an LV with a higher number is refused.
"""

import re
from collections.abc import Iterable, Mapping
from urllib.parse import unquote

_HEAD = re.compile(r"ebb\.([a-z2-7]{16})\.([1-9][0-9]*)\Z")
_SNAPSHOT = re.compile(r"ebb\.s\.([a-z2-7]{16})\Z")


class RefusedError(Exception):
    """An LV that schema 1 does not understand."""


def volumes(lvs: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Names of volumes and snapshots to the names of their LVs; `lvs` are tags by LV name.

    Raises RefusedError where one of ebb's LVs is not understood.
    """
    found: dict[str, str] = {}
    for lv_name, tags in lvs.items():
        if not (_HEAD.match(lv_name) or _SNAPSHOT.match(lv_name)):
            continue
        facts = dict(
            tag.removeprefix("ebb.").partition("=")[::2] for tag in tags if tag.startswith("ebb.")
        )
        if facts.get("v") != "1":
            raise RefusedError(f"{lv_name} has schema {facts.get('v')}")
        if missing := {"name", "inc", "fs", "made"} - facts.keys():
            raise RefusedError(f"{lv_name} lacks {missing}")
        found[unquote(facts["name"].replace("!", "%"))] = lv_name
    return found
