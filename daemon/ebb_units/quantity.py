"""Kubernetes quantities: `10Gi`, `1.5k`, `500m`, `1e3`.

The grammar is that of k8s.io/apimachinery `resource.Quantity`: a decimal number, then a binary
suffix (Ki … Ei), a decimal suffix (n u m k M G T P E) or an exponent. `1E` is an exa, `1E3` a
thousand. Magnitudes reach 2^63 - 1, what a signed 64-bit field of the API holds.
"""

import re
from decimal import ROUND_CEILING, Context, Decimal
from types import MappingProxyType

BINARY_SUFFIXES = ("Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
MAXIMUM = 2**63 - 1

_NUMBER = re.compile(
    r"(?P<number>[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))"
    r"(?:(?P<suffix>[KMGTPE]i|[numkMGTPE])|[eE](?P<exponent>[+-]?[0-9]{1,3}))?"
)
_FACTORS = MappingProxyType(
    {name: Decimal(1024) ** power for power, name in enumerate(BINARY_SUFFIXES, start=1)}
    | {name: Decimal(1000) ** power for power, name in enumerate("kMGTPE", start=1)}
    | {name: Decimal(1000) ** -power for power, name in enumerate("mun", start=1)}
)
# Wide enough that no product of a text this short is ever rounded.
_EXACT = Context(prec=256)
_LONGEST_TEXT = 64


class InvalidQuantity(ValueError):
    """A text that is no quantity; `text` is what was given."""

    def __init__(self, text: str, message: str) -> None:
        self.text = text
        super().__init__(message)


def parse(text: str) -> Decimal:
    """The exact value; InvalidQuantity when it is none or beyond 64 bits."""
    match = _NUMBER.fullmatch(text) if len(text) <= _LONGEST_TEXT else None
    if match is None:
        raise InvalidQuantity(
            text, f'"{text[:_LONGEST_TEXT]}" is not a quantity; write a number such as 10Gi or 500M'
        )
    number = Decimal(match["number"])
    if match["exponent"]:
        value = number.scaleb(int(match["exponent"]), context=_EXACT)
    else:
        value = _EXACT.multiply(number, _FACTORS.get(match["suffix"] or "", Decimal(1)))
    if abs(value) > MAXIMUM:
        raise InvalidQuantity(text, f'"{text}" is too large; the most is 2^63 - 1, just below 8Ei')
    return value


def parse_whole(text: str) -> int:
    """A count or a number of bytes: fractions are rounded up (as Quantity.Value() does).

    InvalidQuantity when it is negative.
    """
    value = parse(text)
    if value < 0:
        raise InvalidQuantity(text, f'"{text}" is negative; write a number of at least 0')
    return int(value.to_integral_value(rounding=ROUND_CEILING, context=_EXACT))


def exact(value: int) -> str:
    """The largest binary suffix that loses nothing: `10Gi`, `1536Mi`, `1000`."""
    suffix = ""
    for name in BINARY_SUFFIXES:
        if value == 0 or value % 1024:
            break
        value //= 1024
        suffix = name
    return f"{value}{suffix}"


def short(value: int) -> str:
    """For people: three figures, four from 1000 to 1023: `9.54Gi`, `1008Mi`. Within 0.6 %."""
    scaled = float(value)
    suffix = ""
    for name in BINARY_SUFFIXES:
        # What would print as 1024 belongs to the next suffix.
        if abs(scaled) < 1023.5:  # noqa: PLR2004 - explained above
            break
        scaled /= 1024
        suffix = name
    figures = f"{scaled:.3g}" if abs(scaled) < 100 else f"{scaled:.0f}"  # noqa: PLR2004 - two forms of three figures
    return f"{figures}{suffix}"
