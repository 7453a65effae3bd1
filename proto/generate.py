#!/usr/bin/env python3
"""Makes the committed code in ebb_pb from its .proto files, and tells when it is stale.

    python proto/generate.py            write the modules, their stubs and generated.json
    python proto/generate.py --check    exit 1 and name what is stale; write nothing

`generated.json` records the generators' versions and a hash of every source and output. The
check compares those hashes, so it needs no generator and answers the same whatever versions are
installed; where the installed generators are the recorded ones it also generates afresh and
compares the text.
"""

import argparse
import hashlib
import json
import shutil
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from grpc_tools import protoc

PROTO = Path(__file__).resolve().parent
PACKAGE = PROTO / "ebb_pb"
RECORD = PACKAGE / "generated.json"
GENERATORS = ("grpcio-tools", "mypy-protobuf")
SUFFIXES = ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py", "_pb2_grpc.pyi")
REMEDY = "run `python proto/generate.py` and commit proto/ebb_pb"


class Record(NamedTuple):
    """What generated.json says: versions by package, SHA-256 by file name."""

    generators: dict[str, str]
    sources: dict[str, str]
    outputs: dict[str, str]


def sources() -> list[Path]:
    return sorted(PACKAGE.glob("*.proto"))


def hashes(files: list[Path]) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def outputs_in(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.name.endswith(SUFFIXES))


def generate_into(folder: Path) -> list[Path]:
    """Run protoc on every source; returns what it wrote into `folder`."""
    plugins = [
        f"--plugin={name}={plugin(name)}" for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")
    ]
    well_known = Path(protoc.__file__).parent / "_proto"
    exit_code = protoc.main(
        [
            "protoc",
            f"--proto_path={PROTO}",
            f"--proto_path={well_known}",
            *plugins,
            f"--python_out={folder}",
            f"--grpc_python_out={folder}",
            f"--mypy_out=quiet:{folder}",
            f"--mypy_grpc_out=quiet:{folder}",
            *(str(source) for source in sources()),
        ]
    )
    if exit_code != 0:
        raise SystemExit(f"protoc ended with {exit_code}; its message above names the line")
    return outputs_in(folder / PACKAGE.name)


def plugin(name: str) -> str:
    """Where pip put protoc's plugin: beside this interpreter, or on PATH."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if found is None:
        raise SystemExit(f"{name} is not installed; `pip install --group dev` brings it")
    return found


def installed_generators() -> dict[str, str]:
    return {name: metadata.version(name) for name in GENERATORS}


def write() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        fresh = generate_into(Path(scratch))
        for stale in outputs_in(PACKAGE):
            stale.unlink()
        for file in fresh:
            shutil.copyfile(file, PACKAGE / file.name)
    record = Record(installed_generators(), hashes(sources()), hashes(outputs_in(PACKAGE)))
    RECORD.write_text(json.dumps(record._asdict(), indent=2) + "\n")


def stale_files() -> list[str]:
    """Names of sources changed since, and outputs that are not what was generated."""
    if not RECORD.exists():
        return [RECORD.name]
    record = Record(**json.loads(RECORD.read_text()))
    stale = differing(record.sources, hashes(sources()))
    stale += differing(record.outputs, hashes(outputs_in(PACKAGE)))
    if not stale and record.generators == installed_generators():
        with tempfile.TemporaryDirectory() as scratch:
            stale += differing(record.outputs, hashes(generate_into(Path(scratch))))
    return stale


def differing(recorded: dict[str, str], found: dict[str, str]) -> list[str]:
    names = sorted(recorded.keys() | found.keys())
    return [name for name in names if recorded.get(name) != found.get(name)]


def main() -> None:
    parser = argparse.ArgumentParser(description="Generate ebb_pb from its .proto files.")
    parser.add_argument("--check", action="store_true", help="only tell what is stale")
    if not parser.parse_args().check:
        write()
        return
    stale = stale_files()
    if stale:
        raise SystemExit(f"stale in proto/ebb_pb: {', '.join(stale)}; {REMEDY}")


if __name__ == "__main__":
    main()
