"""Command line of the lab: `python -m ebb_lab --help`."""

import sys

from ebb_lab.cli import main

sys.exit(main())
