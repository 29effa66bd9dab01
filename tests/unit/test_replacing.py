"""Files that are replaced: links, devices, pipes and permissions stay."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from snellen.output import OutputError, replacing
from snellen.usage import UsageError, check_writable

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links and pipes of POSIX")


def write(path: Path, text: str) -> None:
    check_writable(path)
    with replacing(path) as unfinished:
        unfinished.write_text(text)


def test_a_link_stays_and_its_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "near.csv").symlink_to("far/table.csv")
    for text in ("one", "two"):  # the first leads nowhere yet
        write(tmp_path / "near.csv", text)
        assert os.readlink(tmp_path / "near.csv") == "far/table.csv"
        assert (tmp_path / "far" / "table.csv").read_text() == text
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["far", "near.csv", "table.csv"]


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    found: list[str] = []
    reader = threading.Thread(target=lambda: found.append(pipe.read_text()))
    reader.start()
    write(pipe, "page")
    reader.join()
    assert found == ["page"] and pipe.is_fifo() and list(tmp_path.iterdir()) == [pipe]


def test_a_device_is_written_to() -> None:
    before = os.stat(os.devnull)
    write(Path(os.devnull), "page")
    assert os.stat(os.devnull).st_rdev == before.st_rdev and not Path("/dev/null.tmp").exists()


def test_permissions_are_kept(tmp_path: Path) -> None:
    (tmp_path / "private").touch(mode=0o600)
    write(tmp_path / "private", "mine")
    assert (tmp_path / "private").stat().st_mode & 0o777 == 0o600


def test_two_runs_that_write_the_same_file_do_not_meet(tmp_path: Path) -> None:
    out = tmp_path / "table.csv"
    with replacing(out) as ours:
        ours.write_text("ours")
        with replacing(out) as theirs:  # begins later and ends earlier
            theirs.write_text("theirs")
        assert out.read_text() == "theirs" and ours.read_text() == "ours"
    assert out.read_text() == "ours" and list(tmp_path.iterdir()) == [out]


def test_a_name_of_the_longest_length_is_written(tmp_path: Path) -> None:
    write(tmp_path / ("é" * 127), "text")  # 254 bytes
    assert [path.read_text() for path in tmp_path.iterdir()] == ["text"]


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("gone/table.csv")
    with pytest.raises(UsageError, match="link cannot be written"):
        check_writable(tmp_path / "link")
    with pytest.raises(OutputError, match=r"table\.csv cannot be written"), replacing(tmp_path / "link") as unfinished:
        unfinished.write_text("lost")
