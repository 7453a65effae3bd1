"""What an LVM command answers: a JSON document, and what its messages mean. Pure.

With `report_command_log` every message is a row of the `log` section and the last row carries the
return code (lvm2: lib/log, tools/errors.h): 1 is success, 3 a wrong command line, 5 a failure.
LVM has no finer codes, so the kind of failure is read from the messages, which are English in
the C locale. Each pattern was seen on LVM 2.03.16 or stands in its source.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ebbd.errors import (
    CommandFailed,
    Conflict,
    EbbError,
    HostFailure,
    NoRoom,
    NotFound,
    Unavailable,
    WrongState,
)

SUCCESS = 1
_WRONG_LINE = 3


@dataclass(frozen=True, slots=True)
class Answer:
    """One command's outcome: LVM's return code, its messages, the rows of its reports by name."""

    return_code: int
    messages: tuple[str, ...]
    errors: tuple[str, ...]
    reports: Mapping[str, tuple[Mapping[str, str], ...]]


def parse(document: bytes) -> Answer | None:
    """The answer, or None while the document is not complete yet.

    Raises HostFailure for a document of another shape.
    """
    if not document.rstrip().endswith(b"}"):
        return None
    try:
        content = json.loads(document.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    try:
        return _answer(content)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise HostFailure(
            f"LVM answered in a form that ebbd does not know: {document[:200]!r}",
            "is this LVM 2.03.12 or newer?",
        ) from error


def _answer(content: Mapping[str, Any]) -> Answer | None:
    log = content.get("log", [])
    if not log:
        return None
    reports: dict[str, tuple[Mapping[str, str], ...]] = {}
    for report in content.get("report", []):
        for name, rows in report.items():
            reports[name] = (*reports.get(name, ()), *rows)
    said = [row for row in log if row["log_type"] != "status"]
    return Answer(
        return_code=int(log[-1]["log_ret_code"]),
        messages=tuple(row["log_message"].strip() for row in said),
        errors=tuple(row["log_message"].strip() for row in said if row["log_type"] == "error"),
        reports=reports,
    )


# (patterns, error, remedy): the first that matches names the kind.
_MEANINGS: tuple[tuple[tuple[str, ...], type[EbbError], str], ...] = (
    (
        (r"already exists in volume group", r"[Vv]olume group .* already exists"),
        Conflict,
        "choose another name",
    ),
    (
        (
            r"[Ii]nsufficient (free|suitable|allocatable)",
            r"insufficient free extents",
            r"free space in .* reached threshold",
        ),
        NoRoom,
        "remove volumes, or add a disk with vgextend",
    ),
    (
        (r"[Mm]etadata too large for circular buffer", r"VG .* metadata too large"),
        NoRoom,
        "the VG's metadata area is full: remove snapshots or volumes",
    ),
    (
        (
            r"[Ll]ogical volume \S+ (is )?(in use|used by another device)",
            r"contains a filesystem in use",
            r"is used by another",
            r"Device or resource busy",
        ),
        WrongState,
        "unmount it everywhere (dmsetup info shows its open count)",
    ),
    (
        (
            r"[Ff]ailed to find logical volume",
            r"logical volume\(s\) not found",
            r"Volume group \S+ not found",
            r"not found in [Vv]olume group",
        ),
        NotFound,
        "ebb volume list shows what there is",
    ),
    (
        (
            r"transaction_id is \d+, while expected",
            r"[Mm]anual intervention",
            r"Missing device|is missing PV",
        ),
        Unavailable,
        "the pool or the VG needs recovery: restart ebbd, then read its log",
    ),
)


def failure(argv: Sequence[str], answer: Answer) -> EbbError:
    """The error that a failed answer stands for; CommandFailed when LVM's words are not known."""
    said = "; ".join(answer.errors or answer.messages) or "no message"
    if answer.return_code != _WRONG_LINE:
        for patterns, error, remedy in _MEANINGS:
            if any(re.search(pattern, said) for pattern in patterns):
                return error(f"{argv[0]}: {said}", remedy)
    return CommandFailed(tuple(argv), answer.return_code, said)


def report_rows(document: str, name: str) -> list[dict[str, str]]:
    """The rows of one report of a command's JSON answer (`--reportformat json`)."""
    content = json.loads(document)
    return [row for report in content.get("report", []) for row in report.get(name, [])]
