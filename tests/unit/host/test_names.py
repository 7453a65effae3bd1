import string

import pytest
from ebbd.errors import InvalidInput
from ebbd.host.real.names import checked, checked_tag, dm_name, split_dm_name
from hypothesis import given
from hypothesis import strategies as st

FIRST = string.ascii_letters + string.digits + "_+."
NAMES = st.builds(str.__add__, st.sampled_from(FIRST), st.text(FIRST + "-", max_size=20)).filter(
    lambda name: name not in {".", ".."}
)


@given(vg=NAMES, name=NAMES, layer=st.sampled_from(["", "tpool", "real"]))
def test_a_dm_name_leads_back_to_its_lv(vg: str, name: str, layer: str) -> None:
    assert checked(vg) == vg
    assert split_dm_name(dm_name(vg, name, layer)) == (vg, name, layer)


def test_hyphens_are_doubled() -> None:
    assert dm_name("my-vg", "a--b", "tpool") == "my--vg-a----b-tpool"


@pytest.mark.parametrize("foreign", ["", "plain", "a-b-c-d", "-", "cr_home", "a-"])
def test_names_that_lvm_did_not_build(foreign: str) -> None:
    assert split_dm_name(foreign) is None


@pytest.mark.parametrize(
    "bad", ["", "-x", "a b", "a/b", "a'b", ".", "..", "x" * 128, "a\n", "ü", "#"]
)
def test_what_is_no_name(bad: str) -> None:
    with pytest.raises(InvalidInput):
        checked(bad)


@pytest.mark.parametrize("good", ["a", "-x", "a#b", "k=v:w/x", "!&.+_"])
def test_tags(good: str) -> None:
    assert checked_tag(good) == good


@pytest.mark.parametrize("bad", ["", "#a", "a b", "a\tb", "a'b", 'a"b', "ä", "a,b", "x" * 1025])
def test_what_is_no_tag(bad: str) -> None:
    with pytest.raises(InvalidInput):
        checked_tag(bad)
