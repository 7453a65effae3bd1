"""The image's recipe: what it copies is enough for a wheel, and the wheel is enough to run ebb."""

import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from unit.deploy.unit_files import ROOT

CONTAINERFILE = ROOT / "deploy" / "image" / "Containerfile"
SCRIPTS = ("ebb", "ebb-csi", "ebbd")
# The texts of the interfaces, for people; the watchdog, which is run as a file.
DATA = ("ebb_pb/csi.proto", "ebb_pb/ebb.proto", "ebbd/host/real/thaw_watchdog.py")

pytestmark = pytest.mark.timeout(300)


def stages() -> list[list[tuple[str, str]]]:
    """Each stage as (instruction, rest); what stands before the first FROM is left out."""
    text = re.sub(r"\\\n", " ", CONTAINERFILE.read_text(encoding="utf-8"))
    lines = [line.partition(" ") for line in text.splitlines() if line and line[0] != "#"]
    found: list[list[tuple[str, str]]] = []
    for instruction, _, rest in lines:
        if instruction == "FROM":
            found.append([])
        if found:
            found[-1].append((instruction, rest.strip()))
    return found


def copied() -> list[str]:
    return [
        source
        for instruction, rest in stages()[0]
        if instruction == "COPY"
        for source in rest.split()[:-1]
    ]


def run(*argv: str | Path) -> str:
    done = subprocess.run([str(w) for w in argv], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made from what the recipe copies and from nothing else."""
    context, out = tmp_path_factory.mktemp("context"), tmp_path_factory.mktemp("wheels")
    for name in copied():
        (context / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, context / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copy(ROOT / name, context / name)
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", out, context)
    [made] = out.iterdir()
    return made


def test_the_wheel_has_the_packages_their_data_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = {
        Path(folder).name
        for folder in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    }
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == packages
    assert set(DATA) <= names
    assert any(name.endswith("/LICENSE") for name in names)


def test_the_wheel_runs_where_nothing_else_of_the_checkout_is(wheel: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path)
    python = tmp_path / "bin" / "python"
    # The dependencies are borrowed. A path in a .pth file is added as it is: the .pth files in
    # there, of which one leads back to the checkout, are not followed.
    folder = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    (Path(folder) / "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    run(*pip, "--python", python, "install", "--no-deps", wheel)
    for script in SCRIPTS:
        assert metadata.version("ebb") in run(tmp_path / "bin" / script, "--version")
    for module in ("ebbd", "ebb_csi", "ebb_cli", "ebb_pb", "ebb_units"):
        where = run(python, "-I", "-c", f"import {module}; print({module}.__file__)").strip()
        assert Path(where).is_relative_to(folder)


def locked() -> dict[str, str]:
    """What the image installs, by its normalized name: the version, one line each with hashes."""
    text = (ROOT / "deploy" / "image" / "requirements.txt").read_text(encoding="utf-8")
    text = re.sub(r"\\\n\s*", " ", text)
    lines = [line for line in text.splitlines() if line and line[0] != "#"]
    found = {}
    for line in lines:
        exact = re.fullmatch(r"([a-z0-9-]+)==(\S+)(?: +--hash=sha256:[0-9a-f]{64})+\s*", line)
        assert exact, line
        found[exact[1]] = exact[2]
    return found


def lock_problems(dependencies: list[str], lock: dict[str, str]) -> list[str]:
    """What a lock does not give, of what the project asks for."""
    problems = []
    for each in map(Requirement, dependencies):
        version = lock.get(canonicalize_name(each.name))
        if version is None or not each.specifier.contains(version):
            problems.append(f"{each} is not met by {version}")
    return problems


def test_what_the_image_installs_is_what_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lock = locked()
    assert lock_problems(project["dependencies"], lock) == []
    assert lock_problems(["grpcio>=99", "absent"], lock) == [
        f"grpcio>=99 is not met by {lock['grpcio']}",
        "absent is not met by None",
    ]


def test_nothing_is_installed_but_what_is_locked() -> None:
    [build] = [rest for name, rest in stages()[0] if name == "RUN"]
    installs = [part for part in build.split("&&") if "pip install" in part]
    assert ["--require-hashes" in part or "--no-deps" in part for part in installs] == [True, True]


def test_the_image_names_no_registry_and_its_user_is_nobody_special() -> None:
    text = CONTAINERFILE.read_text(encoding="utf-8")
    [base] = re.findall(r"^ARG BASE=(\S+)$", text, re.MULTILINE)
    assert "." not in base.partition("/")[0].partition(":")[0]
    assert [rest.split()[0] for stage in stages() for name, rest in stage if name == "FROM"] == [
        "${BASE}",
        "${BASE}",
    ]
    final = dict(stages()[-1])
    user, _, group = final["USER"].partition(":")
    assert int(user) > 0
    assert int(group) > 0
    assert f"--gid {group} ebb" in final["RUN"]
    assert f"--uid {user} " in final["RUN"]


def test_the_programs_are_on_the_path_of_the_image() -> None:
    final = stages()[-1]
    [path] = [rest.removeprefix("PATH=") for name, rest in final if name == "ENV"]
    assert ("COPY", "--from=build /opt/ebb /opt/ebb") in final
    assert path.split(":")[0] == "/opt/ebb/bin"
    [command] = [rest for name, rest in final if name == "CMD"]
    assert command == '["ebb-csi"]'
