"""Serve snellen-1 with gunicorn and --preload in a fresh environment: workers forked from a used model give its score.

usage: preload_server.py
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PHOTO = ROOT / "examples" / "cat_compressed.jpg"
WORKERS = 2
REQUESTS = 24
APP = f"""
import json, os, snellen

assessor = snellen.Assessor(score_only=True)
before = assessor.assess([{str(PHOTO)!r}])[0].score  # its threads run before the workers are forked

def app(environ, start_response):
    score = assessor.assess([{str(PHOTO)!r}])[0].score
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps([os.getpid(), score, before]).encode()]
"""


def ask(url: str) -> list[float]:
    with urllib.request.urlopen(url, timeout=60) as answer:
        found: list[float] = json.load(answer)
        return found


def address(log: Path, server: subprocess.Popen[bytes]) -> str:
    """Return the address that the server's log names, once it listens."""
    while server.poll() is None:
        for line in log.read_text().splitlines():
            if "Listening at: " in line:
                return line.split("Listening at: ")[1].split()[0]
        time.sleep(0.1)
    raise RuntimeError(log.read_text())


def main() -> int:
    """Install, serve, ask; return the exit code."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
        python = str(folder / "venv" / "bin" / "python")
        install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", str(ROOT), "gunicorn"]
        subprocess.run(install, check=True)
        (folder / "served.py").write_text(APP)
        log = folder / "log"
        command = [python, "-m", "gunicorn", "--preload", f"--workers={WORKERS}", "--bind=127.0.0.1:0", "served:app"]
        with log.open("wb") as file, subprocess.Popen(command, cwd=folder, stderr=file) as server:
            try:
                url = address(log, server)
                with ThreadPoolExecutor(8) as pool:
                    answers = list(pool.map(ask, [url] * REQUESTS))
            finally:
                server.terminate()
        version = subprocess.run([python, "-m", "gunicorn", "--version"], capture_output=True, text=True, check=True)
    scores = {answer[1] for answer in answers} | {answers[0][2]}
    by_worker = sorted(Counter(answer[0] for answer in answers).values())
    print(f"{version.stdout.strip()}, --preload, {WORKERS} workers; {len(answers)} answers, by worker {by_worker}")
    print(f"scores of the workers and of the process before the fork: {sorted(scores)}")
    return 0 if len(scores) == 1 and len(by_worker) == WORKERS else 1


if __name__ == "__main__":
    sys.exit(main())
