import pytest
from ebbd.host.real.text_format import Damaged, Section, parse
from hypothesis import given
from hypothesis import strategies as st

KEYS = st.from_regex(r"[a-zA-Z0-9_+.][a-zA-Z0-9_+.-]{0,12}", fullmatch=True)
STRINGS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=20)
SCALARS = st.integers(-(2**40), 2**63) | STRINGS
VALUES = SCALARS | st.lists(SCALARS, max_size=4)
TREES = st.recursive(
    st.dictionaries(KEYS, VALUES, max_size=4),
    lambda inner: st.dictionaries(KEYS, VALUES | inner, max_size=4),
    max_leaves=12,
)


def written(value: object) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(written(item) for item in value) + "]"
    if isinstance(value, int):
        return str(value)
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def written_section(section: Section) -> str:
    text = ""
    for key, value in section.items():
        if isinstance(value, dict):
            text += f'{key} {{\t# a = {{ [ " comment\n{written_section(value)}}}\n'
        else:
            text += f"{key} = {written(value)}\t# 1 Gigabytes\n"
    return text


@given(TREES)
def test_what_lvm_writes_is_read_back(tree: Section) -> None:
    assert parse(written_section(tree)) == tree


def test_a_comment_sign_inside_a_string_is_text() -> None:
    assert parse('tags = ["a#b", "{", "x=y"] # "c"\nn = -1') == {
        "tags": ["a#b", "{", "x=y"],
        "n": -1,
    }


@pytest.mark.parametrize(
    "text",
    ["vg {", "}", "a = ", 'a = "b', "a = [1, 2", "a = b", "a b", "a = {", "= 1"],
)
def test_damage_is_told(text: str) -> None:
    with pytest.raises(Damaged):
        parse(text)
