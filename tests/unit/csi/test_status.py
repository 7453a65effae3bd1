import grpc
import pytest
from ebb_csi import status
from ebb_csi.status import Answer, Refusal
from grpc import StatusCode
from grpc.aio import AioRpcError, Metadata


def from_ebbd(code: StatusCode, details: str = "what happened; what to do") -> AioRpcError:
    return AioRpcError(code, Metadata(), Metadata(), details)


def test_a_refusal_keeps_its_code_and_words() -> None:
    refusal = Refusal(StatusCode.ABORTED, "bad token")
    assert status.answer(refusal) == Answer(StatusCode.ABORTED, "bad token")


@pytest.mark.parametrize("code", sorted(status.PASSED_ON, key=str))
def test_ebbds_codes_pass_with_their_message(code: StatusCode) -> None:
    assert status.answer(from_ebbd(code)) == Answer(code, "what happened; what to do")


def test_an_ebbd_that_says_it_is_not_ready_is_quoted() -> None:
    answer = status.answer(from_ebbd(StatusCode.UNAVAILABLE, "recovering the pool; try again"))
    assert answer == Answer(StatusCode.UNAVAILABLE, "recovering the pool; try again")


def test_an_ebbd_that_is_not_there_gets_a_remedy() -> None:
    core = "failed to connect to all addresses; last error: …: No such file or directory"
    answer = status.answer(from_ebbd(StatusCode.UNAVAILABLE, core))
    assert answer.code is StatusCode.UNAVAILABLE
    assert "start ebbd, or give its socket with --ebbd" in answer.message


def test_an_ebbd_that_stops_under_the_call_can_be_tried_again() -> None:
    answer = status.answer(from_ebbd(StatusCode.CANCELLED, "server shutdown"))
    assert answer.code is StatusCode.UNAVAILABLE
    assert "try again" in answer.message


def test_an_older_ebbd_is_never_unimplemented_to_the_orchestrator() -> None:
    answer = status.answer(from_ebbd(StatusCode.UNIMPLEMENTED, "Method not found!"))
    assert answer.code is StatusCode.INTERNAL
    assert "of the same version" in answer.message


@pytest.mark.parametrize(
    "code", [StatusCode.UNKNOWN, StatusCode.DATA_LOSS, StatusCode.PERMISSION_DENIED]
)
def test_any_other_code_is_internal_and_named(code: StatusCode) -> None:
    answer = status.answer(from_ebbd(code, "boom"))
    assert answer.code is StatusCode.INTERNAL
    assert f"{code.name}: boom" in answer.message


def test_our_own_mistake_tells_the_caller_its_kind_and_nothing_else() -> None:
    answer = status.answer(KeyError("secret"))
    assert answer.code is StatusCode.INTERNAL
    assert "KeyError" in answer.message
    assert "secret" not in answer.message


def test_every_code_of_grpc_has_an_answer() -> None:
    for code in grpc.StatusCode:
        assert status.answer(from_ebbd(code)).code in {*status.PASSED_ON, StatusCode.UNAVAILABLE}
