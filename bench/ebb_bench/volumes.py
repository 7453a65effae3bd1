"""BENCH=volumes: what a volume's life costs over CSI, beside the commands typed by hand."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ebb_demo.node import Node

from ebb_bench.bars import Figure
from ebb_bench.counting import Counting
from ebb_bench.machine import cpu_s, lvm_shells, rss_bytes, settle
from ebb_bench.rounds import Rounds
from ebb_bench.series import Compared

_MIB = 1 << 20
_BURST = 32


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is done. As it stands it takes ten to twenty minutes under emulation."""

    rounds: int = 5
    bursts: int = 2
    few: int = 10
    idle_at: int = 100
    many: int = 500
    settle_s: float = 5.0
    idle_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Findings:
    figures: dict[str, Figure]
    compared: dict[str, Compared]
    disagreements: list[str]


def measure(
    node: Node, counting: Counting, rounds: Rounds, plan: Plan, say: Callable[[str], None]
) -> Findings:
    """All of it, on a pool that is empty and stays behind full of volumes."""
    say("counting command lines, under strace")
    counting.one_life(rounds.size_mib)
    filling = _Filling(rounds)
    filling.to(plan.few)
    for turn in range(plan.rounds):
        say(f"round {turn + 1} of {plan.rounds} among {plan.few} volumes")
        rounds.one(turn)
    for turn in range(plan.bursts):
        say(f"burst {turn + 1} of {plan.bursts}: {_BURST} volumes at once, and one by one by hand")
        filling.burst(turn)
    say(f"filling up to {plan.idle_at} volumes, then idle for {plan.idle_s:.0f} s")
    filling.to(plan.idle_at)
    idle = _idle(node, plan)
    say(f"filling up to {plan.many} volumes")
    filling.to(plan.many)
    among_many = f"create_at_{plan.many}"
    for turn in range(plan.rounds):
        say(f"creation {turn + 1} of {plan.rounds} among {plan.many} volumes")
        rounds.create_among_many(turn, among_many)
    compared = rounds.compared()
    figures: dict[str, Figure] = {
        f"{name}_lvm_calls": lines for name, lines in counting.counted.items()
    }
    figures["lvm_calls_counted"] = sum(counting.counted.values())
    figures["lvm_calls_traced"] = sum(counting.traced_lines.values())
    figures |= ratios(compared, among_many, plan)
    figures |= idle
    figures |= _memory(node)
    return Findings(figures, compared, counting.disagreements())


def ratios(compared: dict[str, Compared], among_many: str, plan: Plan) -> dict[str, Figure]:
    """The figures that are one median over another."""
    create, many = compared["create"], compared[among_many]
    over_few = f"at_{plan.many}_over_{plan.few}"
    return {
        "create_over_bare": create.ratio,
        "snapshot_over_bare": compared["snapshot"].ratio,
        "snapshot_active_over_bare": compared["snapshot_active"].ratio,
        "delete_over_bare": compared["delete"].ratio,
        "delete_snapshot_over_bare": compared["delete_snapshot"].ratio,
        f"burst_{_BURST}_over_serial": compared[f"burst_{_BURST}"].ratio,
        "ready_over_bare": compared["ready"].ratio,
        f"create_{over_few}": many.over_csi.median_s / create.over_csi.median_s,
        f"bare_{over_few}": many.bare.median_s / create.bare.median_s,
    }


class _Filling:
    """Volumes that stay, made in bursts over CSI, timed or not."""

    def __init__(self, rounds: Rounds) -> None:
        self._rounds = rounds
        self._made = 0

    def burst(self, turn: int) -> None:
        self._rounds.burst(turn, _BURST)
        self._made += _BURST

    def to(self, count: int) -> None:
        while self._made < count:
            upper = min(count, self._made + _BURST)
            names = [f"fill-{number}" for number in range(self._made, upper)]
            self._rounds.cluster.create_together(names, self._rounds.size_mib)
            self._made = upper


def _idle(node: Node, plan: Plan) -> dict[str, Figure]:
    """Processor taken while nobody asks for anything: ebbd, its lvm shell and ebb-csi."""
    settle()
    time.sleep(plan.settle_s)
    ticks_per_s = os.sysconf("SC_CLK_TCK")
    pids = [node.ebbd_pid, node.plugin_pid, *lvm_shells(node.ebbd_pid)]
    before_s = sum(cpu_s(pid, ticks_per_s) for pid in pids)
    began_s = time.monotonic()
    time.sleep(plan.idle_s)
    used_s = sum(cpu_s(pid, ticks_per_s) for pid in pids) - before_s
    return {"idle_cpu_pct": 100 * used_s / (time.monotonic() - began_s)}


def _memory(node: Node) -> dict[str, Figure]:
    """At the end, with all volumes there; the lvm shell is said beside it, not in it."""
    ebbd_mib, plugin_mib = (rss_bytes(pid) / _MIB for pid in (node.ebbd_pid, node.plugin_pid))
    return {
        "rss_mib": ebbd_mib + plugin_mib,
        "ebbd_rss_mib": ebbd_mib,
        "ebb_csi_rss_mib": plugin_mib,
        "lvm_shell_rss_mib": sum(map(rss_bytes, lvm_shells(node.ebbd_pid))) / _MIB,
    }


def folder_for(bench: str) -> Path:
    return Path("/run/ebb-bench") / bench
