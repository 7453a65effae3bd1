"""What csi-sanity left out, against what we said it would: the two must be equal."""

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML

STATES = frozenset({"skipped", "pending"})


@dataclass(frozen=True, slots=True, order=True)
class LeftOut:
    """A spec that did not run, by its full name, and whether skipped or pending."""

    spec: str
    state: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a JUnit file says: how many specs passed, what was left out, which ones failed."""

    passed: int
    left_out: frozenset[LeftOut]
    failed: tuple[str, ...]


def read_report(junit: Path) -> Report:
    """Parse ginkgo's JUnit XML; it writes each spec's state into the `status` attribute."""
    passed, left_out, failed = 0, set[LeftOut](), list[str]()
    for case in ET.parse(junit).iter("testcase"):  # noqa: S314 - written by our own run
        kind, _, spec = case.attrib["name"].partition(" ")
        status = case.attrib["status"]
        if status in STATES:
            left_out.add(LeftOut(spec, status))
        elif status != "passed":
            failed.append(f"{kind} {spec} ({status})")
        elif kind == "[It]":
            passed += 1
    return Report(passed, frozenset(left_out), tuple(failed))


def read_expected(file: Path) -> frozenset[LeftOut]:
    """The committed list; each entry has `spec`, `state` and a `reason`. Raises ValueError."""
    entries = YAML(typ="safe", pure=True).load(file)
    found = []
    for number, entry in enumerate(entries, start=1):
        if set(entry) != {"spec", "state", "reason"} or not str(entry["reason"]).strip():
            raise ValueError(f"{file.name}: entry {number} needs spec, state and a reason")
        if entry["state"] not in STATES:
            raise ValueError(f"{file.name}: entry {number}: state is skipped or pending")
        found.append(LeftOut(entry["spec"], entry["state"]))
    if len(set(found)) < len(found):
        raise ValueError(f"{file.name}: a spec is listed twice")
    return frozenset(found)


def problems(report: Report, expected: frozenset[LeftOut]) -> list[str]:
    """Why this run does not count as good, a line each; empty: it does."""
    lines = [f"failed: {spec}" for spec in report.failed]
    lines += [
        f"{left_out.state}, which expected_skips.yaml does not say: {left_out.spec}"
        for left_out in sorted(report.left_out - expected)
    ]
    lines += [
        f"not {left_out.state}, though expected_skips.yaml says so: {left_out.spec}"
        for left_out in sorted(expected - report.left_out)
    ]
    if not report.passed:
        lines.append("no spec passed at all: csi-sanity did not run")
    return lines
