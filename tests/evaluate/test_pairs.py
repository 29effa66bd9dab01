from __future__ import annotations

from pathlib import Path

import pytest

from snellen.data.sample import ManifestError
from snellen.evaluate.datasets import read_pairs
from snellen.evaluate.modes import ONE, TWO
from snellen.evaluate.report.tables import Table
from snellen.evaluate.rows import Row
from snellen.evaluate.suites import pairs

LINES = "first,second,preferred\na.png,sub/b.png,0.9\nc.png,a.png,0.25\n"


def test_pairs_are_read_with_their_pictures(tmp_path: Path) -> None:
    (tmp_path / "choices.csv").write_text(LINES)
    data = read_pairs("p", tmp_path / "choices.csv")
    assert data.pairs == (("p/a.png", "p/sub/b.png", 0.9), ("p/c.png", "p/a.png", 0.25))
    assert data.samples["p/sub/b.png"].path == str(tmp_path / "sub" / "b.png")
    todo = pairs.jobs([data], (TWO, ONE), tmp_path)
    assert [job.key for job in todo] == ["p/a.png", "p/sub/b.png", "p/c.png"]
    assert {job.modes for job in todo} == {(TWO, ONE)}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a.png,b.png,0.5\n", "line 1: the columns are first,second,preferred"),
        (LINES + "c.png,d.png,1.5\n", "line 4: .*share from 0 to 1"),
        (LINES + "c.png,d.png,nan\n", "line 4"),
        (LINES + "c.png,c.png,0.5\n", "line 4: .*two different files"),
        (LINES + "c.png,d.png\n", "line 4"),
        ("first,second,preferred\n", "no pairs"),
    ],
)
def test_bad_tables_are_refused_by_line(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "choices.csv").write_text(text)
    with pytest.raises(ManifestError, match=problem):
        read_pairs("p", tmp_path / "choices.csv")


def test_agreement_worked_by_hand(tmp_path: Path) -> None:
    (tmp_path / "choices.csv").write_text(LINES)
    data = read_pairs("p", tmp_path / "choices.csv")
    said = {TWO: {"p/a.png": 3.0, "p/sub/b.png": 2.0, "p/c.png": 4.0}, ONE: {"p/a.png": 3.0, "p/sub/b.png": 3.5}}
    rows = [Row("pairs", key, "", mode, "m 1", score) for mode, those in said.items() for key, score in those.items()]
    rows.append(Row("pairs", "p/c.png", "", ONE, "m 1", error="empty", problem="the file is empty"))
    summary = pairs.summarise(rows, [data])["p"]
    assert summary["modes"][TWO]["accuracy"][0] == pytest.approx((0.9 + 0.25) / 2)
    assert summary["modes"][ONE] == {"n": 1, "missing": 1, "accuracy": (pytest.approx(0.1),) * 3}
    assert summary["majority"] == pytest.approx((0.9 + 0.75) / 2)
    (table,) = pairs.show({"p": summary}, rows, [data])
    assert isinstance(table, Table) and "82.5 %" in table.note and table.rows[1][:3] == [ONE, "1", "1"]
