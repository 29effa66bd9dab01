from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from snellen.lock import lock
from snellen.usage import UsageError


def test_a_lock_names_its_process_and_goes_with_it(tmp_path: Path) -> None:
    with lock(tmp_path / "a.csv"):
        assert (tmp_path / "a.csv.lock").read_text().split()[:2] == [str(os.getpid()), socket.gethostname()]
        with lock(tmp_path / "b.csv"):
            pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="locks of dead processes are not recognised")
def test_the_lock_of_a_dead_process_is_taken_over(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    file = tmp_path / "a.csv.lock"
    file.write_text(f"{ended.pid} {socket.gethostname()}\n")
    with lock(tmp_path / "a.csv"):
        assert file.read_text().split()[0] == str(os.getpid())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_the_lock_of_an_earlier_process_with_the_same_id_is_taken_over(tmp_path: Path) -> None:
    """In a container each run may have id 1, and on any system ids come again."""
    with lock(tmp_path / "a.csv"):
        process, host, began = (tmp_path / "a.csv.lock").read_text().split()
        assert began == Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
    (tmp_path / "a.csv.lock").write_text(f"{process} {host} {int(began) - 1}\n")
    with lock(tmp_path / "a.csv"):
        assert (tmp_path / "a.csv.lock").read_text().split() == [process, host, began]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [f"{os.getppid()} {socket.gethostname()}\n", "1 another-host\n", "", "damaged"])
def test_any_other_lock_is_respected(tmp_path: Path, content: str) -> None:
    file = tmp_path / "a.csv.lock"
    file.write_text(content)
    problem = r"a\.csv\.lock: another run writes a\.csv .*delete the lock"
    with pytest.raises(UsageError, match=problem), lock(tmp_path / "a.csv"):
        raise AssertionError("the block must not run")
    assert file.read_text() == content


def test_no_lock_of_the_system_is_needed(tmp_path: Path) -> None:
    """Network file systems often lack flock, and some systems the module."""
    code = (
        "import sys\nfrom pathlib import Path\nsys.modules['fcntl'] = None\nfrom snellen.lock import lock\n"
        "from snellen.usage import UsageError\n"
        "with lock(Path('a.csv')):\n"
        "    try:\n        with lock(Path('a.csv')): print('both')\n"
        "    except UsageError: print('refused')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "refused\n" and list(tmp_path.iterdir()) == []
