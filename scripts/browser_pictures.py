"""Pictures for scripts/browser.py: many small ones with a table of scores, and a shoot with a burst."""

from __future__ import annotations

import json
import random
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[1]
PICTURES = 20_000


def make_many(folder: Path) -> Path:
    """Write 20,000 small pictures, cut at random from the examples, and a table of scores for them."""
    rng = random.Random(0)
    sources = [Image.open(file).convert("RGB").resize((960, 640)) for file in sorted((ROOT / "examples").glob("*.jpg"))]
    rows = []
    for number in range(PICTURES):
        left, top = rng.randrange(640), rng.randrange(426)
        name = f"{number:05}.jpg"
        sources[number % len(sources)].crop((left, top, left + 320, top + 214)).save(folder / name, quality=60)
        score = 1 + 4 * number / PICTURES  # a test of scrolling, no judgement
        row = {"path": name, "score": score, "low": max(1.0, score - 0.3), "high": min(5.0, score + 0.3)}
        row |= {"label": "fair", "std": 0.2, "issues": [], "rounds": 1, "width": 320, "height": 214, "error": None}
        row |= {"problem": None, "model": "made up", "protocol": "snellen", "max_rounds": 1, "score_only": True}
        rows.append(json.dumps(row) + "\n")
    table = folder.parent / "scores.jsonl"
    table.write_text("".join(rows))
    return table


def make_shoot(folder: Path) -> None:
    """Write the examples and a burst: three variants of one, of which two are worse."""
    for file in (ROOT / "examples").glob("*.jpg"):
        image = Image.open(file).convert("RGB")
        image.thumbnail((1600, 1600))
        image.save(folder / file.name, quality=95)
    burst = Image.open(folder / "mountains.jpg")
    burst.resize((200, 150)).resize(burst.size).save(folder / "mountains_2.jpg")
    burst.save(folder / "mountains_3.jpg", quality=4)
