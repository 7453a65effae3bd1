"""The manifests of deploy/kubernetes as a cluster would get them, and the schemas they must keep.

Kubernetes' own kinds are checked against the published OpenAPI of the oldest version that we ask
for and of the newest that the schemas' package has; the snapshot classes against their CRDs.
"""

import re
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
from conformance import go_tools
from ruamel.yaml import YAML

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "kubernetes"
FOLDERS = ("base", "overlays/example")
EBBD = "ebbd"  # the container
OLDEST = "1.34"  # the first with VolumeAttributesClass in storage.k8s.io/v1
NEWEST = kubernetes_validate.latest_version()
SNAPSHOTTER = "github.com/kubernetes-csi/external-snapshotter/client/v8"

# What is read from YAML has the shape of its schema, which is what these tests are about.
Object = dict[str, Any]


class Refused(Exception):
    """An object that an API server would not take; the message says where and why."""


@cache
def rendered(folder: str) -> tuple[Object, ...]:
    """What `kubectl apply --kustomize` of this folder below deploy/kubernetes would send."""
    kustomize = go_tools.build(go_tools.KUSTOMIZE)
    done = subprocess.run(
        [str(kustomize), "build", str(FOLDER / folder)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode != 0:
        raise Refused(f"kustomize build {folder}: {done.stderr}")
    return tuple(YAML(typ="safe", pure=True).load_all(done.stdout))


def check(item: Object) -> None:
    """Raises Refused. Strict: a field that the schema does not have is one nobody would read."""
    group = item["apiVersion"].partition("/")[0]
    if group.endswith("snapshot.storage.k8s.io"):
        _check_custom(item)
        return
    for version in (OLDEST, NEWEST):
        try:
            kubernetes_validate.validate(item, version, strict=True)
        except kubernetes_validate.ValidationError as wrong:
            where = ".".join(str(part) for part in wrong.path)
            raise Refused(f"{named(item)} in Kubernetes {version}: {where}: {wrong}") from wrong
        except kubernetes_validate.SchemaNotFoundError as unknown:
            raise Refused(f"{named(item)}: {unknown.message}") from unknown


def named(item: Object) -> str:
    return f"{item['kind']}/{item['metadata']['name']}"


def _check_custom(item: Object) -> None:
    schema = _custom_schemas().get((item["apiVersion"], item["kind"]))
    if schema is None:
        raise Refused(f"{named(item)}: no CRD serves {item['apiVersion']}")
    try:
        jsonschema.Draft202012Validator(schema).validate(item)
    except jsonschema.ValidationError as wrong:
        raise Refused(f"{named(item)}: {wrong.message}") from wrong


@cache
def _custom_schemas() -> Mapping[tuple[str, str], Object]:
    """Schema of each version that is served, by apiVersion and kind."""
    found = {}
    folder = go_tools.dependency(go_tools.KUSTOMIZE, SNAPSHOTTER) / "config" / "crd"
    for file in folder.glob("*snapshot*.yaml"):
        spec = YAML(typ="safe", pure=True).load(file)["spec"]
        for version in spec["versions"]:
            if version["served"]:
                key = (f"{spec['group']}/{version['name']}", spec["names"]["kind"])
                found[key] = _closed(version["schema"]["openAPIV3Schema"], root=True)
    return found


def _closed(schema: Object, *, root: bool = False) -> Object:
    """The structural schema, with what the API server would prune made an error.

    The server itself keeps apiVersion, kind and metadata; metadata is described as any object.
    """
    closed = dict(schema)
    if "properties" in schema:
        closed["properties"] = {
            name: below if root and name == "metadata" else _closed(below)
            for name, below in schema["properties"].items()
        }
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            closed["additionalProperties"] = False
    if isinstance(schema.get("items"), dict):
        closed["items"] = _closed(schema["items"])
    return closed


def pods(items: tuple[Object, ...]) -> Iterator[tuple[str, Object]]:
    """The pod template of each workload, with the workload's name."""
    for item in items:
        if item["kind"] in {"DaemonSet", "Deployment"}:
            yield item["metadata"]["name"], item["spec"]["template"]


def containers(pod: Object) -> list[Object]:
    return [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]


def command_line(container: Object) -> list[str]:
    """Its program and arguments, with $(NAME) replaced by the name of the variable."""
    words = [*container.get("command", ()), *container.get("args", ())]
    return [re.sub(r"\$\((\w+)\)", r"\1", word) for word in words]


def find(folder: str, kind: str, name: str) -> Object:
    [found] = [
        item
        for item in rendered(folder)
        if (item["kind"], item["metadata"]["name"]) == (kind, name)
    ]
    return found


def of_kind(folder: str, kind: str) -> list[Object]:
    return [item for item in rendered(folder) if item["kind"] == kind]


def container(folder: str, workload: str, name: str) -> Object:
    pod = dict(pods(rendered(folder)))[workload]
    [found] = [each for each in containers(pod) if each["name"] == name]
    return found


def options(container: Object) -> dict[str, str]:
    """`--name=value` by name, as the Go flag package reads them; a bare `--name` is `true`."""
    pairs = [word.partition("=") for word in container["args"]]
    return {name: value if equals else "true" for name, equals, value in pairs}
