from __future__ import annotations

from pathlib import Path

import pytest

from snellen.data.sample import ManifestError
from snellen.data.sets.csv_table import read_csv
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
