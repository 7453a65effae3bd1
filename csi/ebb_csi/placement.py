"""On which node a new volume goes: CSI's topology requirement against the nodes there are.

Pure. A node is named by one segment, `topology.<driver name>/node`; other segments of a topology
are the orchestrator's own and do not tell ebb's nodes apart.
"""

from collections.abc import Sequence

from ebb_pb import csi_pb2
from grpc import StatusCode

from ebb_csi.status import Refusal

LABEL_CHARACTERS = 63


def topology_key(driver_name: str) -> str:
    return f"topology.{driver_name}/node"


def topology(key: str, node_id: str) -> csi_pb2.Topology:
    """Where a volume of this node can be reached.

    Raises Refusal (FAILED_PRECONDITION) for a node id that cannot be a label's value.
    """
    if len(node_id) > LABEL_CHARACTERS:
        raise Refusal(
            StatusCode.FAILED_PRECONDITION,
            f"node id {node_id!r} has {len(node_id)} characters, a topology value at most "
            f"{LABEL_CHARACTERS}; set a shorter node id in ebbd's configuration",
        )
    return csi_pb2.Topology(segments={key: node_id})


def choose(nodes: Sequence[str], requirement: csi_pb2.TopologyRequirement, key: str) -> str:
    """The node id for a new volume among `nodes`, best first where nothing else decides.

    Preferred topologies are tried in their order, then requisite ones, then (nothing being
    requisite) any node. Raises Refusal (RESOURCE_EXHAUSTED) when no node is allowed.
    """
    preferred = [wanted.segments.get(key) for wanted in requirement.preferred]
    requisite = [wanted.segments.get(key) for wanted in requirement.requisite]
    for node in (*preferred, *requisite):
        if node is not None and node in nodes and (not requisite or node in requisite):
            return node
    if requisite or not nodes:
        raise Refusal(
            StatusCode.RESOURCE_EXHAUSTED,
            f"no node of ebb's is in the requisite topology (key {key}, nodes "
            f"{', '.join(nodes) or 'none'})",
        )
    return nodes[0]


def requisite(requirement: csi_pb2.TopologyRequirement, key: str) -> frozenset[str] | None:
    """The ids of the nodes that are allowed; None: all are."""
    if not requirement.requisite:
        return None
    found = (wanted.segments.get(key) for wanted in requirement.requisite)
    return frozenset(node for node in found if node is not None)


def decides(nodes: Sequence[str], requirement: csi_pb2.TopologyRequirement, key: str) -> bool:
    """Whether the requirement itself says which of these nodes it is, or that it is none."""
    named = {wanted.segments.get(key) for wanted in requirement.preferred}
    return bool(requirement.requisite) or bool(named & set(nodes))


def existing(
    name: str,
    found: Sequence[str],
    fitting: Sequence[str],
    requirement: csi_pb2.TopologyRequirement,
    key: str,
) -> str:
    """Which of the nodes that have a volume of this name is meant, among those that fit.

    Raises Refusal (ALREADY_EXISTS) where it is only on nodes that do not.
    """
    allowed = requisite(requirement, key)
    good = [node for node in found if node in fitting and (allowed is None or node in allowed)]
    if not good:
        raise Refusal(
            StatusCode.ALREADY_EXISTS,
            f"a volume named {name!r} exists on node {', '.join(found)}, where this one may not "
            "be; delete it, or use another name",
        )
    return choose(good, requirement, key)
