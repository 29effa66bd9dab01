"""Run `snellen ray` on a local cluster: actors against one, a killed actor, a killed driver with --resume, equal rows.

Pictures are shifted copies of an example and two files that are none, in a folder, in WebDataset shards and in Parquet.
The cluster is one node on this machine that the script starts and ends.
usage: ray_cluster.py [PYTHON] [PICTURES]   (a Python with the extra ray; default: this one, 48)
"""

from __future__ import annotations

import io
import os
import secrets
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
SHARD = 6
PORT = 6399
ACTOR = "MapWorker"
"""In the name of the process of an actor of Ray Data."""


def make_inputs(place: Path, count: int) -> dict[str, Path]:
    """Write the pictures as a folder, as tar shards and as a Parquet file; return them by name."""
    photo = np.asarray(Image.open(ROOT / "examples" / "dandelion.jpg").convert("RGB").resize((512, 384)))
    inputs = {name: place / name for name in ("folder", "tars", "parquet")}
    for path in inputs.values():
        path.mkdir()
    files = {}
    for number in range(count):
        file = io.BytesIO()
        Image.fromarray(np.roll(photo, 8 * number, axis=1)).save(file, "JPEG", quality=20 + number % 70)
        files[f"{number:04d}.jpg"] = b"no picture" if number % 24 == 5 else file.getvalue()
    names = sorted(files)
    for start in range(0, count, SHARD):
        with tarfile.open(inputs["tars"] / f"{start:06d}.tar", "w") as tar:
            for name in names[start : start + SHARD]:
                (inputs["folder"] / name).write_bytes(files[name])
                info = tarfile.TarInfo(name)
                info.size = len(files[name])
                tar.addfile(info, io.BytesIO(files[name]))
    table = pa.table({"key": names, "bytes": [files[name] for name in names]})
    pq.write_table(table, inputs["parquet"] / "pictures.parquet")
    return inputs


def command(python: str, source: Path, out: Path, *options: str) -> list[str]:
    return [
        python, "-m", "snellen", "ray", str(source), "--out", str(out), "--shard-size", str(SHARD), "--batch-size", "4",
        "--features", "--address", f"127.0.0.1:{PORT}", *options,
    ]  # fmt: skip


@contextmanager
def cluster(python: str) -> Iterator[None]:
    """Run a Ray node with two CPUs while the block runs. It takes commands with a token that is made here."""
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}  # inherited by all commands
    line = [str(Path(python).parent / "ray"), "start", "--head", "--block", f"--port={PORT}", "--num-cpus=2"]
    line += ["--include-dashboard=false", "--disable-usage-stats", "--object-store-memory=400000000"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as node:
        assert node.stdout is not None
        for text in node.stdout:
            if "Ray runtime started" in text:
                break
        else:
            raise RuntimeError("Ray does not start, perhaps for a loaded machine; see Ray's logs")
        try:
            yield
        finally:
            node.terminate()


def timed(line: list[str]) -> float:
    """Run a command to its end; return the seconds. Exit code 1 is right: two files are no pictures.

    Raises RuntimeError where Ray did not do the work, which has the same code.
    """
    began = time.monotonic()
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    if "no connection" in done.stderr or "continue with --resume" in done.stderr:
        raise RuntimeError(done.stderr[-1000:])
    return time.monotonic() - began


def rows(out: Path) -> list[dict[str, Any]]:
    """Return all rows of a run, by key, without what differs by the kind of input."""
    found = [row for path in out.glob("*.parquet") for row in pq.read_table(path).to_pylist()]
    found.sort(key=lambda row: str(row["key"]))
    for row in found:
        row.pop("key")
        row["path"] = Path(row["path"].rpartition(":")[2]).name
    return found


def rounded(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows with scores of three decimals: batches may differ in the last bits of a float."""
    return [
        {name: round(value, 3) if isinstance(value, float) else value for name, value in row.items()} for row in found
    ]


def wait_for(condition: Any, process: subprocess.Popen[bytes]) -> Any:
    """Wait until `condition()` is true, while the process runs; return its value."""
    while not (value := condition()):
        assert process.poll() is None, "the run ended too early"
        time.sleep(0.2)
    return value


def actors() -> list[int]:
    """Return the processes of actors that judge."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = entry.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if "ray::" in text and ACTOR in text:
            found.append(int(entry.parent.name))
    return found


def main(arguments: list[str]) -> int:
    """Run all parts; print what was seen."""
    python, count = (*arguments, *(sys.executable, "48")[len(arguments) :])
    with cluster(python), tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        inputs = make_inputs(place, int(count))
        line = [python, "-m", "snellen", "score", str(inputs["folder"]), "--out", f"{place}/one.parquet", "--features"]
        seconds = timed([*line, "--quiet"])
        expected = rounded(sorted(pq.read_table(place / "one.parquet").to_pylist(), key=lambda row: str(row["path"])))
        print(f"{count} pictures; snellen score, one process: {seconds:.0f} s", flush=True)
        for number in ("1", "2"):
            out = place / f"actors{number}"
            seconds = timed(command(python, inputs["folder"], out, "--actors", number))
            assert rounded(rows(out)) == expected
            written = [path.stat().st_mtime for path in out.glob("*.parquet")]
            rate = (int(count) - SHARD) / (max(written) - min(written))
            text = f"{seconds:.0f} s with the start of Ray, {rate:.2f} pictures per second from first to last shard"
            print(f"{number} actors, folder: {text}, rows equal", flush=True)
        for name in ("tars", "parquet"):
            timed(command(python, inputs[name], place / f"out-{name}", "--actors", "2"))
            same = rounded(rows(place / f"out-{name}"))
            names = [row.pop("path") for row in same]
            assert same == [{name: value for name, value in row.items() if name != "path"} for row in expected]
            assert len(set(names)) == int(count)
            print(f"2 actors, {name}: rows equal", flush=True)

        out = place / "killed-actor"
        line = command(python, inputs["folder"], out, "--actors", "2")
        with subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
            wait_for(lambda: list(out.glob("*.parquet")), run)
            os.kill(wait_for(actors, run)[0], signal.SIGKILL)
            assert run.wait() == 1
        assert rounded(rows(out)) == expected
        print("an actor killed after the first shard: the run goes on, rows equal", flush=True)

        out = place / "killed-driver"
        line = command(python, inputs["folder"], out, "--actors", "2")
        with subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
            wait_for(lambda: list(out.glob("*.parquet")), run)
            run.kill()
        before = {path: path.stat().st_mtime_ns for path in out.glob("*.parquet")}
        assert 0 < len(rows(out)) < int(count)
        timed([*line, "--resume"])
        assert rounded(rows(out)) == expected
        assert {path: path.stat().st_mtime_ns for path in before} == before
        print(f"the driver killed with {len(before)} of {int(count) // SHARD} shards written, --resume: rows equal")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
