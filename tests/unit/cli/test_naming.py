"""KEY=VALUE settings and the pool among them."""

import pytest
import typer
from ebb_cli import naming


def test_settings_keep_what_follows_the_first_equals_sign() -> None:
    assert naming.settings(["mkfs-options=-O a=b", "x="]) == {"mkfs-options": "-O a=b", "x": ""}


@pytest.mark.parametrize("text", ["priority", "=gold", ""])
def test_what_is_no_setting_is_named(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="KEY=VALUE"):
        naming.settings([text])


def test_a_key_given_twice_is_refused() -> None:
    with pytest.raises(typer.BadParameter, match='"iops" is given twice'):
        naming.settings(["iops=1", "iops=2"])


def test_the_pool_is_named_once() -> None:
    assert naming.with_pool({}, "ebb/pool") == {"pool": "ebb/pool"}
    assert naming.with_pool({"pool": "ebb/pool"}, "ebb/pool") == {"pool": "ebb/pool"}
    assert naming.with_pool({"pool": "ebb/pool"}, None) == {"pool": "ebb/pool"}
    with pytest.raises(typer.BadParameter, match="different pools"):
        naming.with_pool({"pool": "a/b"}, "ebb/pool")
