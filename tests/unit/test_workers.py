from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from snellen.backend import BackendError
from snellen.output import OutputError
from snellen.workers import append_lines, cut_off_last_line, run_batches

BLOCKED = """
import sys
from pathlib import Path
from snellen.workers import run_batches

def start(): pass

def work(batch):
    return [Path(name).read_text() for name in batch]  # of a pipe that nobody writes to: for ever

if __name__ == "__main__":
    for batch, found in run_batches(work, [[name] for name in sys.argv[2:]], int(sys.argv[1]), start, ()):
        print(*batch, *found, flush=True)
"""


def start() -> None:
    pass


def double(batch: Sequence[int]) -> list[int]:
    return [2 * number for number in batch]


def fail_at_three(batch: Sequence[int]) -> list[int]:
    if 3 in batch:
        raise ValueError("three")
    if 4 in batch:
        os._exit(1)
    return list(batch)


@pytest.mark.parametrize("workers", [1, 2])
def test_every_batch_comes_with_its_result(workers: int) -> None:
    batches = [[1, 2], [3], [4, 5]]
    found = list(run_batches(double, batches, workers, start, ()))
    assert sorted(found) == [([1, 2], [2, 4]), ([3], [6]), ([4, 5], [8, 10])]
    assert list(run_batches(double, [], workers, start, ())) == []


def test_what_fails_in_a_process_fails_here() -> None:
    with pytest.raises(ValueError, match="three"):
        list(run_batches(fail_at_three, [[3], [1]], 2, start, ()))
    with pytest.raises(BackendError, match="a worker process died"):
        list(run_batches(fail_at_three, [[4], [4]], 2, start, ()))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupt_does_not_wait_for_batches_that_hang(tmp_path: Path, workers: int) -> None:
    (tmp_path / "blocked.py").write_text(BLOCKED)
    (tmp_path / "quick").write_text("done")
    os.mkfifo(tmp_path / "slow")
    # a test runner in the background of a shell ignores interrupts, and its children would inherit that
    listening = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(
        [sys.executable, "blocked.py", str(workers), "quick", "slow", "slow"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=listening,
    ) as process:  # fmt: skip
        assert process.stdout and process.stdout.readline() == "quick done\n"
        process.send_signal(signal.SIGINT)
        try:
            said, problems = process.communicate(timeout=60)
        finally:
            process.kill()
    assert said == "" and problems.splitlines()[-1] == "KeyboardInterrupt"


@pytest.mark.usefixtures("interrupts")
@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupt_waits_until_a_batch_is_handed_over(workers: int) -> None:
    taken = []
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        for batch, _ in run_batches(double, [[1], [2], [3]], workers, start, ()):
            os.kill(os.getpid(), signal.SIGINT)
            taken.append(batch)
    assert [1] in taken if workers == 1 else taken
    assert signal.getsignal(signal.SIGINT) == before


def test_other_threads_leave_interrupts_alone() -> None:
    before = signal.getsignal(signal.SIGINT)
    found: list[tuple[Sequence[int], list[int]]] = []
    thread = threading.Thread(target=lambda: found.extend(run_batches(double, [[1]], 1, start, ())))
    thread.start()
    thread.join()
    assert found == [([1], [2])] and signal.getsignal(signal.SIGINT) == before


def test_lines_of_a_journal(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    with journal.open("ab", buffering=0) as file:
        append_lines(file, ["a", "é"])
    assert journal.read_bytes() == b"a\n\xc3\xa9\n"
    journal.write_bytes(b"a\nb\nunfinis")
    assert cut_off_last_line(journal) == [b"a", b"b"] and journal.read_bytes() == b"a\nb\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_named() -> None:
    with Path("/dev/full").open("ab", buffering=0) as file, pytest.raises(OutputError) as refused:
        append_lines(file, ["a"])
    assert str(refused.value).startswith("/dev/full cannot be written (No space left on device); free some space")
