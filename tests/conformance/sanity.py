"""csi-sanity against ebb: `PYTHONPATH=tests python -m conformance.sanity simulated|lab`.

    simulated   `ebb-csi --role all` before `ebbd --simulate`, on this machine, in seconds; then
                `--role node` and `--role controller` apart, with two ebbd behind TLS
    lab         the same before a real pool, in a throwaway node (deploy/lab)
    node        what `lab` runs inside: this machine's own LVM, on the device named

Each runs filesystem and block mode with ModifyVolume, expansion, snapshots and the attach limit
switched on, prints ginkgo's summary, and writes filesystem.xml and block.xml (JUnit) with the logs.
Exit code 0: nothing failed and what did not run is exactly expected_skips.yaml.
"""

import argparse
import asyncio
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from conformance import go_tools, skips, stack
from ebb_csi.logs import STRIPPED

REPOSITORY = Path(__file__).resolve().parents[2]
EXPECTED = Path(__file__).with_name("expected_skips.yaml")
LAB_RESULTS = REPOSITORY / "build" / "sanity"
SIMULATED_RESULTS = REPOSITORY / "build" / "sanity-simulated"

# JUnit's name and csi-sanity's access type.
MODES = {"filesystem": "mount", "block": "block"}
# The same through a controller of two nodes; its results lie in a folder of this name.
ROUTED = "routed"
MIB = 1 << 20
VOLUME_BYTES = 64 * MIB
EXPANDED_BYTES = 128 * MIB
ATTACH_LIMIT = 4
POOL_DISK = "pool:6G"
MUTABLE_PARAMETERS = 'priority: "gold"\nread-iops: "1000"\n'
# Given to every call that takes secrets; must be in no log afterwards, at any level.
SECRET = "b7c1-never-to-be-logged"  # noqa: S105 - no password, a word to look for
SECRETS = "".join(
    f"{call}Secret: {{key: {SECRET}}}\n"
    for call in (
        *("CreateVolume", "DeleteVolume", "ControllerPublishVolume", "ControllerUnpublishVolume"),
        *("ControllerValidateVolumeCapabilities", "NodeStageVolume", "NodePublishVolume"),
        *("CreateSnapshot", "DeleteSnapshot", "ListSnapshots", "GetSnapshot"),
        *("ControllerExpandVolume", "ControllerModifyVolume"),
    )
)
MODE_TIMEOUT_S = 2700  # emulated, on a machine that does much else
LAB_TIMEOUT_S = 2 * MODE_TIMEOUT_S + 600
PROGRESS_S = 60


def main() -> int:
    arguments = parser().parse_args()
    try:
        if arguments.where == "simulated":
            program = go_tools.build(go_tools.SANITY)
            results = arguments.results or SIMULATED_RESULTS
            print(f"sanity: reports and logs go to {results}")
            return asyncio.run(run(program, stack.Pool(), results))
        if arguments.where == "lab":
            program = go_tools.build(go_tools.SANITY)
            return in_the_lab(program, arguments.results or LAB_RESULTS)
        return asyncio.run(
            run(arguments.program, stack.Pool(device=arguments.device), arguments.results)
        )
    except (go_tools.GoToolError, stack.StackError) as failure:
        print(f"sanity: {failure}", file=sys.stderr)
        return 1


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="conformance.sanity", description=__doc__)
    where = made.add_subparsers(dest="where", required=True)
    for name in ("simulated", "lab"):
        where.add_parser(name).add_argument("--results", type=Path)
    node = where.add_parser("node")
    node.add_argument("--program", type=Path, required=True, help="csi-sanity")
    node.add_argument("--device", required=True, help="whole disk for the pool; all on it is lost")
    node.add_argument("--results", type=Path, required=True)
    return made


def in_the_lab(program: Path, results: Path) -> int:
    """Boot a node, run `node` in it, bring its results back."""
    results.mkdir(parents=True, exist_ok=True)
    for name in MODES:
        (results / f"{name}.xml").unlink(missing_ok=True)
    inside = "/root/csi-sanity"
    boot = ("--disk", POOL_DISK, "--timeout", str(LAB_TIMEOUT_S), "--put", f"{program}:{inside}")
    node = ("--program", inside, "--device", "/dev/disk/by-id/virtio-pool", "--results", "/results")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "ebb_lab", "run", *boot, "--results", str(results), "--"),
            *("env", "PYTHONPATH=tests", "python3", "-m", "conformance.sanity", "node", *node),
        ],
        cwd=REPOSITORY,
        check=False,
    )
    print(f"sanity: reports and logs are in {results}")
    missing = [name for name in MODES if not (results / f"{name}.xml").exists()]
    if missing:
        print(f"sanity: the lab left no report for {', '.join(missing)}", file=sys.stderr)
        return done.returncode or 1
    return done.returncode


