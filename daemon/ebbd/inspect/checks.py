"""One check of `ebb doctor`: what was looked at, how it stands, and the remedy.

OK works; WARNING works, with a limit; FAILED has to be put right before ebb can keep its promises.
Every WARNING and FAILED has a remedy.
"""

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at. `subject` is node, kernel, cgroup, tools, lvm, pool, volumes
    or orphans.
    """

    subject: str
    name: str
    status: Status
    detail: str
    remedy: str = ""
