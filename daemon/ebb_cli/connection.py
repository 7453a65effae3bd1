"""Why ebbd does not answer on its socket, told from the outside.

Only looked at when a call has already failed, and by `ebb doctor`: a healthy call pays nothing.
"""

import errno
import grp
import os
import socket
import stat
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from ebb_cli.failures import CliError, ExitCode

DEFAULT_SOCKET = Path("/run/ebb/ebbd.sock")
START = "start the daemon with `systemctl start ebbd` (or `ebbd --simulate` to try it anywhere)"
GROUP = "ebb"  # what ebbd gives its socket to unless api.group says otherwise
ROOT = "root"
_CONNECT_TIMEOUT_S = 2.0


class Reach(StrEnum):
    """How far a connection gets."""

    ANSWERS = "answers"
    MISSING = "missing"
    NOT_A_SOCKET = "not a socket"
    REFUSED = "nobody listens"
    DENIED = "no permission"
    HANGS = "does not accept"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Socket:
    """A socket path as this process sees it; `group` is its owner's name where it can be read,
    `error` the kernel's words when there is no other explanation.
    """

    path: Path
    reach: Reach
    group: str = ""
    mode: int = 0
    error: str = ""


def examine(path: Path) -> Socket:
    """Look at the path and try to connect; sends nothing."""
    try:
        status = path.stat()
    except PermissionError:
        return Socket(path, Reach.DENIED)
    except (FileNotFoundError, NotADirectoryError):
        return Socket(path, Reach.MISSING)
    group, mode = _group_name(status.st_gid), stat.S_IMODE(status.st_mode)
    if not stat.S_ISSOCK(status.st_mode):
        return Socket(path, Reach.NOT_A_SOCKET, group, mode)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_CONNECT_TIMEOUT_S)
        try:
            probe.connect(os.fspath(path))
        except OSError as error:
            return Socket(path, _reach(error), group, mode, error.strerror or str(error))
    return Socket(path, Reach.ANSWERS, group, mode)


def explain(found: Socket) -> CliError:
    """A socket that does not answer, as an error: what is wrong and how to put it right."""
    path = found.path
    match found.reach:
        case Reach.MISSING:
            what, remedy = (
                f"ebbd does not run here: there is no socket {path}",
                f"{START}, or name its socket with --socket or EBB_SOCKET",
            )
        case Reach.NOT_A_SOCKET:
            what, remedy = (
                f"{path} is not a socket",
                "name ebbd's socket with --socket or EBB_SOCKET",
            )
        case Reach.REFUSED:
            what, remedy = f"the socket {path} is there, but no ebbd listens on it", START
        case Reach.DENIED:
            whose = f' (mode {found.mode:04o}, group "{found.group}")' if found.group else ""
            what = f"no permission to use the socket {path}{whose}"
            remedy = how_to_join(found.group)
        case Reach.HANGS:
            what, remedy = (
                f"ebbd does not accept connections on {path}",
                "it is overloaded or stuck: see `systemctl status ebbd` and its log",
            )
        case Reach.UNREACHABLE:
            what, remedy = (
                f"cannot connect to {path}: {found.error}",
                "name ebbd's socket with --socket or EBB_SOCKET",
            )
        case Reach.ANSWERS:
            what, remedy = (
                f"ebbd on {path} closed the connection",
                "it was restarted or it stopped: try again, and see its log",
            )
    return CliError(what, remedy, ExitCode.UNAVAILABLE)


def how_to_join(group: str) -> str:
    """How to get at a socket of this group; nobody is ever told to join root's."""
    if group == ROOT:
        return (
            f"run ebb with sudo; or create the group with `sudo groupadd {GROUP}`, restart ebbd "
            "and join it"
        )
    return (
        f"join the group with `sudo usermod -aG {group or GROUP} $USER` and log in again, "
        "or run ebb with sudo"
    )


def _reach(error: OSError) -> Reach:
    match error:
        case PermissionError():
            return Reach.DENIED
        case ConnectionRefusedError():
            return Reach.REFUSED
        case FileNotFoundError():
            return Reach.MISSING
        case TimeoutError():
            return Reach.HANGS
        case _ if error.errno == errno.EAGAIN:  # a full backlog, on a socket with a timeout
            return Reach.HANGS
        case _:
            return Reach.UNREACHABLE


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
