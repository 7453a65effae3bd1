import json
from pathlib import Path

from ebb_lab.figures import summarise, table, write_json


def test_a_figure_is_best_median_and_worst() -> None:
    figure = summarise("boot", [3.0, 1.0, 2.0, 9.0])
    assert (figure.count, figure.best_s, figure.median_s, figure.worst_s) == (4, 1.0, 2.5, 9.0)


def test_the_table_has_a_line_for_each(tmp_path: Path) -> None:
    figures = [summarise("boot", [1.0]), summarise("a command", [0.125])]
    lines = table(figures).splitlines()
    assert [line.split()[0] for line in lines] == ["seconds", "boot", "a"]
    assert len({len(line) for line in lines}) == 1
    assert "0.12" in lines[2]
    write_json(figures, tmp_path / "build" / "lab.json")
    told = json.loads((tmp_path / "build" / "lab.json").read_text())
    assert told["figures"][1]["median_s"] == 0.125
