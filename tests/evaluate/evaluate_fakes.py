"""Rated pictures of plain tones, and a scripted model that tells a picture's quality by its tone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from snellen.backend import Conversation, RatingDistribution, Reply
from snellen.backends.scripted import ScriptedBackend
from snellen.data.sample import Sample
from snellen.evaluate import DataSet, data_set

ISSUE = '{"kind": "blur", "severity": 4, "bbox_2d": [0.50, 0.50, 0.75, 0.75]}'
THINK = (
    "<think>Image Quality Summary: Tone {tone}.\nDirections for Improvement: sharper.\nIssues to Avoid: blur.\n"
    "Decision & Rationale: look closer.</think>"
)
LATER = (
    "<think>Crop Inspection Summary: Tone {tone}.\nDirections for Improvement: sharper.\nIssues to Avoid: blur.\n"
    "Final Decision & Rationale: done.</think>"
)


def reply(conversation: Conversation) -> Reply:
    """Round 1 rates tone / 50 and asks for a crop; round 2 moves up by 0.1; tone 250 cannot be read."""
    tone = int(np.median(conversation[0].views[0].picture.pixels))
    first = len(conversation) == 1
    rating = min(5.0, max(1.0, tone / 50)) + (0.0 if first else 0.1)
    values = np.round([max(1.0, rating - 0.4), rating, min(5.0, rating + 0.4)], 2)
    box, tool = ("[0.10, 0.10, 0.60, 0.60]", "crop") if first else ("[0.00, 0.00, 0.00, 0.00]", "final")
    think = (THINK if first else LATER).format(tone=tone)
    answer = f'{{"bbox_2d": {box}, "rating": {rating:.2f}, "tool": "{tool}", "issues": [{ISSUE}]}}'
    text = "no idea" if tone == 250 else f"{think}<answer>{answer}</answer>"
    spread = RatingDistribution(values, np.array([0.25, 0.5, 0.25])) if len(set(values)) == 3 else None
    return Reply(text, tuple(range(tone % 7 + 1)), (-0.5,) * (tone % 7 + 1), spread)


def backend() -> ScriptedBackend:
    return ScriptedBackend(reply)


def rated_pictures(folder: Path, tones: dict[int, float], side: int = 640) -> DataSet:
    """A data set "tiny" of one picture for each tone, with its MOS; there is noise, so that crops show new pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    samples = []
    for tone, mos in tones.items():
        path = folder / f"tone{tone:03d}.png"
        noise = np.random.default_rng(tone).integers(-3, 4, (side, side, 3))
        Image.fromarray(np.clip(tone + noise, 0, 255).astype(np.uint8)).save(path, compress_level=1)
        samples.append(Sample(str(path), mos, std=0.5, n=25, split="test", subset="dark" if tone < 125 else "light"))
    return data_set("tiny", samples)
