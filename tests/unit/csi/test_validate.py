import pytest
from ebb_csi import validate
from ebb_csi.status import Refusal
from ebb_csi.validate import Access, Mode, Shape, Sizes
from ebb_pb import csi_pb2
from grpc import StatusCode
from hypothesis import given
from hypothesis import strategies as st

INVALID = StatusCode.INVALID_ARGUMENT
EXCEEDS = StatusCode.FAILED_PRECONDITION
MOUNT = csi_pb2.VolumeCapability.MountVolume
WRITER = Mode.SINGLE_NODE_WRITER
BLOCK = csi_pb2.VolumeCapability.BlockVolume


def mount(
    mode: Mode.Mode.ValueType = Mode.SINGLE_NODE_WRITER, fs_type: str = "", *flags: str
) -> csi_pb2.VolumeCapability:
    return csi_pb2.VolumeCapability(
        mount=MOUNT(fs_type=fs_type, mount_flags=flags), access_mode=Mode(mode=mode)
    )


def block(mode: Mode.Mode.ValueType = Mode.SINGLE_NODE_WRITER) -> csi_pb2.VolumeCapability:
    return csi_pb2.VolumeCapability(block=BLOCK(), access_mode=Mode(mode=mode))


# ---- limits -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "where"),
    [
        (csi_pb2.CreateVolumeRequest(name="n" * 129), "name"),
        (csi_pb2.CreateVolumeRequest(name="é" * 65), "name"),  # bytes count, not characters
        (csi_pb2.DeleteVolumeRequest(volume_id="v" * 129), "volume_id"),
        (csi_pb2.ControllerPublishVolumeRequest(node_id="n" * 257), "node_id"),
        (csi_pb2.NodeStageVolumeRequest(staging_target_path="/" * 4097), "staging_target_path"),
        (csi_pb2.CreateVolumeRequest(parameters={"k": "v" * 4096}), "parameters"),
        (
            csi_pb2.CreateVolumeRequest(parameters={str(i): "v" * 90 for i in range(45)}),
            "parameters",
        ),
        (csi_pb2.CreateVolumeRequest(secrets={"k" * 4097: ""}), "secrets"),
        (
            csi_pb2.CreateVolumeRequest(
                volume_capabilities=[mount(WRITER, "", "a" * 4000, "b" * 97)]
            ),
            "volume_capabilities.mount.mount_flags",
        ),
        (
            csi_pb2.CreateVolumeRequest(volume_capabilities=[mount(WRITER, "f" * 129)]),
            "volume_capabilities.mount.fs_type",
        ),
        (
            csi_pb2.CreateVolumeRequest(
                volume_content_source=csi_pb2.VolumeContentSource(
                    snapshot=csi_pb2.VolumeContentSource.SnapshotSource(snapshot_id="s" * 129)
                )
            ),
            "volume_content_source.snapshot.snapshot_id",
        ),
        (
            csi_pb2.CreateVolumeGroupSnapshotRequest(source_volume_ids=["ok", "v" * 129]),
            "source_volume_ids",
        ),
        (
            csi_pb2.GetCapacityRequest(
                accessible_topology=csi_pb2.Topology(segments={"k": "v" * 4096})
            ),
            "accessible_topology.segments",
        ),
    ],
)
def test_what_is_longer_than_csi_allows_is_refused_by_its_name(
    request_: csi_pb2.CreateVolumeRequest, where: str
) -> None:
    with pytest.raises(Refusal, match=rf"^{where} has \d+ bytes, CSI allows \d+$") as refusal:
        validate.limits(request_)
    assert refusal.value.code is INVALID


def test_what_is_exactly_as_long_as_csi_allows_passes() -> None:
    validate.limits(csi_pb2.CreateVolumeRequest(name="é" * 64, parameters={"k": "v" * 4095}))
    validate.limits(csi_pb2.ControllerPublishVolumeRequest(node_id="n" * 256))
    validate.limits(csi_pb2.NodePublishVolumeRequest(target_path="/" * 4096))
    flags = mount(WRITER, "", "a" * 4000, "b" * 96)
    validate.limits(csi_pb2.CreateVolumeRequest(volume_capabilities=[flags]))


def test_a_refused_secret_is_not_repeated() -> None:
    with pytest.raises(Refusal) as refusal:
        validate.limits(csi_pb2.DeleteVolumeRequest(secrets={"key": "hunter2" * 600}))
    assert "hunter2" not in refusal.value.message


# ---- names, ids, paths --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["pvc-1", "名前", "a b\tc\n", "../../etc", "-rf", "a'; drop"])
def test_a_name_may_be_any_unicode(name: str) -> None:
    assert validate.new_name(name) == name


