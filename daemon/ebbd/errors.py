"""The error tree everyone shares: what went wrong, and what to do next.

    EbbError
    ├─ InvalidInput         a value that can never be right            INVALID_ARGUMENT
    ├─ NotFound             no such volume, snapshot, group, node      NOT_FOUND
    ├─ Conflict             the name is taken by something different   ALREADY_EXISTS
    ├─ SizeOutOfRange       a size that cannot be met                  OUT_OF_RANGE
    ├─ NoRoom               pool full, over the ratio, over a limit    RESOURCE_EXHAUSTED
    ├─ WrongState           in use, not staged, beyond its access      FAILED_PRECONDITION
    ├─ Busy                 another operation holds it; bad page token ABORTED
    ├─ Unavailable          pool missing, recovering, shutting down    UNAVAILABLE
    ├─ NotPermitted         the certificate has not the right          PERMISSION_DENIED
    ├─ DeadlineExceeded     the tool or the caller ran out of time     DEADLINE_EXCEEDED
    └─ HostFailure          a tool or the kernel refused               INTERNAL
       └─ CommandFailed     a process, with its exit code and stderr

`code` is the gRPC status name; `ebbd.api` alone turns it into one.
"""

from typing import ClassVar


class EbbError(Exception):
    """Base of everything ebbd raises on purpose.

    `message` says what happened, `remedy` what the reader can do (may be empty when the
    message says it already).
    """

    code: ClassVar[str] = "INTERNAL"

    def __init__(self, message: str, remedy: str = "") -> None:
        self.message = message
        self.remedy = remedy
        super().__init__(f"{message}; {remedy}" if remedy else message)


class InvalidInput(EbbError):
    code = "INVALID_ARGUMENT"


class NotFound(EbbError):
    code = "NOT_FOUND"


class Conflict(EbbError):
    code = "ALREADY_EXISTS"


class SizeOutOfRange(EbbError):
    code = "OUT_OF_RANGE"


class NoRoom(EbbError):
    code = "RESOURCE_EXHAUSTED"


class WrongState(EbbError):
    code = "FAILED_PRECONDITION"


class Busy(EbbError):
    code = "ABORTED"


class Unavailable(EbbError):
    code = "UNAVAILABLE"


class NotPermitted(EbbError):
    code = "PERMISSION_DENIED"


class DeadlineExceeded(EbbError):
    code = "DEADLINE_EXCEEDED"


class HostFailure(EbbError):
    code = "INTERNAL"


class CommandFailed(HostFailure):
    """A process that ended with a code other than 0.

    `argv` as it was run, `exit_code` (negative: the signal), `stderr` trimmed to its last 2,000
    characters.
    """

    def __init__(
        self, argv: tuple[str, ...], exit_code: int, stderr: str, remedy: str = ""
    ) -> None:
        self.argv = argv
        self.exit_code = exit_code
        self.stderr = stderr[-2000:].strip()
        super().__init__(f"{argv[0]} ended with {exit_code}: {self.stderr or 'no message'}", remedy)
