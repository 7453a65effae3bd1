from pathlib import Path

import pytest
from conformance import skips
from conformance.sanity import EXPECTED
from conformance.skips import LeftOut, Report

JUNIT = """\
<?xml version="1.0" encoding="UTF-8"?>
<testsuites tests="4">
  <testsuite name="CSI Driver Test Suite">
    <testcase name="[It] Identity Service Probe should work" status="passed"/>
    <testcase name="[It] Node Service should be idempotent" status="failed"><failure/></testcase>
    <testcase name="[It] Node Service health" status="skipped"><skipped/></testcase>
    <testcase name="[It] ListVolumes pagination" status="pending"><skipped/></testcase>
    <testcase name="[AfterEach] cleanup" status="panicked"><error/></testcase>
    <testcase name="[SynchronizedBeforeSuite]" status="passed"/>
  </testsuite>
</testsuites>
"""
HEALTH = LeftOut("Node Service health", "skipped")
PAGES = LeftOut("ListVolumes pagination", "pending")
GOOD = Report(passed=90, left_out=frozenset({HEALTH, PAGES}), failed=())


def test_a_report_is_read_as_ginkgo_writes_it(tmp_path: Path) -> None:
    junit = tmp_path / "junit.xml"
    junit.write_text(JUNIT)
    report = skips.read_report(junit)
    assert report.passed == 1
    assert report.left_out == {HEALTH, PAGES}
    assert report.failed == (
        "[It] Node Service should be idempotent (failed)",
        "[AfterEach] cleanup (panicked)",
    )


def test_a_run_that_leaves_out_what_it_should_has_no_problem() -> None:
    assert skips.problems(GOOD, frozenset({HEALTH, PAGES})) == []


def test_a_new_skip_is_a_problem() -> None:
    assert skips.problems(GOOD, frozenset({PAGES})) == [
        "skipped, which expected_skips.yaml does not say: Node Service health"
    ]


def test_a_skip_that_runs_after_all_is_a_problem() -> None:
    gone = LeftOut("Node Service other", "skipped")
    assert skips.problems(GOOD, frozenset({HEALTH, PAGES, gone})) == [
        "not skipped, though expected_skips.yaml says so: Node Service other"
    ]


def test_pending_is_not_the_same_as_skipped() -> None:
    expected = frozenset({HEALTH, LeftOut(PAGES.spec, "skipped")})
    assert len(skips.problems(GOOD, expected)) == 2


def test_a_failure_and_an_empty_run_are_problems() -> None:
    assert skips.problems(Report(90, frozenset(), ("[It] x (failed)",)), frozenset()) == [
        "failed: [It] x (failed)"
    ]
    assert skips.problems(Report(0, frozenset(), ()), frozenset()) == [
        "no spec passed at all: csi-sanity did not run"
    ]


def test_the_committed_list_is_well_formed() -> None:
    assert len(skips.read_expected(EXPECTED)) == 8


@pytest.mark.parametrize(
    "text",
    [
        "- {spec: a, state: skipped}",
        "- {spec: a, state: skipped, reason: ' '}",
        "- {spec: a, state: failed, reason: because}",
        "- {spec: a, state: skipped, reason: x}\n- {spec: a, state: skipped, reason: y}",
    ],
)
def test_an_entry_without_a_reason_or_with_another_state_is_refused(
    tmp_path: Path, text: str
) -> None:
    file = tmp_path / "skips.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"skips\.yaml"):
        skips.read_expected(file)
