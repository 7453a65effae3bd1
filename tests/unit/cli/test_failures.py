"""Exit codes and the two halves of an error message."""

import grpc
import pytest
from ebb_cli import failures
from ebb_cli.failures import ExitCode
from ebbd import errors


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        ("INVALID_ARGUMENT", 2),
        ("OUT_OF_RANGE", 2),
        ("NOT_FOUND", 3),
        ("ALREADY_EXISTS", 4),
        ("UNAVAILABLE", 5),
        ("RESOURCE_EXHAUSTED", 6),
        ("FAILED_PRECONDITION", 7),
        ("ABORTED", 8),
        ("DEADLINE_EXCEEDED", 9),
        ("PERMISSION_DENIED", 10),
        ("UNAUTHENTICATED", 10),
        ("CANCELLED", 130),
        ("INTERNAL", 1),
        ("UNKNOWN", 1),
        ("UNIMPLEMENTED", 1),
        ("DATA_LOSS", 1),
    ],
)
def test_each_status_has_its_exit_code(code: str, exit_code: int) -> None:
    assert failures.of_status(grpc.StatusCode[code], "x; y").exit_code == exit_code


def every_error(base: type[errors.EbbError]) -> list[type[errors.EbbError]]:
    return [base, *(one for child in base.__subclasses__() for one in every_error(child))]


def test_every_error_of_the_daemon_is_told_apart_or_a_plain_failure() -> None:
    for error in every_error(errors.EbbError):
        told = failures.of_status(grpc.StatusCode[error.code], "x; y")
        assert (told.exit_code is ExitCode.FAILED) == (error.code == "INTERNAL"), error


def test_the_daemons_message_comes_apart_where_it_was_put_together() -> None:
    error = errors.NotFound("there is no volume 'db'", "list them with `ebb volume list`; or not")
    told = failures.of_status(grpc.StatusCode.NOT_FOUND, str(error))
    assert (told.what, told.remedy) == (error.message, error.remedy)


@pytest.mark.parametrize("code", list(grpc.StatusCode))
def test_a_message_without_a_remedy_is_kept_whole(code: grpc.StatusCode) -> None:
    assert failures.of_status(code, "only this").what == "only this"


@pytest.mark.parametrize("code", ["NOT_FOUND", "RESOURCE_EXHAUSTED", "ABORTED", "UNIMPLEMENTED"])
def test_an_advice_is_added_where_the_daemon_gave_none(code: str) -> None:
    assert failures.of_status(grpc.StatusCode[code], "only this").remedy


def test_a_status_without_words_still_says_something() -> None:
    assert failures.of_status(grpc.StatusCode.UNKNOWN, "").what == (
        "ebbd answered UNKNOWN and did not say why"
    )
