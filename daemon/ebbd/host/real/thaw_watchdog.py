"""Thaws cgroups when its time is up or its standard input ends; a program of its own.

    thaw_watchdog.py CGROUP_PROCS SECONDS CGROUP_FREEZE...

Standard library only and no import of ebbd, so that it starts fast. Thawing what runs already
changes nothing, so it always thaws before it ends.
"""

import contextlib
import select
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

READY = "watching"


def thaw(freezers: Sequence[str]) -> None:
    """Write 0 to every cgroup.freeze; one whose cgroup has gone needs nothing."""
    for freezer in freezers:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            # A group that cannot be written to for another reason must not keep the rest frozen.
            try:
                Path(freezer).write_text("0", "ascii")
            except OSError as error:
                if isinstance(error, (FileNotFoundError, ProcessLookupError)):
                    raise
                sys.stderr.write(f"{freezer}: {error}\n")


def main(arguments: Sequence[str]) -> int:
    procs, seconds, *freezers = arguments
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # Out of every cgroup that may be frozen or killed; where that is refused, its place will do.
    with contextlib.suppress(OSError):
        Path(procs).write_text("0", "ascii")
    sys.stdout.write(f"{READY}\n")
    sys.stdout.flush()
    select.select([sys.stdin], [], [], float(seconds))
    thaw(freezers)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
