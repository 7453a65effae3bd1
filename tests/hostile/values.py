"""Hostile requests, made from the protobuf descriptors: no field and no RPC can be forgotten.

Every field of every request gets values of its kind that somebody might try: empty, over-long, any
Unicode that the wire allows, dots, absolute paths, negative and huge numbers, unknown enum values
and map keys. Where it helps to get past the first check, what really exists is mixed in.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

NUMBERS = (0, 1, -1, 2, 4096, 1 << 20, 1 << 26, 2**31 - 1, 2**31, 2**50, 2**50 + 1, 2**62)
EXTREMES = (2**63 - 1, -(2**63))
TEXTS = (
    *("", ".", "..", "/", "//", "a", "-", "--", "-rf", "~", "*", "%s%n", "${HOME}", "$(id)"),
    *("a" * 128, "a" * 129, "ä" * 64, "ä" * 65, "x" * 4096, "\u2028" * 1365, "y" * 9000),
    *("\0", "a\0b", "a\nb", "a\r", "\x1b[2J", "\x7f", "\x85", "\u2028", "\u202etxt.exe", "\ufeff"),
    *("../../etc/passwd", "/etc/passwd", "/proc/self/root", "/dev/null", "/..", "/a/../b", "./a"),
    *("ebb/pool0", "ebbtest/pool0", "ebbtest/pool0_tdata", "no/such", "vg/lv/x", "attach", "@tag"),
    *("v-aaaaaaaa-aaaaaaaaaaaaaaaa", "s-aaaaaaaa-aaaaaaaaaaaaaaaa", "g-aaaaaaaa-aaaaaaaaaaaaaaaa"),
    *("ebb.deleting", "ebb.v=99", "true", "0", "-1", "1e999", "9" * 63, "5ms", "NaN", "10Gi"),
    *("ext4", "xfs", "btrfs", "EXT4", "swap", "ro", "remount", "bind", "loop=/dev/loop0", "a,b"),
)
KEYS = (
    *("", "pool", "mkfs-options", "mount-options", "iops", "floor-iops", "priority", "bps"),
    *("latency-objective", "csi.storage.k8s.io/fstype", "csi.storage.k8s.io/pvc/name"),
    *("csi.storage.k8s.io/pvc/namespace", "csi.storage.k8s.io/ephemeral", "ebb.internal/read-only"),
    *("topology.csi.ebb.internal/node", "unknown", "IOPS", "é", "\n", "k" * 300),
)


@dataclass(frozen=True, slots=True)
class Method:
    """An RPC: its service, its name and the class of its request."""

    service: str
    name: str
    request: type[Message]

    @property
    def path(self) -> str:
        return f"/{self.service}/{self.name}"


def methods(file: FileDescriptor) -> Iterator[Method]:
    """Every RPC of every service of a proto file."""
    for service in file.services_by_name.values():
        for method in service.methods:
            yield Method(service.full_name, method.name, GetMessageClass(method.input_type))


@dataclass(frozen=True, slots=True)
class Known:
    """What exists: `texts` may stand in any field, `fields` in those of that name."""

    texts: Sequence[str] = ()
    fields: Mapping[str, Sequence[str]] = ()  # type: ignore[assignment] # an empty mapping will do


def texts(known: Sequence[str]) -> st.SearchStrategy[str]:
    free = st.text(st.characters(codec="utf-8"), max_size=40)
    plain = st.sampled_from((*TEXTS, *known)) if known else st.sampled_from(TEXTS)
    return plain | free | st.builds("{}/{}".format, plain, plain)


def requests(request: type[Message], known: Known) -> st.SearchStrategy[Message]:
    """Messages of this class with any of their fields filled."""
    descriptor = cast("Descriptor", request.DESCRIPTOR)  # the stubs name the C class beside it
    return st.builds(lambda fields: _filled(request, fields), _fields(descriptor, known))


def _filled(request: type[Message], fields: Mapping[str, object]) -> Message:
    return request(**fields)


def _fields(descriptor: Descriptor, known: Known) -> st.SearchStrategy[dict[str, object]]:
    return st.fixed_dictionaries(
        {}, optional={field.name: _value(field, known) for field in descriptor.fields}
    )


def _value(field: FieldDescriptor, known: Known) -> st.SearchStrategy[object]:
    entry = field.message_type
    if entry is not None and entry.GetOptions().map_entry:
        keys = st.sampled_from(KEYS) | texts(())
        several = st.dictionaries(keys, texts(known.texts), max_size=4)
        many = st.just({f"key-{number}": "value" for number in range(400)})
        return several | several | several | many
    one = _one(field, known)
    return st.lists(one, max_size=4) if field.is_repeated else one


def _one(field: FieldDescriptor, known: Known) -> st.SearchStrategy[object]:  # noqa: PLR0911 - a kind each
    if field.message_type is not None:
        made = GetMessageClass(field.message_type)
        return st.builds(lambda values: _filled(made, values), _fields(field.message_type, known))
    if field.enum_type is not None:
        return st.sampled_from([*field.enum_type.values_by_number, 999, 2**31 - 1, -1])
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_STRING if field.type == FieldDescriptor.TYPE_BYTES:
            return st.binary(max_size=40)
        case FieldDescriptor.CPPTYPE_STRING:
            likely = dict(known.fields or {}).get(field.name, ())
            usual = texts(known.texts)
            return st.sampled_from(likely) | usual if likely else usual
        case FieldDescriptor.CPPTYPE_BOOL:
            return st.booleans()
        case FieldDescriptor.CPPTYPE_INT32:
            return st.sampled_from([0, 1, -1, 2, 1000, 2**31 - 1, -(2**31)])
        case FieldDescriptor.CPPTYPE_INT64:
            return st.sampled_from((*NUMBERS, *EXTREMES)) | st.integers(-(2**63), 2**63 - 1)
        case _:
            raise AssertionError(f"{field.full_name}: say which values are hostile for this type")
