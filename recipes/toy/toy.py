"""Train snellen-1's decoder on 50 generated pictures: supervised fine-tuning, then three steps of GRPO.

About two minutes on a CPU; nothing is downloaded. The numbers show that the stages run, not that the model is better.

    python recipes/toy/toy.py
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from snellen.data.distort import DISTORTIONS, distort
from snellen.data.levels import level_mos
from snellen.data.sample import Fault, Sample, write_manifest
from snellen.data.synthesize import PRISTINE_MOS, synthetic_mos
from snellen.region import Region
from snellen.train.config import RlConfig, SftConfig, read_config, run_rl, run_sft

HERE, OUT, COUNT = Path(__file__).parent, Path("build/toy"), 50
FAULTS = (("white_noise", 4), ("gaussian_blur", 4), ("jpeg", 5), ("darken", 4))


def picture(rng: np.random.Generator, side: int = 320) -> np.ndarray:
    """Return a clean picture, (side, side, 3) uint8: a gradient with discs of plain colour and fine stripes."""
    y, x = np.mgrid[:side, :side] / side
    pixels = 60.0 + 60.0 * (rng.random(3) * x[..., None] + rng.random(3) * y[..., None])
    for _ in range(12):
        (cx, cy), radius, colour = rng.random(2), rng.uniform(0.05, 0.2), rng.uniform(30, 225, 3)
        inside = (x - cx) ** 2 + (y - cy) ** 2 < radius**2
        stripes = 25.0 * np.sin(rng.uniform(60, 160) * (x * rng.random() + y * rng.random()))
        pixels[inside] = colour + stripes[inside][:, None]
    out: np.ndarray = pixels.clip(0, 255).astype(np.uint8)
    return out


def make(folder: Path, count: int) -> None:
    """Write pictures, each with one local fault, and their manifest; every fifth is for validation."""
    folder.mkdir(parents=True, exist_ok=True)
    samples = []
    for i in range(count):
        rng = np.random.default_rng(i)
        (name, level), (x, y), side = FAULTS[i % len(FAULTS)], rng.uniform(0.0, 0.6, 2), rng.uniform(0.25, 0.4)
        fault = Fault(name, str(DISTORTIONS[name].kind_at(level)), level, Region(x, y, x + side, y + side))
        Image.fromarray(distort(picture(rng), name, level, rng, fault.region)).save(folder / f"{i:02d}.png")
        mos = synthetic_mos(PRISTINE_MOS, level_mos(name, level)[0], fault.region.area)
        split = "val" if i % 5 == 4 else "train"
        samples.append(Sample(str(folder / f"{i:02d}.png"), mos, split=split, faults=(fault,)))
    write_manifest(samples, folder / "manifest.jsonl", root=Path.cwd())


if __name__ == "__main__":
    make(OUT / "pictures", int(sys.argv[1]) if len(sys.argv) > 1 else COUNT)
    run_sft(read_config(HERE / "sft.toml", SftConfig))
    run_rl(read_config(HERE / "rl.toml", RlConfig))
    for stage, names in (("sft", ("loss", "held_out")), ("rl", ("reward", "reward_grounding", "error", "crop_rate"))):
        last = json.loads((OUT / stage / "log.jsonl").read_text().splitlines()[-1])
        print(stage, {name: last[name] for name in names})
