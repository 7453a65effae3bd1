"""One target a reader: bytes in, and either a value, or an error of its own. Nothing else.

Where there is a way back it is tried too: what was read and written again must be the same.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import parse_qsl

from ebb_csi import logs, paging, translate, validate
from ebb_csi.status import Refusal
from ebb_pb import csi_pb2
from ebb_units.quantity import InvalidQuantity, exact, parse_whole
from ebbd.api.paging import page
from ebbd.config import ConfigError, parse_config
from ebbd.errors import Busy, HostFailure, InvalidInput
from ebbd.host.mkfs_options import check_mkfs_options
from ebbd.host.real import dm_ioctl, lvm_answer, metadata_area, mountinfo, pool_status
from ebbd.host.real.names import checked_tag, dm_name, split_dm_name
from ebbd.host.real.text_format import Damaged
from ebbd.host.real.vg_metadata import volume_group
from ebbd.volumes import names, tags
from ebbd.volumes.parameters import parse_parameters
from ebbd.volumes.paths import check_path
from ebbd.volumes.records import Birth, read_birth, volume_tags
from google.protobuf.message import DecodeError, Message
from grpc import StatusCode
from hostile.values import methods


@dataclass(frozen=True, slots=True)
class Target:
    """`refusals` are the errors that `read` may end with; `seeds` where a search begins."""

    name: str
    read: Callable[[bytes], None]
    refusals: tuple[type[Exception], ...]
    seeds: tuple[bytes, ...]

    def feed(self, data: bytes) -> None:
        """Anything that goes up from here is a finding."""
        try:
            self.read(data)
        except self.refusals:
            return


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _config(data: bytes) -> None:
    parse_config(_text(data), hostname="node")


CSI = [method for method in methods(csi_pb2.DESCRIPTOR) if method.service != "csi.v1.Identity"]


def _csi(data: bytes) -> None:
    request = CSI[data[0] % len(CSI)].request.FromString(data[1:])
    logs.loggable(request)
    validate.limits(request)
    _judged(request)


def _judged(request: Message) -> None:
    for field in ("volume_capability", "volume_capabilities", "capacity_range"):
        value = getattr(request, field, None)
        if isinstance(value, csi_pb2.CapacityRange):
            validate.sizes(value)
        elif isinstance(value, csi_pb2.VolumeCapability):
            translate.access(validate.access(value, StatusCode.INVALID_ARGUMENT))
        elif value is not None:
            validate.accesses(value, StatusCode.INVALID_ARGUMENT)
    if isinstance(request, csi_pb2.CreateVolumeRequest):
        validate.new_name(request.name)
        validate.content_source(request)
        accesses = validate.accesses(request.volume_capabilities, StatusCode.INVALID_ARGUMENT)
        shape = validate.shape(accesses, request.parameters)
        translate.create_volume(request, shape, validate.sizes(request.capacity_range))
    if isinstance(request, csi_pb2.ListVolumesRequest | csi_pb2.ListSnapshotsRequest):
        validate.max_entries(request.max_entries)
        paging.parse(request.starting_token)


def _quantity(data: bytes) -> None:
    value = parse_whole(_text(data))
    assert parse_whole(exact(value)) == value


def _names(data: bytes) -> None:
    text = _text(data)
    for kind in "vsg":
        digest = names.parse_id(text, kind)
        assert digest is None or text.endswith(digest)
    if (head := names.parse_head_lv(text)) is not None:
        assert names.head_lv(*head) == text
    if (spelled := split_dm_name(text)) is not None:
        assert dm_name(*spelled) == text
    names.check_name(text)
    made = names.Naming("aaaaaaaa").volume_id(text)
    assert names.parse_id(made, "v") is not None
    assert tags.unescape(tags.escape(text)) == text
    checked_tag(tags.tag("name", tags.escape(text)))


def _facts(data: bytes) -> None:
    """An LV's tags, one a line, as anybody may have written them."""
    birth = read_birth(tags.read(_text(data).split("\n")), "ebb.lv.1")
    assert isinstance(birth, Birth)


