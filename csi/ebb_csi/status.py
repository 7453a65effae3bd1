"""Every way a CSI call can fail, turned into a gRPC status in this one place.

Two kinds of failure reach a handler: a `Refusal`, decided here by looking at the request alone,
and a status of ebbd's, which already carries the code that CSI asks for and a message that says
what to do; it passes through. What is left is a bug or a machine in trouble: INTERNAL.
"""

from dataclasses import dataclass

import grpc
from grpc import StatusCode


class Refusal(Exception):
    """The request cannot be served as it is; `message` says why and what would be right."""

    def __init__(self, code: StatusCode, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(message)


def invalid(message: str) -> Refusal:
    return Refusal(StatusCode.INVALID_ARGUMENT, message)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the caller gets instead of a reply."""

    code: StatusCode
    message: str


# ebbd chooses these for CSI's meaning of them (the table is ebbd's errors.py).
PASSED_ON = frozenset(
    {
        StatusCode.INVALID_ARGUMENT,
        StatusCode.NOT_FOUND,
        StatusCode.ALREADY_EXISTS,
        StatusCode.OUT_OF_RANGE,
        StatusCode.RESOURCE_EXHAUSTED,
        StatusCode.FAILED_PRECONDITION,
        StatusCode.ABORTED,
        StatusCode.DEADLINE_EXCEEDED,
        StatusCode.INTERNAL,
    }
)


# Messages travel in the trailing metadata, of which gRPC takes 8 KiB in all, and up to three bytes
# for each that is not printable ASCII.
TOLD_BYTES = 2400


def answer(failure: Exception) -> Answer:
    """The status for whatever a handler raised; its message is cut to what gRPC can carry."""
    told = full_answer(failure)
    raw = told.message.encode()
    if len(raw) <= TOLD_BYTES:
        return told
    return Answer(told.code, f"{raw[:TOLD_BYTES].decode(errors='ignore')} … (cut)")


def full_answer(failure: Exception) -> Answer:
    if isinstance(failure, Refusal):
        return Answer(failure.code, failure.message)
    if isinstance(failure, grpc.aio.AioRpcError):
        return from_ebbd(failure.code(), failure.details() or "")
    return Answer(
        StatusCode.INTERNAL,
        f"ebb-csi failed ({type(failure).__name__}); its log has the details",
    )


def from_ebbd(code: StatusCode, message: str) -> Answer:
    """The status of ebbd as the CSI caller sees it."""
    if code in PASSED_ON:
        return Answer(code, message)
    if code is StatusCode.UNAVAILABLE:
        return Answer(code, unavailable(message))
    if code is StatusCode.CANCELLED:
        # Not our caller, who would not be here any more: ebbd went down under the call.
        return Answer(
            StatusCode.UNAVAILABLE, f"ebbd stopped while it worked ({message}); try again"
        )
    if code is StatusCode.UNIMPLEMENTED:
        # CSI reads UNIMPLEMENTED as "never call this again", which an upgrade would make untrue.
        return Answer(
            StatusCode.INTERNAL,
            f"ebbd does not know this call ({message}); run ebbd and ebb-csi of the same version",
        )
    return Answer(StatusCode.INTERNAL, f"ebbd answered {code.name}: {message}; see ebbd's log")


def unavailable(message: str) -> str:
    """The words of ebbd where it spoke; the remedy where nobody was there to speak."""
    if message.startswith("failed to connect"):
        return f"ebbd does not answer: {message}; start ebbd, or give its socket with --ebbd"
    return message