@pytest.mark.parametrize("character", ["\x00", "\x08", "\x0b", "\x1f", "\x7f", "\x9f"])
def test_a_name_with_a_control_character_is_refused(character: str) -> None:
    with pytest.raises(Refusal, match=f"U\\+{ord(character):04X}"):
        validate.new_name(f"a{character}b")


@given(st.text(min_size=1))
def test_a_name_is_refused_exactly_for_the_characters_csi_lists(name: str) -> None:
    forbidden = {*range(9), 0x0B, 0x0C, *range(0x0E, 0x20), *range(0x7F, 0xA0)}
    if any(ord(character) in forbidden for character in name):
        with pytest.raises(Refusal):
            validate.new_name(name)
    else:
        assert validate.new_name(name) == name


def test_a_missing_value_is_named() -> None:
    with pytest.raises(Refusal, match=r"^volume_id is missing$") as refusal:
        validate.required("volume_id", "")
    assert refusal.value.code is INVALID


def test_a_path_is_absolute() -> None:
    assert validate.path("target_path", "/var/lib/kubelet/x") == "/var/lib/kubelet/x"
    with pytest.raises(Refusal, match="target_path must be absolute, it is 'var/lib'"):
        validate.path("target_path", "var/lib")


def test_a_volume_is_never_at_a_relative_path() -> None:
    assert validate.volume_path("/var/lib/kubelet/x") == "/var/lib/kubelet/x"
    with pytest.raises(Refusal, match="no volume at 'some/path'") as refusal:
        validate.volume_path("some/path")
    assert refusal.value.code is StatusCode.NOT_FOUND
    with pytest.raises(Refusal, match="volume_path is missing"):
        validate.volume_path("")


@pytest.mark.parametrize("name", ["", "-a", "a-", "a_b", "a/b", "a" * 55])
def test_a_driver_name_csi_would_not_take_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no driver name"):
        validate.driver_name(name)


def test_the_topology_key_of_the_longest_driver_name_fits() -> None:
    assert len("topology." + validate.driver_name("a" * 54)) == 63


# ---- capabilities -------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", sorted(validate.SUPPORTED_MODES))
def test_every_single_node_mode_is_served(mode: Mode.Mode.ValueType) -> None:
    assert validate.access(block(mode), EXCEEDS) == Access(mode, block=True)
    assert validate.access(mount(mode, "xfs", "noatime"), EXCEEDS) == Access(
        mode, block=False, filesystem="xfs", mount_flags=("noatime",)
    )


@pytest.mark.parametrize("code", [EXCEEDS, INVALID])
@pytest.mark.parametrize(
    "mode",
    [
        Mode.MULTI_NODE_READER_ONLY,
        Mode.MULTI_NODE_SINGLE_WRITER,
        Mode.MULTI_NODE_MULTI_WRITER,
    ],
)
def test_a_multi_node_mode_exceeds_with_the_code_of_its_rpc(
    mode: Mode.Mode.ValueType, code: StatusCode
) -> None:
    with pytest.raises(Refusal, match=f"{Mode.Mode.Name(mode)} is not offered") as refusal:
        validate.access(mount(mode), code)
    assert refusal.value.code is code


def test_a_mode_of_a_later_csi_exceeds_too() -> None:
    with pytest.raises(Refusal, match="number 99 is not offered") as refusal:
        validate.access(mount(99), EXCEEDS)  # type: ignore[arg-type] # a number csi.proto has no name for
    assert refusal.value.code is EXCEEDS


@pytest.mark.parametrize(
    ("capability", "message"),
    [
        (csi_pb2.VolumeCapability(access_mode=Mode(mode=WRITER)), "neither block nor mount"),
        (csi_pb2.VolumeCapability(block=BLOCK()), "access_mode is missing"),
        (
            csi_pb2.VolumeCapability(
                mount=MOUNT(volume_mount_group="7"), access_mode=Mode(mode=WRITER)
            ),
            "volume_mount_group is not offered",
        ),
    ],
)
def test_a_malformed_capability_is_invalid_whatever_the_rpc(
    capability: csi_pb2.VolumeCapability, message: str
) -> None:
    with pytest.raises(Refusal, match=message) as refusal:
        validate.access(capability, EXCEEDS)
    assert refusal.value.code is INVALID


def test_one_capability_is_required() -> None:
    empty = csi_pb2.NodeStageVolumeRequest()
    with pytest.raises(Refusal, match="volume_capability is missing") as refusal:
        validate.one_access(empty, empty.volume_capability, EXCEEDS)
    assert refusal.value.code is INVALID
    with pytest.raises(Refusal, match="volume_capabilities is missing"):
        validate.accesses([], EXCEEDS)


