"""deploy/kubernetes: what a cluster takes, what hangs together, and who may do what."""

import copy
import re
from typing import Any

import pytest
from conformance.manifests import (
    EBBD,
    FOLDER,
    FOLDERS,
    Object,
    Refused,
    check,
    command_line,
    container,
    containers,
    find,
    named,
    of_kind,
    options,
    pods,
    rendered,
)
from ebb_cli.app import build as build_cli
from ebb_csi.__main__ import DEFAULT_DRIVER_NAME, settings
from ebb_csi.__main__ import parser as csi_parser
from ebbd.__main__ import arguments as ebbd_arguments
from ebbd.app import GRACE_S
from ebbd.config import Config, parse_config
from ebbd.intent import KEYS as INTENT_KEYS
from typer.testing import CliRunner

pytestmark = pytest.mark.timeout(900)  # the first of them builds kustomize

CLUSTER_WIDE = {
    *("Namespace", "CSIDriver", "StorageClass", "VolumeSnapshotClass", "VolumeGroupSnapshotClass"),
    *("VolumeAttributesClass", "ClusterRole", "ClusterRoleBinding"),
}
NAMESPACE = "ebb-system"


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_object_keeps_the_published_schema(folder: str) -> None:
    assert rendered(folder)
    for item in rendered(folder):
        check(item)


@pytest.mark.parametrize(
    ("kind", "name", "path", "value", "told"),
    [
        ("CSIDriver", "csi.ebb.internal", ("spec", "podInfoOnMuont"), True, "podInfoOnMuont"),
        ("CSIDriver", "csi.ebb.internal", ("spec", "attachRequired"), "no", "attachRequired"),
        ("StorageClass", "ebb", ("allowVolumeGrowth",), True, "allowVolumeGrowth"),
        ("StorageClass", "ebb", ("provisioner",), None, "provisioner"),
        ("DaemonSet", "ebb-node", ("spec", "template", "spec", "hostPid"), True, "hostPid"),
        ("Deployment", "ebb-controller", ("spec", "replicas"), "2", "replicas"),
        ("VolumeAttributesClass", "ebb-gold", ("apiVersion",), "storage.k8s.io/v2", "schema"),
        ("VolumeSnapshotClass", "ebb", ("deletionPolicy",), "Keep", "Keep"),
        ("VolumeSnapshotClass", "ebb", ("provisioner",), "x", "provisioner"),
        ("VolumeGroupSnapshotClass", "ebb", ("driver",), None, "driver"),
    ],
)
def test_what_a_cluster_would_refuse_is_refused(
    kind: str, name: str, path: tuple[str, ...], value: object, told: str
) -> None:
    broken: Any = copy.deepcopy(find("overlays/example", kind, name))
    section = broken
    for key in path[:-1]:
        section = section[key]
    if value is None:
        del section[path[-1]]
    else:
        section[path[-1]] = value
    with pytest.raises(Refused, match=told):
        check(broken)


def test_a_component_that_does_not_find_its_container_stops_the_rendering() -> None:
    """The patch of group-snapshots names the container it changes, not only its place."""
    patches = (FOLDER / "components/group-snapshots/kustomization.yaml").read_text("utf-8")
    [(place, name)] = re.findall(r"op: test, path: \S+/(\d+)/name, value: (\S+)}", patches)
    pod = dict(pods(rendered("base")))["ebb-controller"]
    assert pod["spec"]["containers"][int(place)]["name"] == name
    told = options(container("overlays/example", "ebb-controller", name))
    assert told["--feature-gates"] == "CSIVolumeGroupSnapshot=true"
    assert "--feature-gates" not in options(container("base", "ebb-controller", name))


@pytest.mark.parametrize("folder", FOLDERS)
def test_everything_is_in_the_namespace_or_has_none(folder: str) -> None:
    for item in rendered(folder):
        inside = item["metadata"].get("namespace")
        assert (inside is None) == (item["kind"] in CLUSTER_WIDE), named(item)
        assert inside in {None, NAMESPACE}, named(item)


def test_the_namespace_lets_the_pods_in() -> None:
    labels = find("base", "Namespace", NAMESPACE)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "privileged"


