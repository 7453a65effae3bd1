"""Messages of ebb.v1 as plain JSON values.

Field names are the API's own, every field is always there, 64-bit integers stay integers (the
protobuf JSON mapping would quote them) and times are RFC 3339. tests/contract/cli pins the shapes.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, cast

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

Plain: TypeAlias = "bool | int | float | str | list[Plain] | dict[str, Plain] | None"


def plain(message: Message) -> dict[str, Plain]:
    """Every field of a message; an absent sub-message is null."""
    # The stubs also name the C implementation's own class, which has the same attributes.
    fields = cast("Sequence[FieldDescriptor]", message.DESCRIPTOR.fields)
    return {field.name: _field(message, field, getattr(message, field.name)) for field in fields}


def _field(message: Message, field: FieldDescriptor, value: Any) -> Plain:  # noqa: ANN401 - protobuf fields are of any type
    if isinstance(value, Mapping):
        return {key: _value(field, value[key]) for key in sorted(value)}
    if field.is_repeated:
        return [_value(field, item) for item in value]
    if field.type == FieldDescriptor.TYPE_MESSAGE and not message.HasField(field.name):
        return None
    return _value(field, value)


def _value(field: FieldDescriptor, value: Any) -> Plain:  # noqa: ANN401 - protobuf fields are of any type
    match value:
        case Timestamp():
            return value.ToJsonString()
        case Message():
            return plain(value)
        case int() if field.type == FieldDescriptor.TYPE_ENUM and field.enum_type:
            return field.enum_type.values_by_number[value].name
        case bool() | int() | float() | str():
            return value
        case _:
            raise TypeError(f"{field.full_name}: no JSON shape is decided for {type(value)}")
