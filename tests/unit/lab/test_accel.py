from pathlib import Path

import pytest
from ebb_lab import Progress, accel
from ebb_lab.image import Image

FOUND_AT = 1000.0
DAY_S = 24 * 3600.0


def test_what_was_found_is_remembered_for_a_day(tmp_path: Path) -> None:
    note = tmp_path / "kvm.json"
    for works in (True, False):
        accel._remember(note, works=works, now=FOUND_AT)
        assert accel._recall(note, FOUND_AT + DAY_S - 1) is works
        assert accel._recall(note, FOUND_AT + DAY_S + 1) is None


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"works": true}', '{"at": "x", "works": 1}'])
def test_a_damaged_note_is_as_good_as_none(tmp_path: Path, damage: str) -> None:
    note = tmp_path / "kvm.json"
    assert accel._recall(note, FOUND_AT) is None
    note.write_text(damage)
    assert accel._recall(note, FOUND_AT) is None


async def test_a_person_may_choose(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EBB_LAB_ACCEL", "tcg")
    chosen = await accel.choose(Image(tmp_path, tmp_path), tmp_path, Progress())
    assert chosen.name == "tcg"
    assert "EBB_LAB_ACCEL" in chosen.reason
