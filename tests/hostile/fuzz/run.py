"""`python -m hostile.fuzz.run TARGET`: one target until it breaks or its time is over.

libFuzzer decides when the process ends, so `all` starts a process for each target. What broke a
target is kept beside the corpus, and the last line says how to feed it again.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from hostile.fuzz.targets import TARGETS, Target


def cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "ebb" / "fuzz"


def fuzz(target: Target, folder: Path, options: Sequence[str]) -> None:
    """Does not return: libFuzzer exits the process."""
    import atheris  # noqa: PLC0415 - replaying a crash needs none

    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    atheris.instrument_all()
    atheris.Setup([target.name, f"-artifact_prefix={folder}/", *options, str(corpus)], target.feed)
    atheris.Fuzz()


def replay(target: Target, files: Sequence[Path]) -> None:
    for file in files:
        target.feed(file.read_bytes())
        sys.stdout.write(f"{target.name}: {file}: read or refused, as it should be\n")


def every(seconds: int, folder: Path) -> int:
    """A process a target, one after the other; how many broke."""
    broken = 0
    for target in TARGETS:
        options = [f"-max_total_time={seconds}", "-print_final_stats=1", "-timeout=10"]
        line = [sys.executable, "-m", "hostile.fuzz.run", target.name, "--folder", str(folder)]
        ended = subprocess.run([*line, "--", *options], capture_output=True, text=True, check=False)
        said = [part for part in ended.stderr.splitlines() if "number_of_executed_units" in part]
        runs = said[0].split()[-1] if said else "?"
        sys.stdout.write(f"fuzz: {target.name}: {runs} runs in {seconds} s\n")
        if ended.returncode:
            broken += 1
            sys.stdout.write(f"{ended.stdout[-3000:]}{ended.stderr[-3000:]}\n")
            sys.stdout.write(
                f"fuzz: {target.name} broke; the input is in {folder / target.name} (crash-…); "
                f"feed it again: PYTHONPATH=tests {sys.executable} -m hostile.fuzz.run "
                f"{target.name} --replay FILE\n"
            )
        sys.stdout.flush()
    sys.stdout.write(f"fuzz: {len(TARGETS)} targets, {broken} broke\n")
    return broken


def main() -> int:
    parser = argparse.ArgumentParser(prog="hostile.fuzz.run", description=__doc__)
    known = {target.name: target for target in TARGETS}
    parser.add_argument("target", choices=["all", *known])
    parser.add_argument("--seconds", type=int, default=60, help="of each target (default: 60)")
    parser.add_argument("--folder", type=Path, default=cache(), help="corpora and crashes")
    parser.add_argument("--replay", type=Path, nargs="+", help="feed these files, without atheris")
    parser.add_argument("options", nargs="*", help="options of libFuzzer, after --")
    given = parser.parse_args()
    if given.target == "all":
        return 1 if every(given.seconds, given.folder) else 0
    target = known[given.target]
    if given.replay:
        replay(target, given.replay)
        return 0
    fuzz(target, given.folder / target.name, given.options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
