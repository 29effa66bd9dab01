"""Two hundred raters at once at one study's server: no answer is lost or counted twice, and how long each waits.

usage: study_load.py [RATERS]      needs httpx
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import numpy as np
from PIL import Image

from snellen.study.session import Study

PICTURES = 10


def make(folder: Path, raters: int) -> list[str]:
    """Make a study and return its raters' tokens."""
    files = folder / "pictures"
    files.mkdir()
    rng = np.random.default_rng(0)
    for n in range(PICTURES):
        Image.fromarray(rng.integers(0, 255, (60, 80, 3), np.uint8)).save(files / f"p{n}.png")
    base = [sys.executable, "-m", "snellen", "study"]
    subprocess.run([*base, "init", folder / "study", "--pictures", files], check=True, capture_output=True)
    listed = subprocess.run(
        [*base, "invite", folder / "study", str(raters)], check=True, capture_output=True, text=True
    ).stdout
    return [line.partition("#")[2] for line in listed.splitlines()]


async def rate(url: str, token: str, waits: list[float], pictures: list[float]) -> None:
    """One rater: opens the link, answers everything, sends every third answer twice at once."""
    async with httpx.AsyncClient(base_url=url, timeout=120) as client:

        async def post(path: str, body: object) -> dict[str, object]:
            began = time.perf_counter()
            answer = await client.post(path, json=body)
            waits.append(time.perf_counter() - began)
            answer.raise_for_status()
            found: dict[str, object] = answer.json()
            return found

        await post("/api/open", {"token": token})
        await post("/api/consent", {"agreed": True})
        state = (await post("/api/screen", {"view": {"width": 800, "height": 600}, "chart": 12}))["state"]
        while isinstance(state, dict) and state["stage"] == "items":
            key = state["items"][0]["pictures"][0]["key"]
            began = time.perf_counter()
            (await client.get(f"/picture/{key}")).raise_for_status()
            pictures.append(time.perf_counter() - began)
            position = state["position"]
            body = {"position": position, "answers": {"overall": 1 + position % 5}, "seconds": 1.0, "shown": 0.0,
                    "answered": 1.0}  # fmt: skip
            twice = 2 if position % 3 == 0 else 1
            state = (await asyncio.gather(*(post("/api/answer", body) for _ in range(twice))))[0]["state"]


async def run(url: str, tokens: list[str]) -> tuple[list[float], list[float]]:
    waits: list[float] = []
    pictures: list[float] = []
    await asyncio.gather(*(rate(url, token, waits, pictures) for token in tokens))
    return waits, pictures


def main() -> int:
    """Serve, rate, count; return the exit code."""
    raters = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tokens = make(folder, raters)
        command = [sys.executable, "-m", "snellen", "study", "serve", str(folder / "study"), "--port", "0"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
            assert server.stderr is not None
            url = server.stderr.readline().rpartition(" at ")[2].strip()
            began = time.perf_counter()
            try:
                waits, pictures = asyncio.run(run(url, tokens))
            finally:
                seconds = time.perf_counter() - began
                server.terminate()
        study = Study(folder / "study")
        answers = study.store.answers()
        finished = sum(rater.finished is not None for rater in study.store.raters())
    items = {(answer.rater, answer.position) for answer in answers}
    print(f"{raters} raters at once, {PICTURES} pictures each, every third answer sent twice at once")
    print(
        f"{len(waits)} steps and {len(pictures)} pictures in {seconds:.1f} s: {len(waits) / seconds:.0f} steps a second"
    )
    for what, times in (("a step", waits), ("a picture", pictures)):
        middle, late = np.quantile(times, [0.5, 0.95])
        print(f"waiting for {what}: median {middle:.2f} s, 95 % {late:.2f} s, most {max(times):.2f} s")
    print(f"answers stored: {len(answers)}, different items: {len(items)}, wanted: {raters * PICTURES}")
    print(f"raters finished: {finished}")
    return 0 if len(answers) == len(items) == raters * PICTURES and finished == raters else 1


if __name__ == "__main__":
    sys.exit(main())
