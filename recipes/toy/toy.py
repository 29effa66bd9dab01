"""Train snellen-1's decoder on 50 generated pictures: supervised fine-tuning, then three steps of GRPO.

About two minutes on a CPU; nothing is downloaded. The numbers show that the stages run, not that the model is better.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from snellen.data.distort import DISTORTIONS, distort
from snellen.data.levels import level_mos
from snellen.data.sample import Fault, Sample, write_manifest
from snellen.data.synthesize import PRISTINE_MOS, synthetic_mos
from snellen.region import Region
from snellen.train.config import RlConfig, SftConfig, read_config, run_rl, run_sft

OUT = Path("build/toy")
FAULTS = (("white_noise", 4), ("gaussian_blur", 4), ("jpeg", 5), ("darken", 4))


def picture(rng: np.random.Generator, side: int = 512) -> np.ndarray:
    """Return a clean picture, (side, side, 3) uint8: discs of plain colour with fine stripes on a gradient."""
    y, x = np.mgrid[:side, :side] / side
    pixels = 60.0 + 60.0 * (rng.random(3) * x[..., None] + rng.random(3) * y[..., None])
    for _ in range(12):
        (cx, cy), colour = rng.random(2), rng.uniform(30, 225, 3)
        inside = np.hypot(x - cx, y - cy) < rng.uniform(0.05, 0.2)
        pixels[inside] = colour + 25.0 * np.sin(rng.uniform(20, 120) * (x + y))[inside][:, None]
    out: np.ndarray = pixels.clip(0, 255).astype(np.uint8)
    return out


def make(folder: Path, count: int) -> None:
    """Write pictures, each with one local fault, and their manifest; every fifth is for validation."""
    samples = []
    for i in range(count):
        rng, (name, level) = np.random.default_rng(i), FAULTS[i % len(FAULTS)]
        (x, y), side = rng.uniform(0.0, 0.6, 2), rng.uniform(0.25, 0.4)
        fault = Fault(name, DISTORTIONS[name].kind, level, Region(x, y, x + side, y + side))
        Image.fromarray(distort(picture(rng), name, level, rng, fault.region)).save(folder / f"{i:02d}.png")
        mos, split = synthetic_mos(PRISTINE_MOS, level_mos(name, level)[0], side**2), "val" if i % 5 == 4 else "train"
        samples.append(Sample(str(folder / f"{i:02d}.png"), mos, split=split, faults=(fault,)))
    write_manifest(samples, folder / "manifest.jsonl")


def main(count: int = 50, configs: Path = Path(__file__).parent) -> None:
    """Make the pictures, run both stages; each leaves a log.jsonl."""
    torch.set_num_threads(1)  # more are slower for a network this small
    (OUT / "pictures").mkdir(parents=True, exist_ok=True)
    make(OUT / "pictures", count)
    run_sft(read_config(configs / "sft.toml", SftConfig))
    run_rl(read_config(configs / "rl.toml", RlConfig))


if __name__ == "__main__":
    main()
