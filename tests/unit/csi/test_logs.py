import io
import json
from typing import Any

from ebb_csi import logs
from ebb_pb import csi_pb2
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

FIELD = descriptor_pb2.FieldDescriptorProto


def test_secrets_are_stripped_and_the_rest_is_kept() -> None:
    request = csi_pb2.CreateVolumeRequest(
        name="pvc-1", parameters={"pool": "fast"}, secrets={"password": "hunter2", "user": "eve"}
    )
    assert logs.loggable(request) == {
        "name": "pvc-1",
        "parameters": {"pool": "fast"},
        "secrets": {"password": "***stripped***", "user": "***stripped***"},
    }


def test_the_request_itself_is_left_alone() -> None:
    request = csi_pb2.DeleteVolumeRequest(secrets={"key": "hunter2"})
    logs.loggable(request)
    assert request.secrets["key"] == "hunter2"


def test_every_request_of_csi_is_stripped() -> None:
    for name, message in csi_pb2.DESCRIPTOR.message_types_by_name.items():
        if "secrets" in message.fields_by_name:
            request: Message = getattr(csi_pb2, name)(secrets={"k": "hunter2"})
            assert "hunter2" not in json.dumps(logs.loggable(request)), name


def test_mount_flags_count_as_secret() -> None:
    capability = csi_pb2.VolumeCapability(
        mount=csi_pb2.VolumeCapability.MountVolume(mount_flags=["password=hunter2", "ro"])
    )
    request = csi_pb2.CreateVolumeRequest(volume_capabilities=[capability])
    assert logs.loggable(request)["volume_capabilities"][0]["mount"] == {
        "mount_flags": ["***stripped***", "***stripped***"]
    }


def test_any_kind_of_marked_field_is_stripped_however_deep() -> None:
    outer: Any = message_of_secrets()()
    inner = outer.inner.add()
    outer.word = "hunter2"
    outer.words.append("hunter2")
    outer.number = 42424242
    outer.plain = "kept"
    inner.word = "hunter2"
    shown = logs.loggable(outer)
    assert shown == {
        "word": "***stripped***",
        "words": ["***stripped***"],
        "plain": "kept",
        "inner": [{"word": "***stripped***"}],
    }


def message_of_secrets() -> type[Message]:
    """A message as CSI might grow one: marked fields that are no maps, one inside another."""
    file = descriptor_pb2.FileDescriptorProto(
        name="secrets_test.proto", package="secrets_test", syntax="proto3"
    )
    message = file.message_type.add(name="Outer")
    for number, (name, kind, label, secret) in enumerate(
        (
            ("word", FIELD.TYPE_STRING, FIELD.LABEL_OPTIONAL, True),
            ("words", FIELD.TYPE_STRING, FIELD.LABEL_REPEATED, True),
            ("number", FIELD.TYPE_INT64, FIELD.LABEL_OPTIONAL, True),
            ("plain", FIELD.TYPE_STRING, FIELD.LABEL_OPTIONAL, False),
            ("inner", FIELD.TYPE_MESSAGE, FIELD.LABEL_REPEATED, False),
        ),
        start=1,
    ):
        field = message.field.add(name=name, number=number, type=kind, label=label)
        if kind == FIELD.TYPE_MESSAGE:
            field.type_name = ".secrets_test.Outer"
        if secret:
            field.options.Extensions[csi_pb2.csi_secret] = True
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("secrets_test.Outer"))


def test_a_log_line_is_one_json_object_and_below_the_level_there_is_none() -> None:
    stream = io.StringIO()
    log = logs.logger("info", stream)
    log.debug("not shown")
    log.info("call", method="CreateVolume", code="OK")
    line = json.loads(stream.getvalue())
    assert line["event"] == "call"
    assert line["level"] == "info"
    assert line["method"] == "CreateVolume"
    assert line["timestamp"].endswith("Z")
