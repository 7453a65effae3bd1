"""deploy/kubernetes: who may do what, on the node, in the API and over the network."""

import pytest
from conformance.manifests import (
    EBBD,
    FOLDER,
    FOLDERS,
    container,
    containers,
    find,
    of_kind,
    pods,
    rendered,
)

pytestmark = pytest.mark.timeout(900)  # the first of them builds kustomize


@pytest.mark.parametrize("folder", FOLDERS)
def test_ebbd_alone_is_privileged(folder: str) -> None:
    for workload, pod in pods(rendered(folder)):
        general = pod["spec"].get("securityContext", {})
        for each in containers(pod):
            own = {**general, **each["securityContext"]}
            assert own["readOnlyRootFilesystem"] is True
            if each["name"] == EBBD:
                assert own["privileged"] is True
                continue
            assert not own.get("privileged", False), (workload, each["name"])
            assert own["allowPrivilegeEscalation"] is False
            assert own["capabilities"] == {"drop": ["ALL"]}
            assert own["seccompProfile"] == {"type": "RuntimeDefault"}


def test_root_without_privilege_is_for_kubelets_folders_only() -> None:
    pod = dict(pods(rendered("base")))["ebb-node"]
    as_root = {
        each["name"] for each in containers(pod) if each["securityContext"]["runAsUser"] == 0
    }
    assert as_root == {EBBD, "socket-directory", "certificate", "node-driver-registrar"}
    for each in containers(pod):
        assert each["securityContext"]["runAsNonRoot"] is (each["name"] not in as_root)


def test_whoever_connects_to_a_socket_is_in_its_group() -> None:
    node = dict(pods(rendered("base")))["ebb-node"]
    groups = {
        each["securityContext"]["runAsGroup"] for each in containers(node) if each["name"] != EBBD
    }
    [group] = groups
    assert f"--group={group}" in container("base", "ebb-node", "socket-directory")["args"]
    controller = dict(pods(rendered("base")))["ebb-controller"]["spec"]["securityContext"]
    assert controller["fsGroup"] == controller["runAsGroup"] == group
    recipe = (FOLDER.parent / "image" / "Containerfile").read_text("utf-8")
    assert f"\nUSER {controller['runAsUser']}:{group}\n" in recipe


def test_the_sidecars_alone_have_a_token_and_the_node_has_none() -> None:
    holders = set()
    for _, pod in pods(rendered("base")):
        assert pod["spec"]["automountServiceAccountToken"] is False
        tokens = {
            volume["name"]
            for volume in pod["spec"]["volumes"]
            if any(
                "serviceAccountToken" in source
                for source in volume.get("projected", {}).get("sources", ())
            )
        }
        for each in containers(pod):
            if tokens & {mount["name"] for mount in each["volumeMounts"]}:
                holders.add(each["name"])
    assert holders == {"csi-provisioner", "csi-snapshotter", "csi-resizer"}
    accounts = {item["metadata"]["name"]: item for item in of_kind("base", "ServiceAccount")}
    assert set(accounts) == {"ebb-node", "ebb-controller"}
    assert all(item["automountServiceAccountToken"] is False for item in accounts.values())
    subjects = {
        subject["name"]
        for item in rendered("base")
        if item["kind"].endswith("RoleBinding")
        for subject in item["subjects"]
    }
    assert subjects == {"ebb-controller"}


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_role_reaches_further_than_storage(folder: str) -> None:
    """No wildcard, no secret, no role; leases and pods in ebb's own namespace only."""
    everywhere: set[tuple[str, str]] = set()
    for item in of_kind(folder, "ClusterRole"):
        for rule in item["rules"]:
            assert rule.keys() == {"apiGroups", "resources", "verbs"}
            everywhere |= {
                (resource, verb) for resource in rule["resources"] for verb in rule["verbs"]
            }
    resources = {resource for resource, _ in everywhere}
    assert not {"*", "secrets", "pods", "leases", "configmaps", "roles"} & resources
    assert not {"*", "bind", "escalate", "impersonate", "deletecollection"} & {
        verb for _, verb in everywhere
    }
    assert {resource for resource, verb in everywhere if verb == "delete"} == {"persistentvolumes"}
    [role] = of_kind(folder, "Role")
    assert {resource for rule in role["rules"] for resource in rule["resources"]} == {
        *("leases", "csistoragecapacities", "pods", "replicasets")
    }


def test_the_network_lets_only_the_controller_reach_ebbd() -> None:
    node = find("base", "NetworkPolicy", "ebb-node")["spec"]
    controller = dict(pods(rendered("base")))["ebb-controller"]["metadata"]["labels"]
    [rule] = node["ingress"]
    [peer] = rule["from"]
    assert peer == {"podSelector": {"matchLabels": controller}}
    assert set(node["policyTypes"]) == {"Ingress", "Egress"}
    assert node.get("egress", []) == []
    assert find("base", "NetworkPolicy", "ebb-controller")["spec"].get("ingress", []) == []
    # A policy does not hold for pods on the node's own network.
    assert "hostNetwork" not in dict(pods(rendered("base")))["ebb-node"]["spec"]
