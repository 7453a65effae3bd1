import pytest
from ebb_csi import placement
from ebb_csi.status import Refusal
from ebb_pb import csi_pb2
from grpc import StatusCode

KEY = placement.topology_key("csi.ebb.internal")


def requirement(
    requisite: tuple[str, ...] = (), preferred: tuple[str, ...] = ()
) -> csi_pb2.TopologyRequirement:
    return csi_pb2.TopologyRequirement(
        requisite=[placement.topology(KEY, node) for node in requisite],
        preferred=[placement.topology(KEY, node) for node in preferred],
    )


def test_the_key_carries_the_drivers_name() -> None:
    assert KEY == "topology.csi.ebb.internal/node"


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        (requirement(), "a"),
        (requirement(requisite=("b",)), "b"),
        (requirement(requisite=("b", "c"), preferred=("c", "b")), "c"),
        (requirement(preferred=("z", "b")), "b"),
        (requirement(preferred=("z",)), "a"),  # a preference is no more than that
        (requirement(requisite=("z", "c"), preferred=("z",)), "c"),
        (requirement(requisite=("c",), preferred=("b",)), "c"),
    ],
)
def test_preferred_then_requisite_then_any(
    wanted: csi_pb2.TopologyRequirement, chosen: str
) -> None:
    assert placement.choose(("a", "b", "c"), wanted, KEY) == chosen


@pytest.mark.parametrize(
    "wanted",
    [
        requirement(requisite=("z",)),
        csi_pb2.TopologyRequirement(requisite=[csi_pb2.Topology(segments={"zone": "1"})]),
    ],
)
def test_a_requisite_topology_without_a_node_of_ours_is_exhausted(
    wanted: csi_pb2.TopologyRequirement,
) -> None:
    with pytest.raises(Refusal, match="nodes a, b") as refusal:
        placement.choose(("a", "b"), wanted, KEY)
    assert refusal.value.code is StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize(
    ("wanted", "allowed", "decides"),
    [
        (requirement(), None, False),
        (requirement(preferred=("b",)), None, True),
        (requirement(preferred=("z",)), None, False),
        (requirement(requisite=("b", "z")), {"b", "z"}, True),
        (csi_pb2.TopologyRequirement(requisite=[csi_pb2.Topology()]), set(), True),
    ],
)
def test_what_a_requirement_leaves_open(
    wanted: csi_pb2.TopologyRequirement, allowed: set[str] | None, decides: bool
) -> None:
    assert placement.requisite(wanted, KEY) == allowed
    assert placement.decides(("a", "b"), wanted, KEY) is decides


def test_a_volume_that_exists_is_taken_where_it_may_be() -> None:
    every = ("a", "b", "c")
    assert placement.existing("v", ("b",), every, requirement(preferred=("a",)), KEY) == "b"
    assert placement.existing("v", ("b", "c"), every, requirement(requisite=("c",)), KEY) == "c"
    for fitting, wanted in ((every, requirement(requisite=("a",))), (("a",), requirement())):
        with pytest.raises(Refusal, match="'v' exists on node b, where this one may not") as told:
            placement.existing("v", ("b",), fitting, wanted, KEY)
        assert told.value.code is StatusCode.ALREADY_EXISTS


def test_a_node_id_that_cannot_be_a_label_names_the_remedy() -> None:
    assert placement.topology(KEY, "n" * 63).segments[KEY] == "n" * 63
    with pytest.raises(Refusal, match="set a shorter node id") as refusal:
        placement.topology(KEY, "n" * 64)
    assert refusal.value.code is StatusCode.FAILED_PRECONDITION
