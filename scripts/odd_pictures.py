"""Assess the damaged and odd pictures of odd_files.py: no traceback, no hang, no wrong pixels, bounded memory.

A child process loads each picture, with damage allowed and without, and snellen-1 assesses it as `snellen assess` does
(each is a score or the error of loading); one process does all, and the parent stops it where it takes too long.
Nothing may be printed on standard error. Where OpenCV decodes the picture too, and no conversion was noted, pixels are
compared. Every outcome goes to build/odd_pictures.SEED.FIRST.jsonl at once; a run that was stopped goes on from there.

usage: odd_pictures.py [COUNT] [SEED] [FIRST]   (default: 10000 0 0: the pictures 0 to 9999)
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from odd_files import odd_picture, originals

from snellen.assessor import Assessor
from snellen.image import ImageError, load

ROOT = Path(__file__).resolve().parents[1]
LONGEST = 20.0
"""Seconds of processor time for one picture."""
BLOCKED = 600.0
"""Seconds after which a child that uses no processor hangs too, and for its start, on a loaded machine."""
MOST_MEMORY = 2000.0
"""Peak of the child, in MB: twice what a picture of 100 megapixels needs."""
ROUNDING = {"JPEG": 1.0, "AVIF": 1.5, "WEBP": 1.0, "JPEG2000": 1.0}
"""Mean difference, of 255, that two decoders of a lossy format may have; 0 for the others."""
TURNED = "EXIF orientation applied"


@dataclass(frozen=True)
class Outcome:
    """Result for one picture.

    Attributes:
        code: "read", "read with notes", or the code of an ImageError.
        score: of snellen-1, 1..5; None where there is an error.
        fault: traceback or difference that should not be, or "".
        compared: whether OpenCV decoded it too.
    """

    code: str
    fault: str = ""
    compared: bool = False
    score: float | None = None


def check(name: str, data: bytes, cv2: Any, assessor: Assessor) -> Outcome:
    """Assess one picture as `snellen assess` does; compare its pixels with OpenCV's."""
    outcome = read(name, data, cv2)
    if outcome.fault:
        return outcome
    try:
        (assessment,) = assessor.assess([data])
    except Exception as error:  # the fault that is looked for
        return Outcome("traceback", repr(error))
    code = "read" if assessment.error is None else assessment.error.code
    if code != outcome.code.removesuffix(" with notes"):
        return Outcome(outcome.code, f"loading gives {outcome.code}, assessing {code}")
    if assessment.error is None and not (assessment.score is not None and 1 <= assessment.score <= 5):
        return Outcome(outcome.code, f"score {assessment.score}")
    return replace(outcome, score=assessment.score)


def read(name: str, data: bytes, cv2: Any) -> Outcome:
    """Load one picture as it is and with damage allowed; compare it with OpenCV's."""
    picture = None
    code = ""
    for allow in (True, False):
        try:
            picture = load(data, allow_damaged=allow)
            code = "read with notes" if picture.notes else "read"
            if picture.pixels.dtype != np.uint8 or picture.pixels.shape != (picture.height, picture.width, 3):
                return Outcome(code, f"pixels {picture.pixels.dtype} {picture.pixels.shape}")
        except ImageError as error:
            picture, code = None, error.code
            if "\n" in str(error) or not error.remedy:
                return Outcome(code, f"error without a remedy, or of several lines: {error!r}")
        except Exception as error:  # the fault that is looked for
            return Outcome("traceback", repr(error))
    turned = {TURNED} if not name.startswith("AVIF") else set()  # OpenCV does not turn AVIF
    if picture is None or cv2 is None or set(picture.notes) - turned:
        return Outcome(code)
    other = second_decoder(data, cv2)
    if other is None:
        return Outcome(code)
    if other.shape != picture.pixels.shape:
        return Outcome(code, f"size {picture.pixels.shape}, OpenCV {other.shape}", True)
    difference = float(np.abs(other[:, :, ::-1].astype(int) - picture.pixels).mean())
    limit = ROUNDING.get(name.split()[0], 0.0)
    return Outcome(code, f"mean difference {difference:.2f} from OpenCV" if difference > limit else "", True)


def second_decoder(data: bytes, cv2: Any) -> Any:
    """Return OpenCV's pixels, BGR, or None; what its decoders print is dropped."""
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        return None
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def serve(pipe: Connection, seed: int) -> None:
    """Check the pictures whose numbers come through the pipe; send (outcome, memory and its peak in MB)."""
    files = originals()
    assessor = Assessor()
    assessor.assess([files["PNG rgb"]])  # opens the model
    printed = tempfile.TemporaryFile()  # noqa: SIM115 - for the life of the process
    os.dup2(printed.fileno(), 2)
    os.environ["OPENCV_LOG_LEVEL"] = "OFF"
    try:
        import cv2  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        cv2 = None
    pipe.send("ready")
    while (index := pipe.recv()) is not None:
        name, data = odd_picture(index, seed, files)
        outcome = check(name, data, cv2, assessor)
        if printed.seek(0, os.SEEK_END):
            printed.seek(0)
            outcome = replace(outcome, fault=outcome.fault or f"printed {printed.read()!r}")
            printed.truncate(0)
            printed.seek(0)
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
        pipe.send((outcome, resident, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6))


