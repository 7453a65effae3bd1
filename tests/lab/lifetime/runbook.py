"""The commands of docs/operations.md, run as they are written there."""

import re
import textwrap
from pathlib import Path

from lab.volumes.running import run

_BLOCK = re.compile(r"^ *```sh\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
OPERATIONS = Path(__file__).parents[3] / "docs" / "operations.md"


def follow(heading: str, **values: str) -> str:
    """Run the section's block whose first line assigns these names, with these values; its output.

    The block is run by a shell that stops at the first failure.
    """
    text = OPERATIONS.read_text(encoding="utf-8")
    section, _, _ = text.partition(f"\n## {heading}\n")[2].partition("\n## ")
    blocks = [textwrap.dedent(found) for found in _BLOCK.findall(section)]
    [block] = [it for it in blocks if assigned(it) == set(values)]
    _, _, commands = block.partition("\n")
    assignments = "".join(f"{name}='{value}'\n" for name, value in values.items())
    return run("sh", "-eu", "-c", assignments + commands)


def assigned(block: str) -> set[str]:
    """The names in a block's first line, if that is nothing but assignments."""
    first, _, _ = block.partition("\n")
    found = re.findall(r"([A-Z]+)=\S+", first)
    return set(found) if re.fullmatch(r"([A-Z]+=\S+ ?)+", first) else set()