# How the parts refer to each other.


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_mount_has_its_volume_and_every_volume_is_mounted(folder: str) -> None:
    for name, pod in pods(rendered(folder)):
        volumes = {volume["name"] for volume in pod["spec"]["volumes"]}
        mounted = {
            mount["name"] for each in containers(pod) for mount in each.get("volumeMounts", ())
        }
        assert mounted == volumes, name


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_probe_names_a_port_of_its_container(folder: str) -> None:
    probed = 0
    for name, pod in pods(rendered(folder)):
        every_port = [port for each in containers(pod) for port in each.get("ports", ())]
        numbers = [port["containerPort"] for port in every_port]
        assert len(numbers) == len(set(numbers)), name
        for each in containers(pod):
            ports = {port["name"] for port in each.get("ports", ())}
            for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
                probe = each.get(kind, {})
                action = probe.get("httpGet") or probe.get("tcpSocket")
                if action:
                    assert action["port"] in ports, (name, each["name"], kind)
                    probed += 1
    assert probed


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_selector_finds_the_pods_it_means(folder: str) -> None:
    items = rendered(folder)
    labels = {name: pod["metadata"]["labels"] for name, pod in pods(items)}

    def chosen(selector: Object) -> list[str]:
        return [name for name, own in labels.items() if selector.items() <= own.items()]

    for item in items:
        spec = item.get("spec", {})
        match item["kind"]:
            case "DaemonSet" | "Deployment":
                assert chosen(spec["selector"]["matchLabels"]) == [item["metadata"]["name"]]
            case "Service":
                assert chosen(spec["selector"]) == ["ebb-node"]
            case "PodDisruptionBudget":
                assert chosen(spec["selector"]["matchLabels"]) == ["ebb-controller"]
            case "NetworkPolicy":
                assert chosen(spec["podSelector"]["matchLabels"]) == [item["metadata"]["name"]]
            case _:
                assert "selector" not in spec, named(item)


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_account_role_and_subject_is_there(folder: str) -> None:
    items = rendered(folder)
    there = {(item["kind"], item["metadata"]["name"]) for item in items}
    for _, pod in pods(items):
        assert ("ServiceAccount", pod["spec"]["serviceAccountName"]) in there
    bindings = [item for item in items if item["kind"].endswith("RoleBinding")]
    assert bindings
    bound = set()
    for item in bindings:
        role = (item["roleRef"]["kind"], item["roleRef"]["name"])
        assert role in there
        bound.add(role)
        for subject in item["subjects"]:
            assert subject["namespace"] == NAMESPACE
            assert (subject["kind"], subject["name"]) in there
    assert bound == {role for role in there if role[0] in {"Role", "ClusterRole"}}


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_configmap_that_a_pod_mounts_is_there(folder: str) -> None:
    there = {item["metadata"]["name"] for item in of_kind(folder, "ConfigMap")}
    given = {"kube-root-ca.crt"}  # Kubernetes puts it into every namespace
    for _, pod in pods(rendered(folder)):
        for volume in pod["spec"]["volumes"]:
            sources = [volume, *volume.get("projected", {}).get("sources", ())]
            for source in sources:
                if "configMap" in source:
                    assert source["configMap"]["name"] in there | given


@pytest.mark.parametrize("folder", FOLDERS)
def test_images_are_pinned_and_name_no_host_but_the_example(folder: str) -> None:
    for _, pod in pods(rendered(folder)):
        for each in containers(pod):
            path, _, tag = each["image"].rpartition(":")
            assert re.fullmatch(r"v?\d+\.\d+\.\d+", tag), each["image"]
            host = path.partition("/")[0]
            expected = {"sig-storage", "ebb"} if folder == "base" else {"registry.example"}
            assert host in expected


def test_the_image_of_ebb_has_the_version_of_ebb() -> None:
    from ebbd import __version__  # noqa: PLC0415 - beside its only use

    assert container("base", "ebb-node", EBBD)["image"] == f"ebb:{__version__}"


# What the programs make of their command lines.


@pytest.mark.parametrize("folder", FOLDERS)
def test_ebb_csi_takes_its_command_lines(folder: str) -> None:
    roles = {}
    for workload in ("ebb-node", "ebb-controller"):
        program, *words = command_line(container(folder, workload, "ebb-csi"))
        assert program == "ebb-csi"
        roles[workload] = settings(csi_parser().parse_args(words))
    assert {workload: told.role.value for workload, told in roles.items()} == {
        "ebb-node": "node",
        "ebb-controller": "controller",
    }
    assert {told.driver_name for told in roles.values()} == {DEFAULT_DRIVER_NAME}


def ebbd_config(folder: str) -> Config:
    [file] = [item for item in of_kind(folder, "ConfigMap") if "ebbd.yaml" in item["data"]]
    return parse_config(file["data"]["ebbd.yaml"], hostname="worker-1")