def start(seed: int) -> tuple[Any, Connection]:
    """Start a child; return it and the pipe to it."""
    here, there = multiprocessing.Pipe()
    child = multiprocessing.get_context("spawn").Process(target=serve, args=(there, seed), daemon=True)
    child.start()
    there.close()
    if not here.poll(BLOCKED) or here.recv() != "ready":
        raise TimeoutError("the child does not start")
    return child, here


def answers(child: Any, pipe: Connection) -> bool:
    """Wait for the child's answer; return False where it hangs."""
    began, used = time.monotonic(), processor_seconds(child.pid)
    while not pipe.poll(1.0):
        if processor_seconds(child.pid) - used > LONGEST or time.monotonic() - began > BLOCKED:
            return False
    return True


def processor_seconds(process: int) -> float:
    """Return the processor time that a process has used, 0 for one that has ended."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run(pictures: range, seed: int, journal: Path) -> None:
    """Check the pictures that have no line in the journal yet; append one for each."""
    begun = len(journal.read_text().splitlines()) if journal.exists() else 0
    files = originals()
    child, pipe = start(seed)
    with journal.open("a", buffering=1) as lines:
        for index in pictures[begun:]:
            name, _ = odd_picture(index, seed, files)
            began = time.monotonic()
            resident = peak = 0.0
            pipe.send(index)
            try:
                if not answers(child, pipe):
                    raise TimeoutError
                outcome, resident, peak = pipe.recv()
            except (TimeoutError, EOFError, ConnectionError) as error:
                hangs = isinstance(error, TimeoutError)
                outcome = Outcome("hang" if hangs else "crash", "the process had to be started again")
                child.kill()
                child, pipe = start(seed)
            took = time.monotonic() - began
            line = asdict(outcome) | {"name": name, "process": child.pid, "took": took}
            lines.write(json.dumps(line | {"resident": resident, "peak": peak}) + "\n")
    pipe.send(None)


def report(first: int, seed: int, rows: list[dict[str, Any]]) -> int:
    """Print a table and every fault; return the exit code."""
    table: dict[str, Counter[str]] = {}
    for row in rows:
        table.setdefault(row["name"].split()[0], Counter())[row["code"]] += 1
    codes = sorted({code for counts in table.values() for code in counts})
    print(f"{len(rows)} pictures, {first} to {first + len(rows) - 1} of seed {seed}, Pillow {PIL.__version__}")
    for kind, counts in sorted(table.items()):
        print(f"{kind:9}", ", ".join(f"{counts[code]} {code}" for code in codes if counts[code]))
    scored, compared = (sum(bool(row[name]) for row in rows) for name in ("score", "compared"))
    print(f"scored by snellen-1: {scored}, the others refused; compared with OpenCV: {compared}")
    processes = list(dict.fromkeys(row["process"] for row in rows))
    for process in processes:
        own = [row for row in rows if row["process"] == process]
        memory = [row["resident"] for row in own]
        early, middle = memory[min(100, len(own) - 1)], memory[len(own) // 2]
        print(
            f"process {processes.index(process) + 1}: {len(own)} pictures, memory {early:.0f} MB after the first "
            f"hundred, {middle:.0f} half-way, {memory[-1]:.0f} at the end, peak {max(row['peak'] for row in own):.0f}"
        )
    print(f"slowest {max(row['took'] for row in rows):.1f} s by the clock")
    faults = [
        f"{at} {row['name']}: {row['code']}, {row['fault']}" for at, row in enumerate(rows, first) if row["fault"]
    ]
    print(*faults, f"{len(faults)} faults", sep="\n")
    return 1 if faults or max(row["peak"] for row in rows) > MOST_MEMORY or compared == 0 else 0


def main(arguments: list[str]) -> int:
    """Run the check to its end, report, and remove the journal; return the exit code."""
    count, seed, first = (int(text) for text in (*arguments, *("10000", "0", "0")[len(arguments) :]))
    journal = ROOT / "build" / f"odd_pictures.{seed}.{first}.jsonl"
    journal.parent.mkdir(exist_ok=True)
    run(range(first, first + count), seed, journal)
    code = report(first, seed, [json.loads(line) for line in journal.read_text().splitlines()])
    journal.unlink()
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
