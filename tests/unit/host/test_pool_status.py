import pytest
from ebbd.errors import HostFailure
from ebbd.host.real.pool_status import parse_mapped_bytes, parse_pool_status
from ebbd.host.values import PoolStatus


def test_a_healthy_pool() -> None:
    line = "15 421/4096 12/64704 - rw discard_passdown error_if_no_space - 1024 "
    assert parse_pool_status(line) == PoolStatus(
        mode="rw",
        transaction_id=15,
        used_metadata_blocks=421,
        total_metadata_blocks=4096,
        used_data_blocks=12,
        total_data_blocks=64704,
        error_when_full=True,
    )


def test_a_full_pool_that_queues_and_wants_a_check() -> None:
    line = "7 9/10 20/20 5 out_of_data_space no_discard_passdown queue_if_no_space needs_check 1024"
    status = parse_pool_status(line)
    assert (status.mode, status.error_when_full, status.needs_check) == (
        "out_of_data_space",
        False,
        True,
    )


def test_a_failed_pool_has_only_its_mode() -> None:
    assert parse_pool_status("Fail") == PoolStatus(mode="fail")


@pytest.mark.parametrize("line", ["", "Error", "1 2 3", "x 1/2 1/2 - rw a b"])
def test_what_is_no_status(line: str) -> None:
    with pytest.raises(HostFailure):
        parse_pool_status(line)


def test_what_a_thin_volume_has_mapped() -> None:
    assert parse_mapped_bytes("2048 4095") == 1 << 20
    assert parse_mapped_bytes("0 -") == 0
    for line in ("", "Fail", "Error"):
        with pytest.raises(HostFailure):
            parse_mapped_bytes(line)


def test_a_number_without_end_is_no_count() -> None:
    with pytest.raises(HostFailure, match="cannot be read"):
        parse_mapped_bytes("9" * 5000)
