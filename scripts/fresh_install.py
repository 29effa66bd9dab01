"""Build the wheel, install it without extras into a fresh environment of each Python given, and try every command."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Trial:
    """One command line of `snellen`, its exit code, and words of what it prints."""

    line: str
    code: int = 0
    words: str = ""


TRIALS = (
    Trial("--version"),
    Trial("--help", words="assess"),
    Trial("assess {photo}", words="Round 1"),
    Trial("assess {photo} --json --score-only", words='"score"'),
    Trial("assess {photo} --quiet --report {out}/report.html"),
    Trial("score {photos} --out {out}/scores.csv --score-only --workers 2", words="without a score"),
    Trial("score {photos} --out {out}/scores.parquet", 2, "snellen[parquet]"),
    Trial("features {photo}", words="sharpness"),
    Trial("data build {out}/manifest.jsonl --out {out}/conversations.jsonl", words="conversations"),
    Trial("data show 1 {out}/conversations.jsonl --out {out}/page.html", words="page"),
    Trial("evaluate --data {out}/manifest.jsonl --suite scores --out {out}/run", 2, "snellen[evaluate]"),
    Trial("train sft --config {out}/config.toml", 2, "snellen[train]"),
    Trial("assess {photo} --model hf:nowhere", 2, "snellen[hf]"),
    Trial("assess {photo} --model nonsense", 2, "snellen-1"),
)


def main() -> int:
    """Try all interpreters; the exit code is 1 when a command does not behave as expected."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pythons", metavar="PYTHON", nargs="+", help="an interpreter, e.g. python3.12")
    pythons = parser.parse_args().pythons
    failures = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=ROOT, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        (wheel,) = folder.glob("*.whl")
        print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB")
        for number, python in enumerate(pythons):
            failures += try_interpreter(python, wheel, folder / str(number))
    return 1 if failures else 0


def try_interpreter(python: str, wheel: Path, folder: Path) -> int:
    """Install the wheel with one interpreter and run all trials; return how many fail."""
    subprocess.run([python, "-m", "venv", folder / "venv"], check=True)
    program = folder / "venv" / "bin" / "python"
    pip = [program, "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    subprocess.run([*pip, wheel], check=True)
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    packages = folder / "venv" / "lib"
    size = sum(path.stat().st_size for path in packages.rglob("*") if path.is_file() and "/pip/" not in str(path))
    print(f"\n{version}: {size / 1e6:.0f} MB installed")
    photos = ROOT / "examples"
    photo = sorted(photos.glob("*.jpg"))[0]
    rows = [f'{{"path": "{path}", "mos": {2 + n / 10}, "split": "test", "group": "{n}"}}\n'
            for n, path in enumerate(sorted(photos.glob("*.jpg")))]  # fmt: skip
    (folder / "manifest.jsonl").write_text("".join(rows))
    (folder / "config.toml").write_text("")
    failures = 0
    for trial in TRIALS:
        line = trial.line.format(photo=photo, photos=photos, out=folder)
        began = time.perf_counter()
        done = subprocess.run([program, "-m", "snellen", *line.split()], capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - began
        output = done.stdout + done.stderr
        well = done.returncode == trial.code and trial.words in output and "Traceback" not in output
        well &= trial.code != 2 or len(done.stderr.splitlines()) == 1
        failures += not well
        print(f"{'ok  ' if well else 'FAIL'} exit {done.returncode} {seconds:5.1f} s  snellen {trial.line}")
        if not well:
            print(output)
    return failures


if __name__ == "__main__":
    sys.exit(main())
