"""SIGKILL of ebbd at every point of every mutation, on real LVM.

The mutation runs once and its points are written down; then ebbd dies at each. The next ebbd must
come up by itself, show everything that was acknowledged with its bytes and nothing half-made, and
answer the repeated call as if nothing had happened.
"""

import json
import signal
import time

import grpc
import pytest
from faults.lab.conftest import Theatre
from faults.sample import Sample, distinct
from faults.scenarios import SCENARIOS, Scenario, marked
from faults.tally import Tally

KIND = "SIGKILL of ebbd"
# Five calls of the host are met in these: LVM's create, snapshot, remove and tag, and the freezer.
SAMPLED = {"create", "clone", "delete", "group snapshot"}


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", marked(SCENARIOS, SAMPLED))
def test_ebbd_dies_at_every_point(
    theatre: Theatre, name: str, sample: Sample, tally: Tally
) -> None:
    scenario = SCENARIOS[name]
    points = points_of(theatre, scenario)
    assert len(points) >= 2, "nothing to die in"
    numbered = distinct(list(enumerate(points, start=1)))
    chosen = sample.of(numbered, kind=lambda point: point[1].split()[0])
    for number, what in chosen:
        began = time.monotonic()
        scenario.begin(theatre.stage)
        dies_at(theatre, scenario, number, what)
        theatre.node.start_ebbd()
        checked = theatre.stage.witness.check()
        scenario.act(theatre.stage)
        scenario.done(theatre.stage)
        scenario.clean(theatre.stage)
        checked += theatre.stage.witness.check()
        tally.add(KIND, checked=checked)
        print(f"{name}: {number}/{len(points)} {what}, {time.monotonic() - began:.1f} s")


def points_of(theatre: Theatre, scenario: Scenario) -> list[str]:
    """What a whole run passes."""
    trace = theatre.orders.with_name("trace")
    trace.unlink(missing_ok=True)
    scenario.begin(theatre.stage)
    theatre.orders.write_text(json.dumps({"trace": str(trace)}))
    scenario.act(theatre.stage)
    theatre.orders.unlink()
    scenario.done(theatre.stage)
    scenario.clean(theatre.stage)
    theatre.stage.witness.check()
    return trace.read_text().splitlines()


def dies_at(theatre: Theatre, scenario: Scenario, number: int, what: str) -> None:
    theatre.orders.write_text(json.dumps({"die_at": number}))
    try:
        scenario.act(theatre.stage)
    except grpc.RpcError:
        code = theatre.node.ebbd_exit_code(timeout_s=60)
        assert code == -signal.SIGKILL, f"ebbd ended with {code}"
    else:
        # It died after its last step, when the answer was on its way already.
        code = theatre.node.ebbd_exit_code(timeout_s=10)
        assert code == -signal.SIGKILL, f"it did not die at {what}"
    finally:
        theatre.orders.unlink()
    theatre.node.end_ebbd(signal.SIGKILL)
