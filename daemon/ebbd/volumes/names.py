"""Ids and LV names: derived from what the user called it, never containing it.

    volume    v-<node key>-<hash of the name>       LV  ebb.<hash>.<generation>
    snapshot  s-<node key>-<hash of the name>       LV  ebb.s.<hash>
    group     g-<node key>-<hash of the name>
    member    s-<node key>-<hash of group and volume>   LV  ebb.s.<hash>

The hash is 16 characters of base32 (80 bits of BLAKE2b), so idempotency by name is a lookup. A
dot, never an underscore, stands before the hash: LVM reserves `_tdata` and its like anywhere in
a name (lvm(8), "VALID NAMES").
"""

import base64
import hashlib
import re
from dataclasses import dataclass

from ebbd.errors import InvalidInput

HASH_CHARACTERS = 16
KEY_CHARACTERS = 8
NAME_BYTES = 128  # csi.proto: strings are at most 128 bytes unless said otherwise
_ID = re.compile(r"([vsg])-([a-z2-7]{8})-([a-z2-7]{16})\Z")
_HEAD_LV = re.compile(r"ebb\.([a-z2-7]{16})\.([1-9][0-9]{0,8})\Z")
_GENERATION = re.compile(r"([a-z2-7]{16})\.([1-9][0-9]{0,8})\Z")
_SNAPSHOT_LV = re.compile(r"ebb\.s\.([a-z2-7]{16})\Z")
# csi.proto, CreateVolumeRequest.name: control characters but tab, newline and carriage return.
_BANNED = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_KINDS = {"v": "volume", "s": "snapshot", "g": "group snapshot"}


def _digest(kind: str, text: str, characters: int) -> str:
    raw = hashlib.blake2b(
        text.encode(), digest_size=characters * 5 // 8, person=kind.encode()
    ).digest()
    return base64.b32encode(raw).decode().lower()


def node_key(node_id: str) -> str:
    """The few characters by which ids carry their node; kept as a VG tag once chosen."""
    return _digest("node", node_id, KEY_CHARACTERS)


@dataclass(frozen=True, slots=True)
class Naming:
    """Makes and reads ids for one node."""

    key: str

    def volume_id(self, name: str) -> str:
        return f"v-{self.key}-{_digest('volume', name, HASH_CHARACTERS)}"

    def snapshot_id(self, name: str) -> str:
        return f"s-{self.key}-{_digest('snapshot', name, HASH_CHARACTERS)}"

    def group_id(self, name: str) -> str:
        return f"g-{self.key}-{_digest('group', name, HASH_CHARACTERS)}"

    def member_id(self, group_id: str, volume_id: str) -> str:
        """The snapshot of a volume in a group. Hashed apart from names, so that no name that
        somebody gives a snapshot can mean it.
        """
        return f"s-{self.key}-{_digest('member', f'{group_id} {volume_id}', HASH_CHARACTERS)}"

    def id_of(self, kind: str, digest: str) -> str:
        """The id of a hash read back from an LV name or tag; `kind` is v, s or g."""
        return f"{kind}-{self.key}-{digest}"


def is_id(text: str) -> bool:
    """Has this the form of an id (of any kind, of any node)?"""
    return _ID.match(text) is not None


def parse_id(text: str, kind: str) -> str | None:
    """The hash in an id of this kind (`v`, `s` or `g`); None when it has not that form.

    An id of another form names nothing that ebb made, so callers treat None as "not found" or
    "nothing to delete", as CSI asks.
    """
    found = _ID.match(text)
    return found[3] if found and found[1] == kind else None


def require_id(text: str, kind: str) -> str:
    """As `parse_id`, but anything else is InvalidInput."""
    digest = parse_id(text, kind)
    if digest is None:
        raise InvalidInput(
            f"{text!r} is not a {_KINDS[kind]} id",
            f"ids look like {kind}-{'k' * KEY_CHARACTERS}-{'h' * HASH_CHARACTERS}",
        )
    return digest


def head_lv(digest: str, generation: int) -> str:
    return f"ebb.{digest}.{generation}"


def snapshot_lv(digest: str) -> str:
    return f"ebb.s.{digest}"


def parse_head_lv(lv_name: str) -> tuple[str, int] | None:
    """Hash and generation of a volume's LV name, None for any other name."""
    found = _HEAD_LV.match(lv_name)
    return (found[1], int(found[2])) if found else None


def generation_text(digest: str, generation: int) -> str:
    """What a volume's LV name says beside the prefix; `parse_generation` gives it back."""
    return f"{digest}.{generation}"


def parse_generation(text: str) -> tuple[str, int] | None:
    found = _GENERATION.match(text)
    return (found[1], int(found[2])) if found else None


def parse_snapshot_lv(lv_name: str) -> str | None:
    found = _SNAPSHOT_LV.match(lv_name)
    return found[1] if found else None


def check_name(name: str) -> None:
    """CSI's rule for names: any text, not empty, at most 128 bytes, no control characters."""
    if not name or len(name.encode()) > NAME_BYTES or _BANNED.search(name):
        raise InvalidInput(
            "a name must be not empty, at most 128 bytes and free of control characters",
            "choose another name",
        )
