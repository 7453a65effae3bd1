"""ebb's own csi.proto against the published descriptor, fact by fact.

A wrong number, type, label, oneof, option or missing message shows as a line that names it.
"""

import subprocess

import pytest
from conformance import go_tools
from ebb_pb import csi_pb2
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    timestamp_pb2,
    wrappers_pb2,
)
from google.protobuf.descriptor import (
    Descriptor,
    EnumDescriptor,
    FieldDescriptor,
    FileDescriptor,
    ServiceDescriptor,
)
from google.protobuf.message import Message

Facts = dict[str, str]


def published() -> FileDescriptor:
    """The Go module's descriptor, as its own generated code carries it."""
    program = go_tools.build(go_tools.DESCRIPTOR)
    printed = subprocess.run([str(program)], capture_output=True, timeout=60, check=True).stdout
    return load(descriptor_pb2.FileDescriptorProto.FromString(printed))


def load(file: descriptor_pb2.FileDescriptorProto) -> FileDescriptor:
    """`file` in a pool of its own, so that two of the same package can be compared."""
    pool = descriptor_pool.DescriptorPool()
    for known in (descriptor_pb2, timestamp_pb2, wrappers_pb2):
        pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    return pool.FindFileByName(file.name)


def facts(file: FileDescriptor) -> Facts:
    found: Facts = {"package": file.package}
    for extension in file.extensions_by_name.values():
        extendee = extension.containing_type
        assert extendee is not None
        found[f"extend {extendee.full_name} {extension.name}"] = shape(extension)
    for message in file.message_types_by_name.values():
        found |= message_facts(message)
    for enum in file.enum_types_by_name.values():
        found |= enum_facts(enum)
    for service in file.services_by_name.values():
        found |= service_facts(service)
    return found


def message_facts(message: Descriptor) -> Facts:
    found = {f"message {message.full_name}": options(message.GetOptions())}
    for field in message.fields:
        found[f"field {field.full_name}"] = f"{shape(field)} {options(field.GetOptions())}"
    for nested in message.nested_types:
        found |= message_facts(nested)
    for enum in message.enum_types:
        found |= enum_facts(enum)
    return found


def shape(field: FieldDescriptor) -> str:
    label = "repeated" if field.is_repeated else "required" if field.is_required else "single"
    named = field.message_type or field.enum_type
    kind = named.full_name if named else f"type {field.type}"
    oneof = field.containing_oneof.name if field.containing_oneof else "no oneof"
    presence = "presence" if field.has_presence else "no presence"
    packed = "packed" if field.is_packed else "unpacked"
    return f"{field.number} {label} {kind} {field.json_name} {oneof} {presence} {packed}"


def enum_facts(enum: EnumDescriptor) -> Facts:
    found = {f"enum {enum.full_name}": options(enum.GetOptions())}
    for value in enum.values:
        found[f"value {enum.full_name}.{value.name}"] = (
            f"{value.number} {options(value.GetOptions())}"
        )
    return found


def service_facts(service: ServiceDescriptor) -> Facts:
    found = {f"service {service.full_name}": options(service.GetOptions())}
    for method in service.methods:
        client = "stream " if method.client_streaming else ""
        server = "stream " if method.server_streaming else ""
        found[f"rpc {method.full_name}"] = (
            f"({client}{method.input_type.full_name}) returns "
            f"({server}{method.output_type.full_name}) {options(method.GetOptions())}"
        )
    return found


def options(message: Message) -> str:
    """Options as text; csi.v1's extensions appear by name, an unknown one by its number."""
    return str(message).replace("\n", " ").strip()


def differences(theirs: Facts, ours: Facts) -> list[str]:
    return [
        f"{name}: published {theirs.get(name)!r}, ours {ours.get(name)!r}"
        for name in sorted(theirs.keys() | ours.keys())
        if theirs.get(name) != ours.get(name)
    ]


@pytest.mark.timeout(900)  # the first run downloads and builds the Go module
def test_our_csi_proto_equals_the_published_descriptor() -> None:
    theirs = facts(published())
    assert len(theirs) > 400
    assert differences(theirs, facts(csi_pb2.DESCRIPTOR)) == []


def test_a_wrong_number_a_lost_option_and_a_missing_rpc_are_each_named() -> None:
    ours = descriptor_pb2.FileDescriptorProto.FromString(csi_pb2.DESCRIPTOR.serialized_pb)
    request = next(
        message for message in ours.message_type if message.name == "CreateVolumeRequest"
    )
    fields = {field.name: field for field in request.field}
    fields["name"].number = 20
    fields["secrets"].ClearField("options")
    del next(service for service in ours.service if service.name == "Node").method[0]
    named = [
        line.split(":")[0] for line in differences(facts(csi_pb2.DESCRIPTOR), facts(load(ours)))
    ]
    assert named == [
        "field csi.v1.CreateVolumeRequest.name",
        "field csi.v1.CreateVolumeRequest.secrets",
        "rpc csi.v1.Node.NodeStageVolume",
    ]


def test_every_field_called_secrets_is_marked_as_one() -> None:
    ours = facts(csi_pb2.DESCRIPTOR)
    called = {name for name in ours if name.endswith(".secrets")}
    marked = {name for name, fact in ours.items() if "[csi.v1.csi_secret]: true" in fact}
    assert "field csi.v1.CreateVolumeRequest.secrets" in marked
    assert called == marked
