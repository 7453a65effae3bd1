"""How large a volume becomes."""

import pytest
from ebbd.errors import InvalidInput, NoRoom, SizeOutOfRange
from ebbd.host.values import PoolStatus, ThinPool
from ebbd.model import Snapshot, Volume
from ebbd.volumes.capacity import INACTIVE, admit, pool_state
from ebbd.volumes.catalog import Catalog
from ebbd.volumes.sizes import (
    MAXIMUM_BYTES,
    MIB,
    check_range,
    choose_size,
    minimum_bytes,
    round_up,
    satisfies,
)
from hypothesis import given
from hypothesis import strategies as st

EXTENTS = st.sampled_from([MIB, 4 * MIB, 64 * MIB])
SIZES = st.integers(0, 2**40)


@given(SIZES, st.integers(1, 2**26))
def test_rounding_up(size: int, unit: int) -> None:
    rounded = round_up(size, unit)
    assert rounded % unit == 0
    assert 0 <= rounded - size < unit


@given(
    SIZES, SIZES, SIZES.filter(bool), EXTENTS, st.sampled_from(["", "ext4", "xfs", "btrfs"]), SIZES
)
def test_a_chosen_size_is_whole_within_the_range_and_idempotent(
    required: int, limit: int, default: int, extent: int, filesystem: str, source_extents: int
) -> None:
    source = source_extents % 1000 * extent
    smallest = minimum_bytes(filesystem, extent)

    def choose(required: int, limit: int) -> int:
        return choose_size(
            required,
            limit,
            default_bytes=default,
            minimum_bytes=smallest,
            extent_bytes=extent,
            source_bytes=source,
        )

    fits = max(round_up(required or source, extent), smallest, source)
    if limit and required > limit:
        with pytest.raises(InvalidInput):
            choose(required, limit)
    elif 0 < required < source or (limit and fits > limit):
        with pytest.raises(SizeOutOfRange):
            choose(required, limit)
    else:
        size = choose(required, limit)
        assert size % extent == 0
        assert size >= fits
        assert satisfies(size, required, limit)
        if required or source:
            assert size == fits, "not larger than asked for"
        assert choose(size, limit) == size


def test_a_limit_between_two_extents_is_met_from_below() -> None:
    size = choose_size(
        0, 10 * MIB, default_bytes=1024 * MIB, minimum_bytes=4 * MIB, extent_bytes=4 * MIB
    )
    assert size == 8 * MIB


def test_ranges() -> None:
    check_range(0, 0)
    check_range(5, 5)
    for bad in ((-1, 0), (0, -1), (6, 5)):
        with pytest.raises(InvalidInput):
            check_range(*bad)
    with pytest.raises(SizeOutOfRange):
        check_range(MAXIMUM_BYTES + 1, 0)


# ---- capacity ----

CHUNK = 65536
POOL = ThinPool("p", "u", 1000 * CHUNK, 2**22, CHUNK, 1, zero=True, error_when_full=True)


def volume(size: int, pool: str = "p") -> Volume:
    return Volume("v", "v", "i", "vg", pool, "lv", 1, size, size, "ext4", 0)


def state_of(used: int, promised: int, ratio: float, mode: str = "rw"):  # type: ignore[no-untyped-def] # noqa: ANN201 - PoolState
    status = PoolStatus(mode, 1, 10, 1024, used, 1000)
    catalog = Catalog(
        {"1": volume(promised), "2": volume(77, "other")},
        {"s": Snapshot("s", "s", "v", "v", "i", "vg", "p", "lv", 9, "ext4", 0)},
        {},
        {},
    )
    return pool_state("vg", POOL, status, catalog, ratio=ratio)


@given(st.integers(0, 1000), st.integers(0, 10**9), st.sampled_from([0.5, 1.0, 1.5, 10.0]))
def test_room_is_bounded_by_promises_and_by_real_free_data(
    used: int, promised: int, ratio: float
) -> None:
    state = state_of(used, promised, ratio)
    room = state.available_bytes
    assert 0 <= room <= max(0, 1000 * CHUNK * ratio - promised)
    assert room <= (1000 - used) * CHUNK * ratio
    assert room >= min(1000 * CHUNK * ratio - promised, (1000 - used) * CHUNK * ratio) - 1
    assert (state.volumes, state.snapshots, state.virtual_bytes) == (1, 1, promised)
    assert state.used_bytes == used * CHUNK
    admit(state, room)
    with pytest.raises(NoRoom, match="vg/p"):
        admit(state, room + 1)


@pytest.mark.parametrize("mode", ["ro", "out_of_data_space", "fail", INACTIVE])
def test_a_sick_pool_has_no_room(mode: str) -> None:
    state = state_of(1, 0, 10.0, mode)
    assert state.problem
    assert state.available_bytes == 0
    with pytest.raises(NoRoom, match="ebb doctor"):
        admit(state, 0)


def test_a_pool_that_wants_a_check_has_no_room() -> None:
    status = PoolStatus("rw", 1, 10, 1024, 1, 1000, needs_check=True)
    state = pool_state("vg", POOL, status, Catalog(), ratio=1.0)
    assert "thin_check" in state.problem
    assert state.available_bytes == 0
