"""The kinds of value that a configuration key takes, each with its own refusal.

Refusals speak the file's language and say what is allowed.
"""

import re
from pathlib import Path
from typing import Annotated, TypeVar

from ebb_units.quantity import InvalidQuantity, exact, parse_whole
from pydantic import AfterValidator, BeforeValidator
from pydantic_core import PydanticCustomError

_T = TypeVar("_T")
KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
_SOCKET_PATH_BYTES = 107  # sun_path holds 108 with its final zero (unix(7))
_LV_NAME = r"[A-Za-z0-9+_.][A-Za-z0-9+_.-]{0,126}"  # lvm(8), "VALID NAMES"
_POOL_NAME = re.compile(f"{_LV_NAME}/{_LV_NAME}")
_NODE_KEY = re.compile("[a-z2-7]{8}")
_TCP_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")
_PORTS = range(1, 65536)


def refuse(message: str) -> PydanticCustomError:
    # The message is a template to pydantic: braces in a user's value are none of its business.
    return PydanticCustomError("ebbd", "{told}", {"told": message})


def _bytes(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise refuse(f"{value!r} is not a quantity; write a number such as 10Gi or 500M")
    try:
        return parse_whole(str(value))
    except InvalidQuantity as bad:
        raise refuse(str(bad)) from bad


def between(least: int, most: int, unit: int = 1) -> AfterValidator:
    def check(value: int) -> int:
        if not least <= value <= most or value % unit:
            whole = f", a multiple of {exact(unit)}" if unit > 1 else ""
            raise refuse(f"{exact(value)} is not from {exact(least)} to {exact(most)}{whole}")
        return value

    return AfterValidator(check)


def _absolute(value: str) -> str:
    path = Path(value)
    if not path.is_absolute() or ".." in path.parts or "\0" in value:
        raise refuse(f"{value!r} is not an absolute path without ..; write it from / on")
    return str(path)


def _device(value: str) -> str:
    if not _absolute(value).startswith("/dev/"):
        raise refuse(f"{value!r} is not a device; write a path below /dev")
    return value


def _pool_name(value: str) -> str:
    if not _POOL_NAME.fullmatch(value):
        raise refuse(f"{value!r} is not VG/POOL; write the volume group, a slash, the thin pool")
    return value


def node_key(value: str) -> str:
    if not _NODE_KEY.fullmatch(value):
        raise refuse(f"{value!r} is not a node key; use 8 characters of a-z and 2-7")
    return value


def node_id(value: str) -> str:
    if not value.strip() or len(value.encode()) > 256:  # noqa: PLR2004 - csi.proto, NodeGetInfo
        raise refuse(f"{value!r} is not a node id; use 1 to 256 bytes")
    return value


def socket_path(value: str) -> str:
    if len(value.encode()) > _SOCKET_PATH_BYTES:
        raise refuse(f"the path is longer than the {_SOCKET_PATH_BYTES} bytes a socket can have")
    return value


def tcp_address(value: str) -> str:
    found = _TCP_ADDRESS.fullmatch(value)
    if not found or int(found[2]) not in _PORTS:
        raise refuse(f"{value!r} is not HOST:PORT; write for example 0.0.0.0:7443 or [::]:7443")
    return value


def not_empty(value: tuple[_T, ...]) -> tuple[_T, ...]:
    if not value:
        raise refuse("the list is empty; give at least one, or leave the key out")
    return value


def distinct(value: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(value)) < len(value):
        raise refuse("something is in the list twice; name each once")
    return value


Bytes = Annotated[int, BeforeValidator(_bytes)]
AbsolutePath = Annotated[str, AfterValidator(_absolute)]
DevicePath = Annotated[str, AfterValidator(_device)]
PoolName = Annotated[str, AfterValidator(_pool_name)]
