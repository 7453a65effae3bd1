"""deploy/kubernetes: what `ebb certs init` makes is what the pods look for, file by file."""

import os
import subprocess
from pathlib import Path

import pytest
from conformance.manifests import EBBD, FOLDERS, command_line, container, of_kind, options
from ebb_cli.app import build as build_cli
from ebbd.config import parse_config
from typer.testing import CliRunner

pytestmark = pytest.mark.timeout(900)  # the first of them builds kustomize


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """Two folders like the two Secrets, from the files that README.md names."""
    made = tmp_path / "ebb-certs"
    told = CliRunner().invoke(build_cli(), ["certs", "init", str(made), "--node", "worker-1"])
    assert told.exit_code == 0, told.output
    for name, files in {
        "ebb-nodes": [made / "ca.crt", *(made / "nodes").iterdir()],
        "ebb-controller": [
            made / "ca.crt",
            made / "clients" / "controller.crt",
            made / "clients" / "controller.key",
        ],
    }.items():
        (tmp_path / name).mkdir()
        for file in files:
            (tmp_path / name / file.name).write_bytes(file.read_bytes())
    return tmp_path


def run_init(secrets: Path, folder: str, node: str) -> subprocess.CompletedProcess[str]:
    """The init container's own command line, with its two folders elsewhere."""
    (secrets / "tls").mkdir(exist_ok=True)
    words = [
        word.replace("/etc/ebb/certificates", str(secrets / "ebb-nodes")).replace(
            "/etc/ebb/tls", str(secrets / "tls")
        )
        for word in command_line(container(folder, "ebb-node", "certificate"))
    ]
    return subprocess.run(
        words, env=os.environ | {"NODE_NAME": node}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_node_finds_its_own_pair_where_its_configuration_says(secrets: Path, folder: str) -> None:
    for _ in range(2):  # a restarted pod finds the links of before
        done = run_init(secrets, folder, "worker-1")
        assert done.returncode == 0, done.stderr
    [file] = [item for item in of_kind(folder, "ConfigMap") if "ebbd.yaml" in item["data"]]
    listen = parse_config(file["data"]["ebbd.yaml"], hostname="worker-1").api.listen
    assert listen is not None
    for wanted, source in {
        listen.certificate: "worker-1.crt",
        listen.key: "worker-1.key",
        listen.client_ca: "ca.crt",
    }.items():
        link = secrets / "tls" / Path(wanted).name
        assert wanted == f"/etc/ebb/tls/{link.name}"
        assert link.is_symlink()  # the Secret's file as it is now, not as it was
        assert link.resolve() == (secrets / "ebb-nodes" / source).resolve()


def test_a_node_without_a_certificate_says_what_to_do(secrets: Path) -> None:
    done = run_init(secrets, "base", "worker-9")
    assert done.returncode == 1
    assert "the Secret ebb-nodes has no worker-9.crt" in done.stderr
    assert "ebb certs init DIR --renew --node worker-9" in done.stderr


def test_the_secrets_are_mounted_where_they_are_looked_for(secrets: Path) -> None:
    told = options(container("base", "ebb-controller", "ebb-csi"))
    there = {file.name for file in (secrets / "ebb-controller").iterdir()}
    assert {told[name].removeprefix("/etc/ebb/tls/") for name in ("--certificate", "--key")} == {
        "controller.crt",
        "controller.key",
    }
    assert told["--ca"] == "/etc/ebb/tls/ca.crt"
    assert there == {"ca.crt", "controller.crt", "controller.key"}
    for name, path in (("certificate", "/etc/ebb/certificates"), (EBBD, "/etc/ebb/tls")):
        mounts = container("base", "ebb-node", name)["volumeMounts"]
        assert path in {mount["mountPath"] for mount in mounts}
