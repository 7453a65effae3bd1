"""Doctor's own checks, those that need no daemon."""

from pathlib import Path

from ebb_cli.commands.doctor import way_to_daemon
from ebb_cli.connection import Reach, Socket
from ebb_pb import ebb_pb2 as pb

DENIED = Socket(Path("/s"), Reach.DENIED, "ebb", 0o660)


def statuses(checks: list[pb.Check]) -> dict[str, pb.Check.Status.ValueType]:
    return {check.name: check.status for check in checks}


def test_a_way_that_is_open_is_ok_throughout() -> None:
    answers = Socket(Path("/s"), Reach.ANSWERS, "ebb", 0o660)
    checks = way_to_daemon(answers, "/usr/bin/ebbd", ("ebb",), superuser=False)
    assert statuses(checks) == dict.fromkeys(["ebbd program", "socket", "group"], pb.Check.OK)


def test_who_is_not_in_the_group_learns_how_to_join() -> None:
    checks = way_to_daemon(DENIED, "/usr/bin/ebbd", ("users",), superuser=False)
    assert statuses(checks)["socket"] == pb.Check.FAILED
    assert "usermod -aG ebb" in checks[-1].remedy


def test_nobody_is_told_to_join_the_group_root() -> None:
    roots = Socket(Path("/s"), Reach.DENIED, "root", 0o660)
    checks = way_to_daemon(roots, None, ("users",), superuser=False)
    assert statuses(checks)["group"] == pb.Check.WARNING
    assert not [check for check in checks if "usermod" in check.remedy]


def test_root_needs_no_group() -> None:
    missing = Socket(Path("/s"), Reach.MISSING)
    assert "group" not in statuses(way_to_daemon(missing, None, (), superuser=True))
