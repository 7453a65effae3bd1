"""`python3 -m ebb_setup [venv] [lab] [units] [go]`: makes sure that these are there."""

import os
import sys
from pathlib import Path

from ebb_setup.go import ensure_go
from ebb_setup.machine import SetupError, ensure, say
from ebb_setup.venv import make_venv

_USAGE = "usage: python3 -m ebb_setup [venv] [lab] [units] [go]"


def main(wanted: list[str]) -> int:
    project = Path(__file__).resolve().parents[3]
    if not wanted or not set(wanted) <= {"venv", "lab", "units", "go"}:
        say(_USAGE)
        return os.EX_USAGE
    try:
        if groups := [group for group in ("lab", "units") if group in wanted]:
            ensure(groups)
        if "venv" in wanted or "go" in wanted:
            make_venv(project)
        if "go" in wanted:
            ensure_go(project)
    except SetupError as failure:
        say(str(failure))
        return 1
    return 0


sys.exit(main(sys.argv[1:]))
