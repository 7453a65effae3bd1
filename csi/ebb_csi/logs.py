"""Log lines of ebb-csi: JSON, one a call, never a secret.

What is secret is not a list of names: every field that csi.proto marks `csi_secret`, however
deep, is stripped, and mount flags too (CSI says they may hold secrets but cannot mark them).
"""

import sys
from typing import Any, TextIO

import structlog
from ebb_pb import csi_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from structlog.typing import FilteringBoundLogger

STRIPPED = "***stripped***"
LEVELS = ("debug", "info", "warning", "error")


def logger(level: str, stream: TextIO = sys.stderr) -> FilteringBoundLogger:
    """A logger that writes `level` (one of LEVELS) and above to `stream`, a JSON object a line."""
    made: FilteringBoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(stream),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
    )
    return made


def loggable(request: Message) -> dict[str, Any]:
    """The request as plain values, its secrets replaced; keys of secret maps stay."""
    copy = type(request)()
    copy.CopyFrom(request)
    strip(copy)
    plain: dict[str, Any] = MessageToDict(copy, preserving_proto_field_name=True)
    return plain


def strip(message: Message) -> None:
    """Replace the values of secret fields, in place, in the message and all it contains."""
    for field, value in message.ListFields():
        if is_secret(field):
            strip_field(message, field)
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            entry = field.message_type
            if entry is not None and entry.GetOptions().map_entry:
                continue
            for nested in value if field.is_repeated else (value,):
                strip(nested)


def is_secret(field: FieldDescriptor) -> bool:
    return bool(field.GetOptions().Extensions[csi_pb2.csi_secret]) or field.name == "mount_flags"


def strip_field(message: Message, field: FieldDescriptor) -> None:
    value = getattr(message, field.name)
    entry = field.message_type
    if entry is not None and entry.GetOptions().map_entry:
        if entry.fields_by_name["value"].type == FieldDescriptor.TYPE_STRING:
            for key in tuple(value):  # setting a key may move the others
                value[key] = STRIPPED
            return
    elif field.type == FieldDescriptor.TYPE_STRING:
        if field.is_repeated:
            value[:] = [STRIPPED] * len(value)
        else:
            setattr(message, field.name, STRIPPED)
        return
    message.ClearField(field.name)  # any other kind of secret leaves no trace at all
