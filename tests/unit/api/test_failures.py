"""Every error has its code, on the wire; a defect is INTERNAL and in the log."""

from collections.abc import Iterator

import grpc
import pytest
from ebb_pb import ebb_pb2 as pb
from ebbd import errors
from ebbd.errors import CommandFailed, EbbError, NoRoom
from unit.api.served import Served

# Design: the table that the CSI plugin and the CLI rely on.
CODES = {
    "InvalidInput": "INVALID_ARGUMENT",
    "NotFound": "NOT_FOUND",
    "Conflict": "ALREADY_EXISTS",
    "SizeOutOfRange": "OUT_OF_RANGE",
    "NoRoom": "RESOURCE_EXHAUSTED",
    "WrongState": "FAILED_PRECONDITION",
    "Busy": "ABORTED",
    "Unavailable": "UNAVAILABLE",
    "NotPermitted": "PERMISSION_DENIED",
    "DeadlineExceeded": "DEADLINE_EXCEEDED",
    "HostFailure": "INTERNAL",
    "CommandFailed": "INTERNAL",
}


def every_error(root: type[EbbError] = EbbError) -> Iterator[type[EbbError]]:
    for kind in root.__subclasses__():
        if kind.__module__ == errors.__name__:
            yield kind
        yield from every_error(kind)


def test_the_table_is_the_tree() -> None:
    assert {kind.__name__ for kind in every_error()} == set(CODES)


@pytest.mark.parametrize("kind", list(every_error()))
async def test_each_error_on_the_wire(served: Served, kind: type[EbbError]) -> None:
    if kind is CommandFailed:
        error: EbbError = CommandFailed(("lvm", "x"), 5, "Insufficient free space", "add a disk")
    else:
        error = kind("it went wrong", "do that")
    served.rig.machine.faults.fail("create_thin", error)
    with pytest.raises(grpc.aio.AioRpcError) as told:
        await served.volumes.CreateVolume(pb.CreateVolumeRequest(name="a"))
    assert told.value.code().name == CODES[kind.__name__]
    assert told.value.details() == str(error)
    [line] = [entry for entry in served.log.entries if entry.get("code", "OK") != "OK"]
    assert (line["method"], line["told"]) == ("CreateVolume", str(error))


async def test_a_defect(served: Served) -> None:
    served.defects.append(ZeroDivisionError("of ours"))
    with pytest.raises(grpc.aio.AioRpcError) as told:
        await served.node.Diagnose(pb.DiagnoseRequest())
    assert told.value.code() is grpc.StatusCode.INTERNAL
    assert "defect in ebbd" in (told.value.details() or "")
    [defect] = [entry for entry in served.log.entries if entry["event"] == "defect"]
    assert defect["exc_info"]
    assert defect["method"] == "Diagnose"
    await served.node.Diagnose(pb.DiagnoseRequest())


async def test_a_message_too_long_for_the_wire_is_cut_there_and_whole_in_the_log(
    served: Served,
) -> None:
    """Trailing metadata has a limit; beyond it the client would see another error altogether."""
    served.rig.machine.faults.fail("create_thin", NoRoom("ä" * 20_000))
    with pytest.raises(grpc.aio.AioRpcError) as told:
        await served.volumes.CreateVolume(pb.CreateVolumeRequest(name="a"))
    assert told.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (told.value.details() or "").startswith("ää")
    assert any(len(entry.get("told", "")) == 20_000 for entry in served.log.entries)


async def test_each_call_is_one_line(served: Served) -> None:
    await served.node.GetNode(pb.GetNodeRequest())
    await served.volumes.ListVolumes(pb.ListVolumesRequest())
    told = [(entry["method"], entry["code"]) for entry in served.log.entries if "code" in entry]
    assert told == [("GetNode", "OK"), ("ListVolumes", "OK")]
