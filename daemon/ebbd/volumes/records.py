"""Volumes and snapshots as tags on their LVs, and back.

One LV carries its whole story, so that re-installing ebbd loses nothing. Readers ignore keys they
do not know; a schema number above ours is refused rather than misread.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ebbd.errors import HostFailure
from ebbd.model import Parameters, Prepare
from ebbd.volumes.identity import IDENTITY
from ebbd.volumes.tags import OLDEST_SCHEMA, SCHEMA, escape, pack, read, tag, unescape, unpack

VERSION = "v"
NODE = "node"
PREPARE = "prepare"
WANT = "want"
ATTACHED = "attached"
DELETING = "deleting"
ATTRIBUTES = "io.attributes"
GROUP = "group"
HEAD = "head"
ADOPTED = "adopted"
# What belongs to one generation and not to the volume.
_OF_ONE_GENERATION = (PREPARE, WANT, DELETING, HEAD, IDENTITY, ADOPTED)
# Each LV carries the lowest number whose readers understand it, so that most of what a newer ebbd
# writes is an older one's too.
PLAIN_SCHEMA = 1
ADOPTED_SCHEMA = 2


@dataclass(frozen=True, slots=True)
class Birth:
    """All that is decided when a volume's first generation, or a snapshot, is made."""

    name: str
    incarnation: str
    filesystem: str
    created_ms: int
    size_bytes: int = 0  # promised, where the LV is smaller; a snapshot: its volume's promise
    prepare: Prepare | None = None
    source: str = ""
    parameters: Parameters = field(default_factory=Parameters)
    attributes: Mapping[str, str] | None = None


def adopted_tags(birth: Birth, lv_name: str, generation: str) -> tuple[str, ...]:
    """Tags that make an LV of another name a volume; `generation` is names.generation_text."""
    plain = set(volume_tags(birth)) - {tag(VERSION, str(PLAIN_SCHEMA))}
    identity = {
        tag(VERSION, str(ADOPTED_SCHEMA)),
        tag(IDENTITY, generation),
        tag(ADOPTED, escape(lv_name)),
    }
    return tuple(sorted(plain | identity))


def volume_tags(birth: Birth) -> tuple[str, ...]:
    """Tags of a volume's LV. The hash and the generation are in the LV's name."""
    parameters = birth.parameters
    facts = {
        **_common(birth),
        "from": birth.source,
        "mkfs": _lines(parameters.mkfs_options),
        "mount": _lines(parameters.mount_options),
        "io.class": pack(parameters.intent),
        ATTRIBUTES: pack(birth.attributes or {}),
        "claim": _claim(parameters),
    }
    return tuple(tag(key, value) for key, value in facts.items() if value)


def snapshot_tags(birth: Birth, volume_id: str, volume_name: str, group: str) -> tuple[str, ...]:
    """Tags of a snapshot's LV; `group` is the group's hash, empty when it stands alone."""
    facts = {
        **_common(birth),
        "of": volume_id,
        "of-name": escape(volume_name),
        GROUP: group,
    }
    return tuple(tag(key, value) for key, value in facts.items() if value)


def next_generation_tags(
    head_tags: Iterable[str],
    *,
    head_of: str,
    moved_ms: int,
    prepare: Prepare | None,
    want_bytes: int,
) -> tuple[str, ...]:
    """Tags of a new head: the present head's facts (intent, claim, attachment, and keys that this
    version does not know), and what is the new generation's own.

    `head_of` is what it was made from: a snapshot's id, or a generation's number. `want_bytes` is
    the volume's size where the new head is smaller, else 0.
    """
    kept = read(head_tags)
    for key in _OF_ONE_GENERATION:
        kept.pop(key, None)
    kept[VERSION] = str(PLAIN_SCHEMA)  # its name says which generation of what it is
    own = {
        PREPARE: prepare or "",
        WANT: str(want_bytes) if want_bytes else "",
        HEAD: pack({"of": head_of, "made": str(moved_ms)}),
    }
    return tuple(
        sorted(
            [tag(key, value) for key, value in kept.items()]
            + [tag(key, value) for key, value in own.items() if value]
        )
    )


def head_of(facts: Mapping[str, str]) -> str:
    """What this head was made from by a rewind or an undo; empty for a volume's first."""
    return unpack(facts.get(HEAD, "")).get("of", "")


def read_birth(facts: Mapping[str, str], lv_name: str) -> Birth:
    """The other way round, from `tags.read`. HostFailure names an LV that cannot be read."""
    try:
        version = int(facts[VERSION])
        if version < OLDEST_SCHEMA:
            raise HostFailure(
                f"LV {lv_name} has tags of schema {version}, older than {OLDEST_SCHEMA}",
                "upgrade one version at a time: see 'Upgrade' in docs/operations.md",
            )
        if version > SCHEMA:
            raise HostFailure(
                f"LV {lv_name} was written by a newer ebbd (tag schema {version}, ours {SCHEMA})",
                "upgrade ebbd on this node",
            )
        namespace, _, claim = unescape(facts.get("claim", "")).partition("/")
        return Birth(
            name=unescape(facts["name"]),
            incarnation=facts["inc"],
            filesystem="" if facts["fs"] == "block" else facts["fs"],
            created_ms=int(facts["made"]),
            size_bytes=int(facts.get(WANT, "0")),
            prepare=Prepare(facts[PREPARE]) if PREPARE in facts else None,
            source=facts.get("from", ""),
            parameters=Parameters(
                mkfs_options=_read_lines(facts.get("mkfs", "")),
                mount_options=_read_lines(facts.get("mount", "")),
                claim_namespace=namespace,
                claim_name=claim,
                intent=unpack(facts.get("io.class", "")),
            ),
            attributes=unpack(facts.get(ATTRIBUTES, "")),
        )
    except (KeyError, ValueError) as bad:
        raise HostFailure(
            f"LV {lv_name} carries ebb's tags but not a whole story: {bad!r}",
            "look at it with lvs -o+tags; remove the LV or restore its tags",
        ) from bad


def _common(birth: Birth) -> dict[str, str]:
    return {
        VERSION: str(PLAIN_SCHEMA),
        "name": escape(birth.name),
        "inc": birth.incarnation,
        "fs": birth.filesystem or "block",
        "made": str(birth.created_ms),
        WANT: str(birth.size_bytes) if birth.size_bytes else "",
        PREPARE: birth.prepare or "",
    }


def _lines(words: Iterable[str]) -> str:
    """Words one a line, each line ended: an empty word (`-L ''`) is a word too."""
    return escape("".join(f"{word}\n" for word in words))


def _read_lines(value: str) -> tuple[str, ...]:
    return tuple(unescape(value).split("\n")[:-1])


def _claim(parameters: Parameters) -> str:
    if not parameters.claim_name:
        return ""
    return escape(f"{parameters.claim_namespace}/{parameters.claim_name}")
