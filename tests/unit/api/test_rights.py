"""The rights table has every call of ebb.v1, and a certificate has the right that its name says."""

import pytest
from ebb_pb import ebb_pb2
from ebbd.api.rights import NEEDED, Right, admit, granted, needed
from ebbd.errors import NotPermitted
from hypothesis import given
from hypothesis import strategies as st


def test_every_call_of_ebb_v1_has_its_right_and_the_table_has_no_other() -> None:
    services = ebb_pb2.DESCRIPTOR.services_by_name
    assert {name: set(methods) for name, methods in NEEDED.items()} == {
        name: {method.name for method in service.methods} for name, service in services.items()
    }


def test_what_makes_grows_or_deletes_needs_change_and_what_asks_needs_stats() -> None:
    for methods in NEEDED.values():
        for method, right in methods.items():
            if method.startswith(("Create", "Delete", "Expand", "Modify")):
                assert right is Right.CHANGE, method
            if method.startswith(("Get", "List", "Diagnose")):
                assert right is Right.STATS, method


def test_a_call_that_nobody_decided_about_is_closed() -> None:
    for path in (
        "/ebb.v1.Volumes/Burn",
        "/ebb.v2.Volumes/GetVolume",
        "/grpc.health.v1.Health/Check",
    ):
        assert needed(path) is None
        with pytest.raises(NotPermitted, match="use ebbd's socket"):
            admit(path, ["ebb:///rights/change"])


@pytest.mark.parametrize(
    ("names", "right"),
    [
        (["ebb:///rights/stats"], Right.STATS),
        (["localhost", "ebb:///rights/use"], Right.USE),
        (["ebb:///rights/change", "ebb:///rights/change"], Right.CHANGE),
        (["ebb:///rights/change", "ebb:///rights/stats"], None),
        (["ebb:///rights/CHANGE"], None),
        (["ebb:///rights/"], None),
        (["ebb:///rights/root"], None),
        (["http://ebb:///rights/change"], None),
        (["worker-1", "ebbd.ebb.internal"], None),
        ([], None),
    ],
)
def test_the_right_in_a_certificates_names(names: list[str], right: Right | None) -> None:
    assert granted(names) is right


@given(st.sampled_from(list(Right)), st.sampled_from(list(Right)))
def test_a_greater_right_contains_the_lesser(has: Right, needs: Right) -> None:
    path = next(
        f"/ebb.v1.{service}/{method}"
        for service, methods in NEEDED.items()
        for method, right in methods.items()
        if right is needs
    )
    if has >= needs:
        admit(path, [f"ebb:///rights/{has}"])
    else:
        with pytest.raises(NotPermitted, match=f"needs the right '{needs}'.*has '{has}'"):
            admit(path, [f"ebb:///rights/{has}"])