async def run(program: Path, pool: stack.Pool, results: Path) -> int:
    """Both modes against one ebbd; returns the exit code."""
    expected = skips.read_expected(EXPECTED)
    problems: list[str] = []
    with folder_with_logs_for(results) as folder:
        async with stack.running(folder, pool, max_volumes=ATTACH_LIMIT) as pair:
            for name in MODES:
                problems += await one_mode(program, pair, name, results, expected)
        problems += logged_secrets(folder)
    if pool.simulated:
        with folder_with_logs_for(results / ROUTED) as folder:
            async with stack.routed(folder, max_volumes=ATTACH_LIMIT) as pair:
                print("through a controller of two nodes:")
                for name in MODES:
                    problems += await one_mode(program, pair, name, results / ROUTED, expected)
            problems += logged_secrets(folder)
    for problem in problems:
        print(f"sanity: {problem}", file=sys.stderr)
    return 1 if problems else 0


def logged_secrets(folder: Path) -> list[str]:
    """A line for each log that shows the secret; the plugin's, at debug, has every request."""
    logs = sorted(folder.rglob("*.log"))
    found = [f"{log.name} shows a secret" for log in logs if SECRET in log.read_text()]
    if not any(STRIPPED in log.read_text() for log in logs):
        found.append("no log has a stripped secret: the secrets did not arrive")
    return found


@contextmanager
def folder_with_logs_for(results: Path) -> Iterator[Path]:
    """A short-lived folder to work in; whatever is logged there ends up in `results`."""
    results.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ebb-sanity-") as made:
        try:
            yield Path(made)
        finally:
            for log in Path(made).rglob("*.log"):
                name = "-".join(log.relative_to(made).parts)
                shutil.copyfile(log, results / name)


async def one_mode(
    program: Path,
    pair: stack.Stack,
    name: str,
    results: Path,
    expected: frozenset[skips.LeftOut],
) -> list[str]:
    """One run of csi-sanity: its summary printed, its report judged; a line per problem."""
    junit, log = results / f"{name}.xml", results / f"{name}.log"
    junit.unlink(missing_ok=True)
    inputs = pair.mounts.parent
    (inputs / "mutable_parameters.yaml").write_text(MUTABLE_PARAMETERS)
    (inputs / "secrets.yaml").write_text(SECRETS)
    print(f"csi-sanity, {name} mode", flush=True)
    started = time.monotonic()
    with log.open("wb") as output:
        sanity = await asyncio.create_subprocess_exec(
            str(program),
            *flags(pair, MODES[name], inputs, junit),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            await ended(sanity, log)
        finally:
            if sanity.returncode is None:
                sanity.kill()
            exit_code = await sanity.wait()
    text = log.read_text(errors="replace")
    for line in text.splitlines():
        if line.startswith(("Ran ", "SUCCESS!", "FAIL!")):
            print(f"  {line}", flush=True)
    print(f"  {time.monotonic() - started:.0f} s, {junit.name}", flush=True)
    problems = judged(junit, expected, exit_code)
    if problems:
        print(text, file=sys.stderr)
    return [f"{name}: {problem}" for problem in problems]


async def ended(sanity: asyncio.subprocess.Process, log: Path) -> None:
    """Wait for its end, or for MODE_TIMEOUT_S, telling now and then how far it is."""
    waiting = asyncio.ensure_future(sanity.wait())
    for elapsed_s in range(0, MODE_TIMEOUT_S, PROGRESS_S):
        if elapsed_s:
            print(f"  {elapsed_s} s, {specs_done(log)} specs done", flush=True)
        done, _ = await asyncio.wait({waiting}, timeout=PROGRESS_S)
        if done:
            return
    waiting.cancel()
    print(f"  gave up after {MODE_TIMEOUT_S} s", flush=True)


def specs_done(log: Path) -> int:
    """Ginkgo writes a dot for each spec that ran."""
    return log.read_text(errors="replace").count("•")


def judged(junit: Path, expected: frozenset[skips.LeftOut], exit_code: int) -> list[str]:
    if not junit.exists():
        return [f"csi-sanity ended with {exit_code} and left no report"]
    problems = skips.problems(skips.read_report(junit), expected)
    if exit_code != 0 and not problems:
        problems.append(f"csi-sanity ended with {exit_code}, though its report has no failure")
    return problems


def flags(pair: stack.Stack, access_type: str, inputs: Path, junit: Path) -> list[str]:
    return [
        f"-csi.endpoint=unix://{pair.csi_socket}",
        f"-csi.controllerendpoint=unix://{pair.controller_socket}",
        f"-csi.mountdir={pair.mounts}/target",
        f"-csi.stagingdir={pair.mounts}/staging",
        f"-csi.testvolumesize={VOLUME_BYTES}",
        f"-csi.testvolumeexpandsize={EXPANDED_BYTES}",
        f"-csi.testvolumeaccesstype={access_type}",
        f"-csi.testvolumemutableparameters={inputs}/mutable_parameters.yaml",
        f"-csi.secrets={inputs}/secrets.yaml",
        "-csi.testnodevolumeattachlimit",
        f"-ginkgo.junit-report={junit}",
        "-ginkgo.no-color",
    ]


if __name__ == "__main__":
    sys.exit(main())
