"""The fault campaign: `PYTHONPATH=tests python -m faults.campaign [--every N] [PART...]`.

Each part has a lab of its own. What the parts counted is summed into summary.json and one last
line; each leaves its JUnit file and its output beside it. Exit code 0: every fault was outlived.
"""

import argparse
import asyncio
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from faults.tally import Tally, read

REPOSITORY = Path(__file__).resolve().parents[2]
RESULTS = REPOSITORY / "build" / "faults"
POOL_DISK = "pool:4G"
PART_TIMEOUT_S = 3600


@dataclass(frozen=True, slots=True)
class Part:
    """`tests` are below tests/faults; `in_lab` of them run in a guest, the others drive labs."""

    name: str
    tests: tuple[str, ...]
    in_lab: bool = True

    def argv(self, results: Path, every: int) -> list[str]:
        where = "/ebb" if self.in_lab else str(REPOSITORY)
        there = "/results" if self.in_lab else str(results)
        pytest = [
            *("pytest", "-q", "-s", "-p", "no:cacheprovider", "-o", "timeout=900"),
            *(f"--every={every}", f"--tally={there}/tally.json", f"--junitxml={there}/junit.xml"),
            *(f"{where}/tests/faults/{test}" for test in self.tests),
        ]
        if not self.in_lab:
            return [sys.executable, "-m", *pytest]
        # The guest's /tmp is memory.
        inside = [*pytest, "--host=real", "--basetemp=/var/tmp/pytest"]
        boot = ("--disk", POOL_DISK, "--timeout", str(PART_TIMEOUT_S), "--results", str(results))
        return [sys.executable, "-m", "ebb_lab", "run", *boot, "--", *inside]


PARTS = (
    Part("daemon", ("lab/test_killed_daemon.py",)),
    Part("lvm", ("lab/test_killed_lvm.py",)),
    Part("writes", ("lab/test_replayed_writes.py",)),
    Part("trouble", ("lab/test_pools_in_trouble.py",)),
    Part("power", ("node/test_power_cuts.py",), in_lab=False),
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="faults.campaign", description=__doc__)
    names = [part.name for part in PARTS]
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(names)}: all")
    parser.add_argument("--every", type=int, default=1, help="take every N-th point only")
    parser.add_argument("--jobs", type=int, default=2, help="labs at a time")
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    if unknown := set(given.parts) - set(names):
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    chosen = [part for part in PARTS if not given.parts or part.name in given.parts]
    results = given.results.resolve()
    for part in chosen:
        prepare(results / part.name)
    began = time.monotonic()
    failed = asyncio.run(run(chosen, results, given.every, given.jobs))
    took_s = round(time.monotonic() - began)
    return sum_up(chosen, failed, results, {"every": given.every, "took_s": took_s})


def prepare(results: Path) -> None:
    """Nothing of an earlier run may be taken for this one's."""
    results.mkdir(parents=True, exist_ok=True)
    for old in ("tally.json", "junit.xml"):
        (results / old).unlink(missing_ok=True)


async def run(parts: list[Part], results: Path, every: int, jobs: int) -> list[str]:
    """The parts that failed; what each counted is in its folder."""
    places = asyncio.Semaphore(jobs)
    codes = await asyncio.gather(*(one(part, results / part.name, every, places) for part in parts))
    return [part.name for part, code in zip(parts, codes, strict=True) if code]


def sum_up(parts: list[Part], failed: list[str], results: Path, facts: dict[str, object]) -> int:
    """Write summary.json, print the one line, return the exit code."""
    whole = Tally()
    for part in parts:
        counted = results / part.name / "tally.json"
        if counted.exists():
            whole.merge(read(counted))
        elif part.name not in failed:
            failed.append(part.name)
    summary = whole.as_json() | facts | {"failed_parts": failed}
    (results / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    if failed:
        print(f"faults: FAILED in {', '.join(failed)}: see {results}; {whole.counts()}")
        return 1
    print(f"faults: {whole.counts()}; nothing lost, nothing half-made ({facts['took_s']} s)")
    return 0


async def one(part: Part, results: Path, every: int, places: asyncio.Semaphore) -> int:
    """Run a part, showing what it says under its name."""
    async with places:
        process = await asyncio.create_subprocess_exec(
            *part.argv(results, every),
            cwd=REPOSITORY,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        if process.stdout is None:
            raise AssertionError("started without a pipe")
        with (results / "output.log").open("wb") as log:
            async for line in process.stdout:
                log.write(line)
                print(f"{part.name}: {line.decode(errors='replace').rstrip()}", flush=True)
        return await process.wait()


if __name__ == "__main__":
    sys.exit(main())
