"""What a person sees when something went wrong, and what a script reads: exit codes.

The daemon's messages have the form "<what happened>; <what to do next>". They are taken apart
here, once, and an advice is added only where the daemon gave none.
"""

from enum import IntEnum
from types import MappingProxyType

import grpc


class ExitCode(IntEnum):
    """The process's exit codes; docs/cli.md lists them and they do not change meaning."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    CONFLICT = 4
    UNAVAILABLE = 5
    NO_ROOM = 6
    WRONG_STATE = 7
    BUSY = 8
    TIMEOUT = 9
    DENIED = 10
    INTERRUPTED = 130


class CliError(Exception):
    """Ends the command: `what` happened, the `remedy` (may be empty) and the exit code."""

    def __init__(self, what: str, remedy: str = "", exit_code: ExitCode = ExitCode.FAILED) -> None:
        self.what = what
        self.remedy = remedy
        self.exit_code = exit_code
        super().__init__(f"{what}; {remedy}" if remedy else what)


_EXIT_CODES = MappingProxyType(
    {
        grpc.StatusCode.INVALID_ARGUMENT: ExitCode.USAGE,
        grpc.StatusCode.OUT_OF_RANGE: ExitCode.USAGE,
        grpc.StatusCode.NOT_FOUND: ExitCode.NOT_FOUND,
        grpc.StatusCode.ALREADY_EXISTS: ExitCode.CONFLICT,
        grpc.StatusCode.UNAVAILABLE: ExitCode.UNAVAILABLE,
        grpc.StatusCode.RESOURCE_EXHAUSTED: ExitCode.NO_ROOM,
        grpc.StatusCode.FAILED_PRECONDITION: ExitCode.WRONG_STATE,
        grpc.StatusCode.ABORTED: ExitCode.BUSY,
        grpc.StatusCode.DEADLINE_EXCEEDED: ExitCode.TIMEOUT,
        grpc.StatusCode.PERMISSION_DENIED: ExitCode.DENIED,
        grpc.StatusCode.UNAUTHENTICATED: ExitCode.DENIED,
        grpc.StatusCode.CANCELLED: ExitCode.INTERRUPTED,
    }
)
_REMEDIES = MappingProxyType(
    {
        grpc.StatusCode.NOT_FOUND: "see what there is with the `list` command of the same noun",
        grpc.StatusCode.ALREADY_EXISTS: "choose another name, or ask for what is there already",
        grpc.StatusCode.UNAVAILABLE: "try again shortly; `ebb doctor` says what is missing",
        grpc.StatusCode.RESOURCE_EXHAUSTED: "see what fills the pool with `ebb pool show`",
        grpc.StatusCode.FAILED_PRECONDITION: "see how it is used with `ebb volume show`",
        grpc.StatusCode.ABORTED: "another operation holds it; try again shortly",
        grpc.StatusCode.DEADLINE_EXCEEDED: "it may still go on in ebbd: look before repeating it, "
        "and give it longer with --timeout",
        grpc.StatusCode.UNIMPLEMENTED: "this ebbd is older than this ebb; "
        "compare `ebb --version` with `ebb node show`",
        grpc.StatusCode.INTERNAL: "`ebb doctor` checks the machine; ebbd's log has the details",
    }
)


def of_status(code: grpc.StatusCode, details: str) -> CliError:
    """A failed RPC as what happened, what to do next, and an exit code."""
    what, _, remedy = details.strip().partition("; ")
    return CliError(
        what or f"ebbd answered {code.name} and did not say why",
        remedy or _REMEDIES.get(code, ""),
        _EXIT_CODES.get(code, ExitCode.FAILED),
    )