@pytest.mark.parametrize("folder", FOLDERS)
def test_ebbd_takes_its_command_line_and_its_configuration(folder: str) -> None:
    daemon = container(folder, "ebb-node", EBBD)
    line = command_line(daemon)
    assert line[: line.index("--")] == ["nsenter", "--target=1", "--cgroup"]
    program, *words = line[line.index("--") + 1 :]
    given = ebbd_arguments().parse_args(words)
    assert program == "ebbd"
    assert given.node_id == "NODE_NAME"
    [variable] = daemon["env"]
    assert variable["valueFrom"]["fieldRef"]["fieldPath"] == "spec.nodeName"
    mounts = {mount["mountPath"] for mount in daemon["volumeMounts"]}
    assert str(given.config.parent) in mounts
    config = ebbd_config(folder)
    assert {config.run_directory, "/dev"} <= mounts
    assert config.api.socket.startswith(f"{config.run_directory}/")
    assert "/var/lib/kubelet" in config.mounts.allowed_directories


@pytest.mark.parametrize("folder", FOLDERS)
def test_ebbd_is_reached_where_it_listens(folder: str) -> None:
    listen = ebbd_config(folder).api.listen
    assert listen is not None
    port = int(listen.address.rpartition(":")[2])
    [own] = container(folder, "ebb-node", EBBD)["ports"]
    [served] = find(folder, "Service", "ebb-nodes")["spec"]["ports"]
    [let_in] = find(folder, "NetworkPolicy", "ebb-node")["spec"]["ingress"]
    told = options(container(folder, "ebb-controller", "ebb-csi"))["--nodes-dns"]
    assert (own["containerPort"], served["targetPort"]) == (port, own["name"])
    assert [each["port"] for each in let_in["ports"]] == [port]
    assert told == f"ebb-nodes:{served['port']}"


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_stop_waits_longer_than_the_longest_command(folder: str) -> None:
    pod = dict(pods(rendered(folder)))["ebb-node"]["spec"]
    deadline_s = ebbd_config(folder).lvm.deadline_s
    assert pod["terminationGracePeriodSeconds"] > deadline_s + GRACE_S
    for sidecar in ("csi-provisioner", "csi-snapshotter", "csi-resizer"):
        told = options(container(folder, "ebb-controller", sidecar))["--timeout"]
        assert float(told.removesuffix("s")) > deadline_s


def test_the_liveness_probe_is_a_command_of_ebb() -> None:
    probe = container("base", "ebb-node", EBBD)["livenessProbe"]
    program, *words = probe["exec"]["command"]
    options_, rest = words[:-2], words[-2:]
    assert program == "ebb"
    assert rest == ["node", "show"]
    told = CliRunner().invoke(build_cli(), [*words, "--help"])
    assert told.exit_code == 0, told.output
    [timeout] = [word.partition("=")[2] for word in options_ if word.startswith("--timeout=")]
    assert float(timeout) < probe["timeoutSeconds"]


def test_all_speak_of_one_driver_and_one_socket() -> None:
    name = DEFAULT_DRIVER_NAME
    folder = "overlays/example"
    assert [item["metadata"]["name"] for item in of_kind(folder, "CSIDriver")] == [name]
    assert [item["provisioner"] for item in of_kind(folder, "StorageClass")] == [name]
    for kind, key in (
        ("VolumeSnapshotClass", "driver"),
        ("VolumeGroupSnapshotClass", "driver"),
        ("VolumeAttributesClass", "driverName"),
    ):
        assert [item[key] for item in of_kind(folder, kind)] == [name]
    [plugin] = [
        volume["hostPath"]["path"]
        for volume in dict(pods(rendered(folder)))["ebb-node"]["spec"]["volumes"]
        if volume["name"] == "plugin-directory"
    ]
    assert plugin == f"/var/lib/kubelet/plugins/{name}"
    registrar = options(container(folder, "ebb-node", "node-driver-registrar"))
    assert registrar["--kubelet-registration-path"] == f"{plugin}/csi.sock"
    for workload, pod in pods(rendered(folder)):
        for each in pod["spec"]["containers"]:
            if "sig-storage" in each["image"]:
                assert options(each)["--csi-address"] == "/csi/csi.sock", workload
        endpoint = options(container(folder, workload, "ebb-csi"))["--endpoint"]
        assert endpoint == "unix:///csi/csi.sock"


def test_the_attributes_class_asks_for_what_ebb_knows() -> None:
    for item in of_kind("base", "VolumeAttributesClass"):
        assert set(item["parameters"]) <= set(INTENT_KEYS)


def test_the_driver_is_described_as_it_is() -> None:
    spec = find("base", "CSIDriver", DEFAULT_DRIVER_NAME)["spec"]
    assert spec["attachRequired"] is False
    assert spec["podInfoOnMount"] is True
    assert spec["storageCapacity"] is True
    assert spec["fsGroupPolicy"] == "File"
    [storage_class] = of_kind("base", "StorageClass")
    assert storage_class["volumeBindingMode"] == "WaitForFirstConsumer"
    assert storage_class["allowVolumeExpansion"] is True
