"""What a campaign did: faults injected and volumes checked, by kind, as a file to be summed."""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True)
class Tally:
    """`faults` and `checked` count by kind; a check of one volume or snapshot after one fault is
    one.
    """

    faults: Counter[str] = field(default_factory=Counter)
    checked: Counter[str] = field(default_factory=Counter)

    def add(self, kind: str, *, checked: int, faults: int = 1) -> None:
        """`faults` of this kind were injected and outlived: all that could be checked held."""
        self.faults[kind] += faults
        self.checked[kind] += checked

    def merge(self, other: "Tally") -> None:
        self.faults.update(other.faults)
        self.checked.update(other.checked)

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.as_json(), indent=2) + "\n")

    def as_json(self) -> dict[str, object]:
        return {
            "faults_injected": self.faults.total(),
            "volumes_checked": self.checked.total(),
            "kinds": {
                kind: {"faults": self.faults[kind], "volumes": self.checked[kind]}
                for kind in sorted(self.faults)
            },
        }

    def counts(self) -> str:
        """Of all kinds together, then of each."""
        kinds = ", ".join(f"{kind} {number}" for kind, number in sorted(self.faults.items()))
        return (
            f"{self.faults.total()} faults injected, {self.checked.total()} volumes and snapshots "
            f"checked after them ({kinds})"
        )


def read(path: Path) -> Tally:
    kinds = json.loads(path.read_text())["kinds"]
    return Tally(
        Counter({kind: told["faults"] for kind, told in kinds.items()}),
        Counter({kind: told["volumes"] for kind, told in kinds.items()}),
    )