def _parameters(data: bytes) -> None:
    """What passes fits its tags, and comes back from them."""
    values = dict(parse_qsl(_text(data), keep_blank_values=True))
    parameters = parse_parameters(values)
    birth = Birth("n", "00000000", "ext4", 1, parameters=parameters)
    back = read_birth(tags.read(volume_tags(birth)), "ebb.lv.1").parameters
    assert back.mkfs_options == parameters.mkfs_options
    assert back.mount_options == parameters.mount_options
    assert back.intent == parameters.intent
    for kind in ("ext4", "xfs", "btrfs"):
        check_mkfs_options(kind, parameters.mkfs_options)


def _path(data: bytes) -> None:
    path = check_path(_text(data), ["/allowed"])
    assert path.startswith("/allowed/")
    assert check_path(path, ["/allowed"]) == path
    assert "/../" not in f"{path}/"


def _metadata(data: bytes) -> None:
    volume_group(data.decode("utf-8", "surrogateescape"))


def _area(data: bytes) -> None:
    """With the checksums that damage would rarely have, so that it gets past them."""
    sector = metadata_area.SECTOR_BYTES
    head = bytearray(data[:sector].ljust(4 * sector, b"\0"))
    head[16:20] = metadata_area.checksum(bytes(head[20:sector])).to_bytes(4, "little")
    label = metadata_area.pv_label(bytes(head))
    header = bytearray(data[sector : 2 * sector].ljust(sector, b"\0"))
    header[:4] = metadata_area.checksum(bytes(header[4:])).to_bytes(4, "little")
    for area in label.areas[:1]:
        if (location := metadata_area.committed(bytes(header), area)) is not None:
            found = metadata_area.pieces(area, location)
            assert sum(piece.size for piece in found) == location.size


def _answer(data: bytes) -> None:
    answer = lvm_answer.parse(data)
    if answer is not None:
        lvm_answer.failure(("lvcreate",), answer)


def _mountinfo(data: bytes) -> None:
    mountinfo.parse(data.decode("utf-8", "surrogateescape"))


def _dm(data: bytes) -> None:
    reply = dm_ioctl.Reply("4", "n", "u", 253, 0, 0, dm_ioctl.NO_FLAGS, data[0], data[1:])
    readers: tuple[Callable[[dm_ioctl.Reply], object], ...] = (
        dm_ioctl.targets,
        lambda it: list(dm_ioctl.names(it)),
        lambda it: list(dm_ioctl.versions(it)),
        dm_ioctl.dependencies,
    )
    readers[data[0] % len(readers)](reply)


def _status(data: bytes) -> None:
    line = data.decode("utf-8", "surrogateescape")
    if line[:1] == "m":
        pool_status.parse_mapped_bytes(line[1:])
    else:
        pool_status.parse_pool_status(line)


def _pages(data: bytes) -> None:
    items = [f"v-aaaaaaaa-{letter * 16}" for letter in "abc"]
    token = _text(data[1:])
    shown, following = page(items, str, "v", size=data[0] - 1, token=token)
    assert set(shown) <= set(items)
    assert following in {"", *items}


_MOUNT = b"36 35 98:0 / /m\\040nt rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n"
_VG = b"""vg {
id = "a-b"
seqno = 5
extent_size = 8192
status = ["RESIZEABLE", "READ"]
tags = ["ebb.node=aaaaaaaa"]
physical_volumes {
pv0 {
id = "c-d"
status = ["ALLOCATABLE"]
pe_count = 100
}
}
logical_volumes {
m {
id = "x"
segment1 {
extent_count = 1
type = "striped"
stripes = ["pv0", 0]
}
}
p {
id = "y"
segment1 {
extent_count = 9
type = "thin-pool"
metadata = "m"
chunk_size = 128
transaction_id = 3
message1 {
create = "t"
}
}
}
t {
id = "z"
status = ["READ", "WRITE"]
segment1 {
extent_count = 2
type = "thin"
thin_pool = "p"
device_id = 1
transaction_id = 2
}
}
}
}
"""
_ANSWER = (
    b'{"report": [{"lv": [{"lv_name": "a"}]}], "log": [{"log_type": "error", "log_message": "no", '
    b'"log_ret_code": "5"}]}'
)
_CONFIG = b"""node: {id: a, key: aaaaaaaa, max_volumes: 3}
pools:
  - name: a/b
    loop: {file: /a, size: 1Gi}
    overcommit_ratio: 1.5
  - existing: c/d
default_pool: c/d
"""
_FACTS = b"ebb.v=1\nebb.name=a!20b\nebb.inc=00000000\nebb.fs=ext4\nebb.made=1\nebb.mkfs=-m!0A0!0A"


