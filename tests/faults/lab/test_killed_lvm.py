"""SIGKILL of LVM itself before and after each of its ioctls and metadata writes.

At every other point ebbd lives: it must find out what became of the command and answer with the
truth. At the others it dies in the same instant, and the next one has to make good.
"""

import json
import signal
import time

import grpc
import pytest
from faults.lab.conftest import Theatre
from faults.lvm_points import Point, killed_at, points, shell_of, traced
from faults.sample import Sample
from faults.scenarios import SCENARIOS, Scenario, marked
from faults.tally import Tally

ALONE = "SIGKILL of LVM"
TOGETHER = "SIGKILL of LVM and ebbd"
# All that ebbd makes LVM do; the other scenarios give it no command line.
SAMPLED = {"snapshot of a mounted volume", "delete"}
WITH_LVM = sorted(SCENARIOS.keys() - {"publish", "unpublish"})


@pytest.mark.timeout(2400)
@pytest.mark.parametrize("name", marked(WITH_LVM, SAMPLED))
def test_lvm_dies_at_every_point(theatre: Theatre, name: str, sample: Sample, tally: Tally) -> None:
    scenario = SCENARIOS[name]
    found = points_of(theatre, scenario)
    assert len(found) >= 6, "a commit alone has three writes"
    chosen = sample.of(list(enumerate(found)), kind=lambda at: at[1].what)
    for number, point in chosen:
        began = time.monotonic()
        together = number % 2 == 1
        scenario.begin(theatre.stage)
        if together:
            dies_with_it(theatre, scenario, point)
        else:
            outlives_it(theatre, scenario, point)
        checked = theatre.stage.witness.check()
        scenario.act(theatre.stage)
        scenario.done(theatre.stage)
        scenario.clean(theatre.stage)
        checked += theatre.stage.witness.check()
        tally.add(TOGETHER if together else ALONE, checked=checked)
        print(f"{name}: {number}/{len(found)} {point}, {time.monotonic() - began:.1f} s")


def points_of(theatre: Theatre, scenario: Scenario) -> list[Point]:
    """What a whole run passes, of an LVM shell that has served before."""
    scenario.begin(theatre.stage)
    output = theatre.orders.with_name("strace")
    with traced(shell_of(theatre.node.ebbd_pid), output):
        scenario.act(theatre.stage)
    scenario.done(theatre.stage)
    scenario.clean(theatre.stage)
    theatre.stage.witness.check()
    return points(output.read_text())


def outlives_it(theatre: Theatre, scenario: Scenario, point: Point) -> None:
    """ebbd answers: what it calls a success has happened."""
    with killed_at(shell_of(theatre.node.ebbd_pid), point):
        told = answer(theatre, scenario)
    if told is grpc.StatusCode.OK:
        scenario.done(theatre.stage)
    assert told is not grpc.StatusCode.UNKNOWN


def answer(theatre: Theatre, scenario: Scenario) -> grpc.StatusCode:
    try:
        scenario.act(theatre.stage)
    except grpc.RpcError as refused:
        return refused.code()
    return grpc.StatusCode.OK


def dies_with_it(theatre: Theatre, scenario: Scenario, point: Point) -> None:
    theatre.orders.write_text(json.dumps({"die_on_error": True}))
    try:
        with killed_at(shell_of(theatre.node.ebbd_pid), point), pytest.raises(grpc.RpcError):
            scenario.act(theatre.stage)
        assert theatre.node.ebbd_exit_code(timeout_s=60) == -signal.SIGKILL
    finally:
        theatre.orders.unlink()
    theatre.node.end_ebbd(signal.SIGKILL)
    theatre.node.start_ebbd()
