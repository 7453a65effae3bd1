"""What a developer may ask of a volume's IO: the keys, and the values each one takes.

The same keys everywhere: StorageClass parameters, VolumeAttributesClass, PVC annotations, CLI.
Rates are whole quantities a second as Kubernetes writes them (`500`, `20Mi`), the objective is a
duration (`5ms`, `800us`). Parsing normalises nothing away: what was written is what is stored,
once it is known to be right.
"""

import re
from collections.abc import Mapping
from difflib import get_close_matches

from ebb_units.quantity import InvalidQuantity, parse_whole

from ebbd.errors import InvalidInput

RATE_KEYS = frozenset(
    {"read-iops", "write-iops", "iops", "floor-iops", "read-bps", "write-bps", "bps", "floor-bps"}
)
KEYS = RATE_KEYS | {"priority", "latency-objective"}

# io.max refuses 0 with ERANGE and 1 with EINVAL (block/blk-throttle.c, tg_set_limit).
MINIMUM_RATE = 2
MAXIMUM_RATE = 2**63 - 1
LONGEST_VALUE = 63  # so that a whole layer fits one LVM tag
_CLASS_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z")
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(us|ms|s)\Z")
_MICROSECONDS = {"us": 1, "ms": 1_000, "s": 1_000_000}
_LONGEST_OBJECTIVE_US = 60_000_000


def parse_intent(values: Mapping[str, str]) -> dict[str, str]:
    """The intent in `values`, every key and value checked; InvalidInput names the bad one."""
    for key, value in values.items():
        if key not in KEYS:
            raise InvalidInput(*unknown_key(key, KEYS))
        if len(value) > LONGEST_VALUE:
            raise InvalidInput(f"{key}: the value is longer than {LONGEST_VALUE} characters")
        if key == "priority":
            _check_class(value)
        elif key == "latency-objective":
            objective_us(value)
        else:
            rate(key, value)
    _check_floors(values)
    return dict(values)


def unknown_key(key: str, allowed: frozenset[str]) -> tuple[str, str]:
    """What happened and what to do about a key nobody knows."""
    close = get_close_matches(key, sorted(allowed), n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"unknown parameter {key!r}", f"{hint}use one of: {', '.join(sorted(allowed))}"


def rate(key: str, value: str) -> int:
    """A rate in operations or bytes a second."""
    try:
        amount = parse_whole(value)
    except InvalidQuantity as bad:
        raise InvalidInput(f"{key}: {bad}") from bad
    if not MINIMUM_RATE <= amount <= MAXIMUM_RATE:
        raise InvalidInput(
            f"{key}: {value!r} is out of range",
            f"the kernel's io.max takes {MINIMUM_RATE} and more; leave the key out for no limit",
        )
    return amount


def objective_us(value: str) -> int:
    """A latency objective in microseconds."""
    found = _DURATION.match(value)
    amount = round(float(found[1]) * _MICROSECONDS[found[2]]) if found else 0
    if not 1 <= amount <= _LONGEST_OBJECTIVE_US:
        raise InvalidInput(
            f"latency-objective: {value!r} is not a duration between 1us and 60s",
            "write it as 800us, 5ms or 1.5s",
        )
    return amount


def _check_class(value: str) -> None:
    if not _CLASS_NAME.match(value):
        raise InvalidInput(
            f"priority: {value!r} is not a class name",
            "use the name of a class in the operator's policy: small letters, digits, hyphens",
        )


def _check_floors(values: Mapping[str, str]) -> None:
    """A floor above its own cap could never be kept."""
    for unit in ("iops", "bps"):
        if f"floor-{unit}" not in values:
            continue
        floor = rate(f"floor-{unit}", values[f"floor-{unit}"])
        for cap_key in (unit, f"read-{unit}", f"write-{unit}"):
            if cap_key in values and rate(cap_key, values[cap_key]) < floor:
                raise InvalidInput(
                    f"floor-{unit} {values[f'floor-{unit}']} is above {cap_key} {values[cap_key]}",
                    "lower the floor or raise the cap",
                )
