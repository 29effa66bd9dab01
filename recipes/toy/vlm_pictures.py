"""Pictures of the toy task of vision-language models, whose truth is a brightness or a blur, and their conversations.

- A *plain* picture is grey, and its MOS is its brightness: the first view shows it.
- A *striped* picture is bluish, with stripes of 14 px whose contrast is its MOS, as a blur would leave it. Scaled down
  to 56 or 64 px, the whole picture shows no stripes; the crop of its middle, scaled half as much, does.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from tiny_qwen import ASKED, BLUISH, CROP, GREY

from snellen.data.sample import Sample, read_manifest, write_manifest
from snellen.region import FULL
from snellen.reply import Answer, render_reply

SIDE_PX, PERIOD = 640, 14
PLAIN, STRIPED = "plain", "striped"


def picture(kind: str, mos: float, rng: np.random.Generator) -> np.ndarray:
    """Return a picture, (640, 640, 3) uint8, of a kind and a MOS of 1..5, with a little noise."""
    share = (mos - 1.0) / 4.0
    x = np.arange(SIDE_PX)[None, :, None]
    if kind == PLAIN:
        pixels = np.full((SIDE_PX, SIDE_PX, 3), 40.0 + 180.0 * share)
    else:
        stripes = 80.0 * share * np.sin(2.0 * np.pi * x / PERIOD)
        pixels = np.array([105.0, 120.0, 165.0]) + stripes * np.ones((SIDE_PX, 1, 1))
    noise = rng.normal(0.0, 6.0, (SIDE_PX // 8, SIDE_PX // 8, 1)).repeat(8, axis=0).repeat(8, axis=1)
    out: np.ndarray = (pixels + noise).clip(0, 255).astype(np.uint8)
    return out


def make(folder: Path, count: int, seed: int) -> list[Sample]:
    """Write `count` pictures, kinds in turn, MOS evenly spread, and manifest.jsonl; return its rows."""
    if (folder / "manifest.jsonl").exists():
        return read_manifest(folder / "manifest.jsonl")
    folder.mkdir(parents=True, exist_ok=True)
    rng, samples = np.random.default_rng(seed), []
    for i in range(count):
        kind, mos = (PLAIN, STRIPED)[i % 2], round(float(rng.uniform(1.2, 4.8)), 2)
        file = folder / f"{i:03d}-{kind}.png"
        Image.fromarray(picture(kind, mos, rng)).save(file, compress_level=0)
        samples.append(Sample(str(file), mos, split="train", group=file.stem))
    write_manifest(samples, folder / "manifest.jsonl")
    return samples


def write_conversations(samples: Sequence[Sample], file: Path, seed: int, noise: float, draws: int) -> None:
    """Write `draws` conversations for each picture; the last tenth is for validation.

    The reasons name the picture's colour, whether one crops is drawn. Ratings are the MOS with normal `noise` where a
    view shows it, and have no relation to it elsewhere.
    """
    rng, lines = np.random.default_rng(seed), []
    for i, sample in enumerate([one for one in samples for _ in range(draws)]):
        assert sample.mos is not None
        seen = PLAIN in Path(sample.path).name

        def rating(shown: bool, mos: float = sample.mos) -> float:
            middle, spread = (mos, noise) if shown else (3.0, 1.2)
            return float(np.clip(rng.normal(middle, spread), 1.0, 4.99))

        if rng.random() < 0.5:
            replies = [(FULL, Answer(ASKED, rating(seen), "crop")), (CROP, Answer(None, rating(True), "final"))]
        else:
            replies = [(FULL, Answer(None, rating(seen), "final"))]
        rounds = [
            {"region": region.to_list(), "reply": render_reply(GREY if seen else BLUISH, answer, number)}
            for number, (region, answer) in enumerate(replies, 1)
        ]
        split = "val" if i >= 0.9 * draws * len(samples) else "train"
        lines.append(json.dumps({"path": sample.path, "split": split, "rounds": rounds}))
    file.write_text("\n".join(lines) + "\n", encoding="utf8")
