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
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hostile.fuzz.targets import Target

OURS = ["ebbd", "ebb_csi", "ebb_units"]  # whose branches are worth a search


def targets() -> "dict[str, Target]":
    """By name. Imported late: atheris instruments what is imported under its eyes."""
    from hostile.fuzz.targets import TARGETS  # noqa: PLC0415 - see above

    return {target.name: target for target in TARGETS}


def cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "ebb" / "fuzz"


def fuzz(name: str, folder: Path, options: Sequence[str]) -> None:
    """Does not return: libFuzzer exits the process."""
    import atheris  # noqa: PLC0415 - replaying a crash needs none

    with atheris.instrument_imports(include=OURS):
        target = targets()[name]
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    atheris.Setup([name, f"-artifact_prefix={folder}/", *options, str(corpus)], target.feed)
    atheris.Fuzz()


def replay(target: "Target", files: Sequence[Path]) -> None:
    for file in files:
        target.feed(file.read_bytes())
        sys.stdout.write(f"{target.name}: {file}: read or refused, as it should be\n")


def every(seconds: int, folder: Path) -> int:
    """A process a target, one after the other; how many broke."""
    broken = 0
    names = list(targets())
    for name in names:
        options = [f"-max_total_time={seconds}", "-print_final_stats=1", "-timeout=10"]
        module = [sys.executable, "-m", "hostile.fuzz.run"]
        line = [*module, "--folder", str(folder), name, "--", *options]
        ended = subprocess.run(line, capture_output=True, text=True, check=False)
        said = [part for part in ended.stderr.splitlines() if "number_of_executed_units" in part]
        runs = said[0].split()[-1] if said else "?"
        sys.stdout.write(f"fuzz: {name}: {runs} runs in {seconds} s\n")
        if ended.returncode:
            broken += 1
            sys.stdout.write(f"{ended.stdout[-3000:]}{ended.stderr[-3000:]}\n")
            sys.stdout.write(
                f"fuzz: {name} broke; the input is in {folder / name} (crash-…); "
                f"feed it again: PYTHONPATH=tests {sys.executable} -m hostile.fuzz.run "
                f"{name} --replay FILE\n"
            )
        sys.stdout.flush()
    sys.stdout.write(f"fuzz: {len(names)} targets, {broken} broke\n")
    return broken


def main() -> int:
    parser = argparse.ArgumentParser(prog="hostile.fuzz.run", description=__doc__)
    parser.add_argument("target", help="one of targets.py, or all")
    parser.add_argument("--seconds", type=int, default=60, help="of each target (default: 60)")
    parser.add_argument("--folder", type=Path, default=cache(), help="corpora and crashes")
    parser.add_argument("--replay", type=Path, nargs="+", help="feed these files, without atheris")
    parser.add_argument("options", nargs="*", help="options of libFuzzer, after --")
    given = parser.parse_args()
    if given.target == "all":
        return 1 if every(given.seconds, given.folder) else 0
    if given.replay:
        replay(targets()[given.target], given.replay)
    else:
        fuzz(given.target, given.folder / given.target, given.options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