def _csi_seeds() -> Iterator[bytes]:
    mount = csi_pb2.VolumeCapability(mount=csi_pb2.VolumeCapability.MountVolume(fs_type="xfs"))
    mount.access_mode.mode = csi_pb2.VolumeCapability.AccessMode.SINGLE_NODE_WRITER
    for number, method in enumerate(CSI):
        request = method.request()
        for field in ("name", "volume_id", "starting_token", "target_path"):
            if hasattr(request, field):
                setattr(request, field, "a/b")
        for field in ("volume_capability", "volume_capabilities"):
            value = getattr(request, field, None)
            if isinstance(value, csi_pb2.VolumeCapability):
                value.CopyFrom(mount)
            elif value is not None:
                value.append(mount)
        yield bytes([number]) + request.SerializeToString()


TARGETS = (
    Target("config", _config, (ConfigError,), (_CONFIG, b"log: {level: info}\n", b"a: &a [*a]\n")),
    Target("csi", _csi, (Refusal, DecodeError, IndexError), tuple(_csi_seeds())),
    Target("quantity", _quantity, (InvalidQuantity,), (b"10Gi", b"1.5k", b"1e3", b"500m")),
    Target(
        *("names", _names, (InvalidInput,)),
        (b"v-aaaaaaaa-bbbbbbbbbbbbbbbb", b"ebb.aaaaaaaaaaaaaaaa.7", b"vg--a-lv", b"pvc-1"),
    ),
    Target("facts", _facts, (HostFailure,), (_FACTS, b"ebb.v=99")),
    Target(
        *("parameters", _parameters, (InvalidInput,)),
        (
            b"pool=a/b&mkfs-options=-m 0 -L 'a b'&mount-options=noatime,discard",
            b"iops=500&floor-iops=5&priority=gold&latency-objective=5ms&read-bps=20Mi",
            b"csi.storage.k8s.io/pvc/name=a&csi.storage.k8s.io/pvc/namespace=b",
        ),
    ),
    Target("path", _path, (InvalidInput,), (b"/allowed/a/b", b"/allowed/../x", b"//allowed//a/.")),
    Target("metadata", _metadata, (Damaged,), (_VG,)),
    Target(
        *("area", _area, (metadata_area.Unreadable,)),
        (b"LABELONE" + b"\0" * 8 + b"\0\0\0\0\x20\0\0\0LVM2 001" + b"a" * 32,),
    ),
    Target("answer", _answer, (HostFailure,), (_ANSWER, b'{"log": []}')),
    Target("mountinfo", _mountinfo, (HostFailure,), (_MOUNT,)),
    Target(
        *("dm", _dm, (OSError, IndexError)),
        (
            b"\4" + dm_ioctl.table([dm_ioctl.Target(0, 8, "thin", "8 -")] * 4),
            b"\1" + b"\1\0\0\0\0\0\0\0\0\0\0\0name\0",
            b"\2" + b"\0\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0thin\0",
            b"\3" + b"\1\0\0\0\0\0\0\0\1\2\3\4\5\6\7\x08",
        ),
    ),
    Target(
        *("status", _status, (HostFailure,)),
        (b"5 10/100 20/200 - rw discard_passdown error_if_no_space - 1024", b"m8 15", b"Fail"),
    ),
    Target("pages", _pages, (Busy, InvalidInput, IndexError), (b"\2v-aaaaaaaa-bbbbbbbbbbbbbbbb",)),
)
