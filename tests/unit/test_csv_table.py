from __future__ import annotations

from pathlib import Path

import pytest

from snellen.data.sample import ManifestError
from snellen.data.sets.csv_table import read_csv
from snellen.data.sets.tree import SourceError, Tree
from snellen.table import read_table
from snellen.usage import UsageError


def test_a_table_in_another_encoding_is_refused_by_line() -> None:
    file = Path(__file__).parents[1] / "data" / "latin1.csv"
    with pytest.raises(ManifestError, match=r"latin1\.csv: line 3: byte 0xF1 is not UTF-8; save the table .*UTF-8"):
        read_csv(file, check_files=False)


def test_a_huge_field_is_refused_by_line(tmp_path: Path) -> None:
    file = tmp_path / "huge.csv"
    file.write_text("image,mos\na.png,3\n" + "b" * 140_000 + ",4\n")
    with pytest.raises(ManifestError, match=r"huge\.csv: line 3: field larger than field limit .*; shorten the field"):
        read_csv(file, check_files=False)
    with pytest.raises(UsageError, match=r"huge\.csv is no table of scores .*field larger"):
        read_table(file)


def test_tables_of_published_sets_are_refused_in_the_same_words(tmp_path: Path) -> None:
    tree = Tree("TID2013", "somewhere", tmp_path)
    (tmp_path / "a.txt").write_bytes(b"4.1 i01.bmp\n3.9 caf\xe9.bmp\n")
    with pytest.raises(SourceError, match=r"a\.txt: line 2: byte 0xE9 is not UTF-8; save the table"):
        list(tree.table("a.txt", columns=("mos", "image"), header=False, delimiter=" "))
    (tmp_path / "b.csv").write_text("image,mos\n" + '"b' * 140_000 + ",4\n")
    with pytest.raises(SourceError, match=r"b\.csv: line 2: field larger than field limit .*; shorten the field"):
        list(tree.table("b.csv", columns=("image", "mos")))
    (tmp_path / "c.csv").write_bytes(b"\xef\xbb\xbfimage, mos\r\na.png, 3\r\n")
    (row,) = tree.table("c.csv", columns=("image", "mos"))
    assert (row.place, row.text("image"), row.number("mos")) == (f"{tmp_path / 'c.csv'}: line 2", "a.png", 3.0)
