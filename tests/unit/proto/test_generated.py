"""The committed code is what the .proto files give, and the check would notice if not."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from ebb_pb import csi_pb2, csi_pb2_grpc, ebb_pb2, ebb_pb2_grpc

GENERATE = Path(__file__).parents[3] / "proto" / "generate.py"


@pytest.fixture
def generate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, working on a copy of the package."""
    spec = importlib.util.spec_from_file_location("generate", GENERATE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    package = tmp_path / "ebb_pb"
    package.mkdir()
    for file in module.PACKAGE.iterdir():
        if file.is_file():
            (package / file.name).write_bytes(file.read_bytes())
    monkeypatch.setattr(module, "PROTO", tmp_path)
    monkeypatch.setattr(module, "PACKAGE", package)
    monkeypatch.setattr(module, "RECORD", package / "generated.json")
    return module


def test_nothing_committed_is_stale(generate: ModuleType) -> None:
    assert generate.stale_files() == []


def test_a_changed_proto_is_stale_until_generated_again(generate: ModuleType) -> None:
    source = generate.PACKAGE / "ebb.proto"
    source.write_text(source.read_text() + "\nmessage Added {}\n")
    assert generate.stale_files() == ["ebb.proto"]
    generate.write()
    assert generate.stale_files() == []
    assert "class Added" in (generate.PACKAGE / "ebb_pb2.pyi").read_text()


def test_an_edited_output_is_stale(generate: ModuleType) -> None:
    output = generate.PACKAGE / "csi_pb2_grpc.py"
    output.write_text(output.read_text() + "\n# by hand\n")
    assert generate.stale_files() == ["csi_pb2_grpc.py"]


def test_an_output_of_a_deleted_proto_is_stale(generate: ModuleType) -> None:
    (generate.PACKAGE / "ebb.proto").unlink()
    assert generate.stale_files() == ["ebb.proto"]
    generate.write()
    assert not (generate.PACKAGE / "ebb_pb2.py").exists()


def test_check_ends_with_1_and_names_the_file_and_the_remedy(
    generate: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    (generate.PACKAGE / "csi_pb2.py").write_text("")
    monkeypatch.setattr(sys, "argv", ["generate.py", "--check"])
    with pytest.raises(SystemExit, match=r"csi_pb2\.py; run `python proto/generate\.py`"):
        generate.main()


def test_modules_live_in_the_ebb_pb_package() -> None:
    assert csi_pb2.DESCRIPTOR.name == "ebb_pb/csi.proto"
    assert ebb_pb2.DESCRIPTOR.package == "ebb.v1"
    assert csi_pb2_grpc.NodeStub.__module__ == "ebb_pb.csi_pb2_grpc"
    assert ebb_pb2_grpc.VolumesStub.__module__ == "ebb_pb.ebb_pb2_grpc"
