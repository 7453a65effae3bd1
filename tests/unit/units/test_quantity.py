"""Quantities: Kubernetes' own examples, and properties that hold for every number."""

from decimal import Decimal

import pytest
from ebb_units.quantity import MAXIMUM, InvalidQuantity, exact, parse, parse_whole, short
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("12", 12),
        ("10Gi", 10 * 2**30),
        ("1.5Gi", 3 * 2**29),
        (".5Ki", 512),
        ("5.", 5),
        ("+3k", 3000),
        ("1E", 10**18),
        ("1E3", 1000),
        ("1e-3", Decimal("0.001")),
        ("12e6", 12_000_000),
        ("500m", Decimal("0.5")),
        ("1u", Decimal("0.000001")),
        ("1n", Decimal("0.000000001")),
        ("-2M", -2_000_000),
        ("7Ei", 7 * 2**60),
        (str(MAXIMUM), MAXIMUM),
    ],
)
def test_reads_what_kubernetes_writes(text: str, value: Decimal | int) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "10 Gi", "Gi", "10gi", "10GiB", "10GB", "1_000", "0x10", "K", "10K", ".", "1.2.3",
        "--1", "1e", "1e1e1", "NaN", "Infinity", "١٢", "10Gi\n", "1" * 65,
    ],
)  # fmt: skip
def test_refuses_what_is_none(text: str) -> None:
    with pytest.raises(InvalidQuantity, match=r"is not a quantity; write") as refused:
        parse(text)
    assert refused.value.text == text


@pytest.mark.parametrize("text", ["8Ei", "9223372036854775808", "-8Ei", "10E", "1e999"])
def test_refuses_what_no_field_holds(text: str) -> None:
    with pytest.raises(InvalidQuantity, match="too large"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "value"), [("1m", 1), ("1.1", 2), ("2", 2), ("0", 0), ("1e-999", 1)]
)
def test_rounds_up_to_a_whole_number(text: str, value: int) -> None:
    assert parse_whole(text) == value


def test_a_whole_number_is_not_negative() -> None:
    with pytest.raises(InvalidQuantity, match="negative"):
        parse_whole("-1m")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (1, "1"), (1000, "1000"), (1024, "1Ki"), (3 * 2**29, "1536Mi"), (2**60, "1Ei")],
)
def test_writes_exactly(value: int, text: str) -> None:
    assert exact(value) == text


@given(st.integers(min_value=0, max_value=MAXIMUM))
def test_exact_comes_back(value: int) -> None:
    assert parse_whole(exact(value)) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1000"),
        (1023, "1023"),
        (1024, "1Ki"),
        (10 * 2**30, "10Gi"),
        (10 * 10**9, "9.31Gi"),
        (1023 * 2**20, "1023Mi"),
        (1024 * 2**20 - 1, "1Gi"),
        (123 * 2**40 + 2**39, "124Ti"),
    ],
)
def test_writes_shortly(value: int, text: str) -> None:
    assert short(value) == text


@given(st.integers(min_value=0, max_value=2**62))
def test_short_is_close_and_parses(value: int) -> None:
    assert abs(parse_whole(short(value)) - value) <= max(1, value * 0.006)
