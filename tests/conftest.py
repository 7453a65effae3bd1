"""What every test can ask for on the command line.

`--host=simulated` (the default) runs host tests in memory; `--host=real` on the machine itself:
root, LVM and device-mapper wanted, as in the lab. A real host that lacks something is a failure,
never a skipped test.
"""

import pytest
from hypothesis import settings

# No deadline for one example: what a slow or busy machine does is not what the tests are about.
settings.register_profile("ebb", deadline=None, max_examples=50)
settings.load_profile("ebb")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--host",
        choices=("simulated", "real"),
        default="simulated",
        help="which host the contract tests run on (real: as root, in the lab)",
    )
