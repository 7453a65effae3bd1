import pytest
from ebbd.errors import HostFailure
from ebbd.host.real.thin_metadata import parse
from hypothesis import given
from hypothesis import strategies as st


def test_the_lines_of_thin_ls() -> None:
    # thin_ls 0.9.0 --no-headers --format DEV,MAPPED_SECTORS
    assert parse("1 6144\n2    0\n") == {1: 6144 * 512, 2: 0}
    assert parse("") == {}


@given(st.dictionaries(st.integers(0, 2**24 - 1), st.integers(0, 2**40)))
def test_every_listing_comes_back(devices: dict[int, int]) -> None:
    listed = "".join(f"{number:>8} {sectors:>12}\n" for number, sectors in devices.items())
    assert parse(listed) == {number: sectors * 512 for number, sectors in devices.items()}


@pytest.mark.parametrize("line", ["DEV MAPPED_SECTORS", "1", "1 2 3", "1 2MiB"])
def test_another_line_is_not_guessed_at(line: str) -> None:
    with pytest.raises(HostFailure, match="thin_ls said"):
        parse(line)