def test_capabilities_share_one_shape() -> None:
    writer, reader = (
        validate.access(mount(mode, fs_type), EXCEEDS)
        for mode, fs_type in ((Mode.SINGLE_NODE_WRITER, "xfs"), (Mode.SINGLE_NODE_READER_ONLY, ""))
    )
    raw = validate.access(block(), EXCEEDS)
    assert validate.shape([writer, reader], {}) == Shape(block=False, filesystem="xfs")
    assert validate.shape([reader], {}) == Shape(block=False, filesystem="")
    assert validate.shape([raw], {"csi.storage.k8s.io/fstype": "xfs"}) == Shape(block=True)
    with pytest.raises(Refusal, match="ask for block and mount"):
        validate.shape([writer, raw], {})
    other = validate.access(mount(WRITER, "ext4"), EXCEEDS)
    with pytest.raises(Refusal, match="several filesystems: ext4, xfs"):
        validate.shape([writer, other], {})


def test_the_storage_class_names_the_filesystem_where_the_capability_does_not() -> None:
    parameters = {"csi.storage.k8s.io/fstype": "btrfs"}
    silent = validate.access(mount(), EXCEEDS)
    assert validate.shape([silent], parameters).filesystem == "btrfs"
    spoken = validate.access(mount(WRITER, "xfs"), EXCEEDS)
    assert validate.shape([spoken], parameters).filesystem == "xfs"


@pytest.mark.parametrize(
    ("capability", "filesystem", "message"),
    [
        (block(), "ext4", "has a ext4 filesystem; it is no raw block volume"),
        (mount(), "", "raw block volume; it cannot be mounted"),
        (mount(WRITER, "xfs"), "ext4", "has ext4, not xfs"),
    ],
)
def test_an_access_must_fit_the_volume(
    capability: csi_pb2.VolumeCapability, filesystem: str, message: str
) -> None:
    with pytest.raises(Refusal, match=message) as refusal:
        validate.fits(validate.access(capability, EXCEEDS), filesystem, EXCEEDS)
    assert refusal.value.code is EXCEEDS


def test_a_fitting_access_passes() -> None:
    validate.fits(validate.access(block(), EXCEEDS), "", EXCEEDS)
    validate.fits(validate.access(mount(), EXCEEDS), "ext4", EXCEEDS)
    validate.fits(validate.access(mount(WRITER, "ext4"), EXCEEDS), "ext4", EXCEEDS)


# ---- sizes, sources, lists ----------------------------------------------------------------------


def test_sizes() -> None:
    capacity = csi_pb2.CapacityRange
    assert validate.sizes(capacity()) == Sizes()
    assert validate.sizes(capacity(required_bytes=5, limit_bytes=5)) == Sizes(5, 5)
    assert validate.sizes(capacity(limit_bytes=5)) == Sizes(0, 5)
    for bad in (
        capacity(required_bytes=-1),
        capacity(limit_bytes=-1),
        capacity(required_bytes=6, limit_bytes=5),
    ):
        with pytest.raises(Refusal) as refusal:
            validate.sizes(bad)
        assert refusal.value.code is INVALID
    with pytest.raises(Refusal, match="capacity_range is missing"):
        validate.new_size(capacity())


def test_a_content_source_names_what_it_is() -> None:
    source = csi_pb2.VolumeContentSource

    def asked(given: csi_pb2.VolumeContentSource | None) -> str:
        return validate.content_source(csi_pb2.CreateVolumeRequest(volume_content_source=given))

    assert asked(None) == ""
    assert asked(source(snapshot=source.SnapshotSource(snapshot_id="s"))) == "s"
    assert asked(source(volume=source.VolumeSource(volume_id="v"))) == "v"
    with pytest.raises(Refusal, match="neither snapshot nor volume"):
        asked(source())
    with pytest.raises(Refusal, match=r"snapshot_id is missing"):
        asked(source(snapshot=source.SnapshotSource()))


def test_max_entries_is_not_negative() -> None:
    assert validate.max_entries(0) == 0
    with pytest.raises(Refusal, match="max_entries is negative: -1"):
        validate.max_entries(-1)


def test_snapshots_take_no_parameters_but_the_orchestrators() -> None:
    validate.snapshot_parameters({"csi.storage.k8s.io/volumesnapshot/name": "s"})
    with pytest.raises(Refusal, match="unknown snapshot parameter 'speed'"):
        validate.snapshot_parameters({"speed": "9"})


def test_a_group_has_volumes_each_once() -> None:
    assert validate.group_sources(["b", "a"]) == ("b", "a")
    for bad, message in (
        ([], "at least one"),
        (["a", ""], "empty id"),
        (["a", "a"], "twice"),
    ):
        with pytest.raises(Refusal, match=message):
            validate.group_sources(bad)


def test_inline_ephemeral_volumes_are_refused_with_the_way_out() -> None:
    validate.not_ephemeral({"csi.storage.k8s.io/ephemeral": "false"})
    with pytest.raises(Refusal, match="volumeClaimTemplate"):
        validate.not_ephemeral({"csi.storage.k8s.io/ephemeral": "true"})
