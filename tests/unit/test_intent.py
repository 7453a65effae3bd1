"""Which keys an intent has and what each may say."""

import pytest
from ebbd.errors import InvalidInput
from ebbd.intent import (
    KEYS,
    LONGEST_VALUE,
    MAXIMUM_RATE,
    RATE_KEYS,
    objective_us,
    parse_intent,
    rate,
)
from hypothesis import given
from hypothesis import strategies as st

RATES = st.integers(2, MAXIMUM_RATE).map(str)


@given(st.dictionaries(st.sampled_from(sorted(k for k in RATE_KEYS if "floor" not in k)), RATES))
def test_rates_are_kept_as_written(values: dict[str, str]) -> None:
    assert parse_intent(values) == values


@pytest.mark.parametrize(
    ("text", "amount"), [("500", 500), ("20Mi", 20 * 2**20), ("2k", 2000), ("1e3", 1000)]
)
def test_quantities_as_kubernetes_writes_them(text: str, amount: int) -> None:
    assert rate("bps", text) == amount


@pytest.mark.parametrize("value", ["", "0", "1", "-5", "lots", "500m", str(2**63), "9" * 64])
@pytest.mark.parametrize("key", ["read-iops", "floor-bps"])
def test_a_bad_rate_is_named(key: str, value: str) -> None:
    with pytest.raises(InvalidInput, match=key):
        parse_intent({key: value})


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [("5ms", 5000), ("800us", 800), ("1.5s", 1_500_000), ("60s", 6 * 10**7)],
)
def test_objectives(text: str, microseconds: int) -> None:
    assert objective_us(text) == microseconds
    assert parse_intent({"latency-objective": text}) == {"latency-objective": text}


@pytest.mark.parametrize("text", ["", "5", "5 ms", "5m", "-5ms", "0us", "0.1us", "61s", "1e3ms"])
def test_a_bad_objective_is_named(text: str) -> None:
    with pytest.raises(InvalidInput, match="latency-objective"):
        parse_intent({"latency-objective": text})


@pytest.mark.parametrize("name", ["gold", "a", "tier-1", "a" * 63])
def test_priorities(name: str) -> None:
    assert parse_intent({"priority": name})["priority"] == name


@pytest.mark.parametrize("name", ["", "Gold", "-a", "a-", "a b", "a" * 64, "ä", "gold\n"])
def test_a_bad_priority_is_named(name: str) -> None:
    with pytest.raises(InvalidInput, match="priority"):
        parse_intent({"priority": name})


def test_an_unknown_key_is_told_the_nearest() -> None:
    with pytest.raises(InvalidInput) as told:
        parse_intent({"iops": "500", "read-iop": "5"})
    assert "read-iop" in told.value.message
    assert "did you mean 'read-iops'" in told.value.remedy


@pytest.mark.parametrize("unit", ["iops", "bps"])
@pytest.mark.parametrize("cap", ["{}", "read-{}", "write-{}"])
def test_a_floor_above_its_cap(unit: str, cap: str) -> None:
    values = {f"floor-{unit}": "100", cap.format(unit): "99"}
    with pytest.raises(InvalidInput, match=f"floor-{unit} 100 is above {cap.format(unit)} 99"):
        parse_intent(values)
    fine = values | {cap.format(unit): "100"}
    assert parse_intent(fine) == fine


def test_every_key_has_a_check() -> None:
    for key in KEYS:
        with pytest.raises(InvalidInput, match=key):
            parse_intent({key: "!"})
        with pytest.raises(InvalidInput, match=key):
            parse_intent({key: "1" * (LONGEST_VALUE + 1)})
