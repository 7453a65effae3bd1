"""`python -m ebb_bench volumes --device DISK`, as root, in the lab: DISK is taken for the pool.

Prints its tables and writes a flat JSON object. Ends 0 whether bars are met or not; not 0 if the
measuring itself failed, or ebbd's own count of command lines is not what strace saw.
"""

import argparse
import os
import sys
from pathlib import Path

import grpc
from ebb_demo.node import EBBD_SOCKET, MOUNTS, node
from ebb_pb import ebb_pb2 as pb
from ebb_pb.ebb_pb2_grpc import NodeStub

from ebb_bench import bars
from ebb_bench.bare import Bare
from ebb_bench.cluster import Cluster
from ebb_bench.counting import Counting
from ebb_bench.machine import cpu_model
from ebb_bench.report import Origin, bars_table, flat, others_table, times_table, to_json
from ebb_bench.rounds import Rounds
from ebb_bench.volumes import Plan, folder_for, measure

_VG, _POOL = "ebb", "pool0"
_SIZE_MIB = 16  # 500 of them fit the pool's promises, and mkfs.ext4 has real work to do
_GUEST_MARK = Path("/run/lab")


def main() -> int:
    arguments = _parser().parse_args()
    if not _GUEST_MARK.is_dir():
        sys.stderr.write(
            "ebb_bench: this takes a disk and is for the lab; make bench BENCH=volumes\n"
        )
        return 2
    folder = folder_for("volumes")
    folder.mkdir(parents=True)
    bare = Bare(_VG, _POOL, folder)
    bare.prepare()
    with (
        node(arguments.device) as up,
        grpc.insecure_channel(f"unix:{EBBD_SOCKET}") as channel,
    ):
        ebbd = NodeStub(channel)
        cluster = Cluster(up.channel, MOUNTS)
        findings = measure(
            up,
            Counting(
                cluster,
                lambda: ebbd.GetNode(pb.GetNodeRequest()).lvm_command_lines,
                up.ebbd_pid,
                folder,
            ),
            Rounds(cluster, bare, _SIZE_MIB),
            Plan(),
            _say,
        )
    origin = Origin(
        host="lab",
        kernel=os.uname().release,
        lvm=bare.version(),
        cpu=cpu_model(),
        commit=arguments.commit,
        date=arguments.date,
    )
    told = flat(findings.figures, findings.compared, origin)
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(to_json(told))
    verdicts = bars.judge(bars.VOLUMES, told)
    beside = {k: told[k] for k in (*findings.figures, *Origin.__slots__)}
    for table in (
        times_table(findings.compared),
        others_table(beside, verdicts),
        bars_table(verdicts),
        *findings.disagreements,
    ):
        sys.stdout.write(f"\n{table}\n")
    return 1 if findings.disagreements else 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ebb_bench", description=__doc__)
    volumes = parser.add_subparsers(dest="bench", required=True).add_parser("volumes")
    volumes.add_argument("--device", required=True, help="an empty disk for the pool")
    volumes.add_argument("--json", type=Path, default=Path("/results/volumes.json"))
    volumes.add_argument("--commit", required=True, help="of the tree that is measured")
    volumes.add_argument("--date", required=True, help="when, as ISO 8601")
    return parser


if __name__ == "__main__":
    sys.exit(main())
