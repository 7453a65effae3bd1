"""`ebb doctor`: does everything work here, and what to do about what does not.

The machine is checked by ebbd. What only the user's side can know, the way to the daemon, is
checked here, and is all there is when the daemon does not run.
"""

import grp
import os
import shutil
from collections.abc import Sequence

import typer
from ebb_pb import ebb_pb2 as pb

from ebb_cli import connection, views
from ebb_cli.connection import Reach, Socket
from ebb_cli.failures import CliError, ExitCode
from ebb_cli.plain import plain
from ebb_cli.session import Session, with_session


@with_session
def doctor(session: Session) -> None:
    """Check kernel, LVM, tools, cgroups and pools; say what to do about what does not work.

    Exit code 0 when everything works or works with limits, 1 when anything failed.
    """
    found = connection.examine(session.options.socket_path)
    checks = way_to_daemon(found, shutil.which("ebbd"), membership(), superuser=os.geteuid() == 0)
    if found.reach is Reach.ANSWERS:
        checks += machine(session)
    session.rows(
        views.check_columns(),
        checks,
        ids=lambda it: f"{views.status(it)} {it.subject} {it.name}",
        document={"checks": [plain(it) for it in checks]},
        none="Nothing was checked.",
    )
    session.note(views.verdict(checks))
    if any(it.status == pb.Check.FAILED for it in checks):
        raise typer.Exit(ExitCode.FAILED)


def machine(session: Session) -> list[pb.Check]:
    """The daemon's own checks; that it cannot make them is a failed check, not the end."""
    try:
        answer = session.daemon.ask(
            session.daemon.node.Diagnose, pb.DiagnoseRequest(), "Checking the machine"
        )
    except CliError as error:
        if error.exit_code is ExitCode.INTERRUPTED:
            raise
        return [_check("daemon", "diagnosis", pb.Check.FAILED, error.what, error.remedy)]
    return list(answer.checks)


def membership() -> tuple[str, ...]:
    """Names of the groups that this process runs with."""
    names = {entry.gr_gid: entry.gr_name for entry in grp.getgrall()}
    return tuple(names.get(gid, str(gid)) for gid in sorted({os.getegid(), *os.getgroups()}))


def way_to_daemon(
    found: Socket, program: str | None, groups: Sequence[str], *, superuser: bool
) -> list[pb.Check]:
    """Checks that need no daemon: its program, its socket, the right to use it (pure)."""
    checks = [
        _check("client", "ebbd program", pb.Check.OK, program)
        if program
        else _check(
            "client",
            "ebbd program",
            pb.Check.OK if found.reach is Reach.ANSWERS else pb.Check.WARNING,
            "not on this user's PATH",
            "" if found.reach is Reach.ANSWERS else "install ebb where the daemon shall run",
        )
    ]
    if found.reach is Reach.ANSWERS:
        checks.append(_check("client", "socket", pb.Check.OK, f"ebbd answers on {found.path}"))
    else:
        error = connection.explain(found)
        checks.append(_check("client", "socket", pb.Check.FAILED, error.what, error.remedy))
    group = found.group or connection.GROUP
    if group in groups:
        checks.append(_check("client", "group", pb.Check.OK, f"this user is in the group {group}"))
    elif found.reach is not Reach.ANSWERS and not superuser:
        checks.append(
            _check(
                "client",
                "group",
                pb.Check.WARNING,
                f"this user is not in the group {group}",
                connection.how_to_join(group),
            )
        )
    return checks


def _check(
    subject: str, name: str, status: pb.Check.Status.ValueType, detail: str, remedy: str = ""
) -> pb.Check:
    return pb.Check(subject=subject, name=name, status=status, detail=detail, remedy=remedy)
