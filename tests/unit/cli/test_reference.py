"""docs/cli.md and the program say the same."""

import re
from pathlib import Path

from ebb_cli.app import EPILOG, build
from ebb_cli.failures import ExitCode
from typer.testing import CliRunner

REFERENCE = (Path(__file__).parents[3] / "docs" / "cli.md").read_text(encoding="utf-8")


def commands() -> dict[str, list[str]]:
    """Nouns and verbs of the reference's first table."""
    rows = re.findall(r"^\| `ebb (\w+)` \| (.*) \|$", REFERENCE, re.MULTILINE)
    return {
        noun: re.findall(r"`(\w+)`", verbs) if noun not in {"doctor", "gc", "completion"} else []
        for noun, verbs in rows
    }


def test_the_exit_codes_are_all_there() -> None:
    documented = [int(code) for code in re.findall(r"^\| (\d+) \|", REFERENCE, re.MULTILINE)]
    assert documented == [int(code) for code in ExitCode]
    assert [int(code) for code in re.findall(r"\b(\d+) ", EPILOG)] == documented


def test_every_command_of_the_program_is_in_the_reference_and_the_other_way_round() -> None:
    tree = build()
    nouns = {group.name: group.typer_instance for group in tree.registered_groups}
    there = {
        str(name): [str(it.name) for it in noun.registered_commands]
        for name, noun in nouns.items()
        if noun is not None
    }
    there |= {str(command.name): [] for command in tree.registered_commands}
    assert {noun: sorted(verbs) for noun, verbs in commands().items()} == {
        noun: sorted(verbs) for noun, verbs in there.items()
    }


def test_every_command_has_the_global_options() -> None:
    options = re.findall(r"^\| `(--[a-z-]+)", REFERENCE, re.MULTILINE)
    assert len(options) == 5
    for noun, verbs in commands().items():
        # A script to source asks nobody anything.
        alone = [] if noun == "completion" else [[noun]]
        for command in [[noun, verb] for verb in verbs] or alone:
            told = CliRunner().invoke(build(), [*command, "--help"], env={"COLUMNS": "200"})
            assert told.exit_code == 0
            assert [it for it in options if it not in told.stdout] == [], command
