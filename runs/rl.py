r"""Step 11 of the recipe: reinforcement learning, from what supervised fine-tuning left.

    python runs/rl.py --vision build/vision/vision.pt --sft build/sft --manifest build/biq2021.jsonl \
        --looks build/looks --out build/rl

Makes the synthetic pictures of `--looks` again as files, once, because rollouts look where they like. The folder that
it leaves is exported as the one of step 9 is. Ends with a validation pass over held-out pictures, SFT beside it.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, replace
from functools import lru_cache
from multiprocessing import Pool
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from snellen.assessment import Assessment
from snellen.assessor import Assessor
from snellen.backend import Sampling
from snellen.data.sample import Fault, Sample, read_manifest, write_manifest
from snellen.data.synthesize import VISIBLE, Recipe, read_recipes, realise
from snellen.evaluate.stats import correlation as metrics
from snellen.image import Picture, load
from snellen.region import LOCAL_AREA
from snellen.train import best_device
from snellen.train.config import RlConfig, real_samples, run_rl
from snellen.train.grpo import RlOptions
from snellen.train.log import bias_by_fifth, distinct_2, mos_edges, think_texts
from snellen.train.rewards import Floats
from snellen.train.snellen1.policy import Policy, open_policy
from snellen.train.snellen1.views import HELD_OUT, HELD_OUT_RECIPE

LARGEST = 4.0
"""Megapixels of a synthetic picture at most: larger ones take longer to read than to learn from."""


@lru_cache(maxsize=1)
def source(path: str) -> Picture:
    return load(path)


def make(job: tuple[Recipe, Path]) -> float:
    """Write the picture of a recipe, unless it is there; its megapixels."""
    recipe, file = job
    if not file.exists():
        picture = realise(recipe, source(recipe.source))
        if picture.megapixels > LARGEST:
            return picture.megapixels
        Image.fromarray(picture.pixels).save(file.with_suffix(".part"), "PNG", compress_level=1)
        file.with_suffix(".part").replace(file)
    return 0.0


def synthetic_manifest(looks: Path, out: Path, count: int, workers: int) -> Path:
    """The first `count` recipes to train on and a quarter as many held-out ones (split "val"), as pictures in `out`.

    Faults that cannot be seen, and those that show as no kind of issue, are left out: nobody could find them.
    """
    manifest = out / "synthetic.jsonl"
    if manifest.exists():
        return manifest
    (out / "pictures").mkdir(parents=True, exist_ok=True)
    changes = [float(line) for line in (looks / "change.txt").read_text().splitlines()]
    usable: dict[str, list[tuple[int, Recipe]]] = {"train": [], "val": []}
    for number, (recipe, change) in enumerate(zip(read_recipes(looks / "recipes.jsonl"), changes, strict=True)):
        if recipe.distortion is None or (change >= VISIBLE and recipe.kind is not None):
            usable["val" if number % HELD_OUT_RECIPE == 0 else "train"].append((number, recipe))
    rng = np.random.default_rng(0)
    chosen = []
    for split, most in (("train", count), ("val", count // 4)):
        some = sorted(rng.permutation(len(usable[split]))[:most].tolist())
        chosen += [(split, *usable[split][i]) for i in some]
    files = [out / "pictures" / f"{number:05d}.png" for _, number, _ in chosen]
    with Pool(workers) as pool:
        too_large = pool.map(make, [(recipe, file) for (*_, recipe), file in zip(chosen, files, strict=True)])
    samples = []
    for (split, _, recipe), file, size in zip(chosen, files, too_large, strict=True):
        faults: tuple[Fault, ...] = ()
        if recipe.distortion is not None and recipe.kind is not None:
            faults = (Fault(recipe.distortion, recipe.kind, recipe.level, recipe.region),)
        if size == 0.0:
            samples.append(Sample(str(file), recipe.mos, split=split, faults=faults))
    write_manifest(samples, manifest)
    return manifest


def greedy(policy: Policy, samples: list[Sample], rounds: int) -> list[Assessment]:
    """Assessments as a user gets them; looks that were encoded before are not encoded again."""
    sampling = Sampling(max_tokens=RlOptions.max_tokens)
    policy.to(best_device())
    return Assessor(policy, max_rounds=rounds, batch_size=64, sampling=sampling).assess([s.path for s in samples])


@dataclass(frozen=True, eq=False)
class Validated:
    """What a validation pass found. numbers: by name, NaN where there is nothing to take a mean of. Over the real
    pictures, (N,): mos, and scores, NaN where there is none."""

    numbers: dict[str, float]
    mos: Floats
    scores: Floats


def validate(policy: Policy, real: list[Sample], synthetic: list[Sample], rounds: int) -> Validated:
    """What the ablation compares, on held-out pictures. Those without a score count as unreadable, and nowhere else."""
    done = greedy(policy, real, rounds)
    mos = np.array([sample.mos for sample in real], float)
    score = np.array([np.nan if one.score is None else one.score for one in done])
    there = ~np.isnan(score)
    row = {"readable": float(there.mean())}
    row |= {"srcc": metrics.srcc(score[there], mos[there]), "plcc": metrics.plcc(score[there], mos[there])}
    row |= {f"bias_{i}": value for i, value in enumerate(bias_by_fifth(score, mos, mos_edges(mos)), 1)}
    lasts = [one.steps[-1].distribution for one in done if one.score is not None]
    row["rating_entropy"] = float(np.mean([last.entropy for last in lasts if last is not None]))
    row["distinct_ratings"] = len({round(value, 2) for value in score[there]}) / max(1, int(there.sum()))
    row["distinct_2"] = distinct_2(think_texts(done))
    row["crop_rate"] = float(np.mean([len(one.steps) > 1 for one in done]))
    row |= refined(done, mos)
    return Validated(row | faults_found(greedy(policy, synthetic, rounds), synthetic), mos, score)


def refined(done: list[Assessment], mos: Floats) -> dict[str, float]:
    """Of those that looked twice: share whose last rating is closer to the MOS than the first, and by how much on
    average, in MOS."""
    moved = [
        (abs(one.steps[0].score - truth), abs(one.score - truth))
        for one, truth in zip(done, mos, strict=True)
        if len(one.steps) > 1 and one.score is not None and one.steps[0].score is not None
    ]
    if not moved:
        return {"closer": np.nan, "refinement": np.nan}
    closer = float(np.mean([last < first for first, last in moved]))
    return {"closer": closer, "refinement": float(np.mean([first - last for first, last in moved]))}


def faults_found(done: list[Assessment], samples: list[Sample]) -> dict[str, float]:
    """Shares: of local faults half of which a crop held, of the picture that those crops show, of faults whose kind was
    named, of clean pictures blamed."""
    covered: list[float] = []
    areas: list[float] = []
    named: list[float] = []
    blamed: list[float] = []
    for one, sample in zip(done, samples, strict=True):
        if not sample.faults:
            blamed.append(len(one.issues) > 0)
        for fault in sample.faults:
            named.append(any(issue.kind == fault.kind for issue in one.issues))
            if fault.region.area < LOCAL_AREA:
                covered.append(any(step.region.covers(fault.region) >= 0.5 for step in one.steps[1:]))
                areas += [step.region.area for step in one.steps[1:]]
    shares = {"fault_covered": covered, "crop_area": areas, "kind_named": named, "false_alarm": blamed}
    return {name: float(np.mean(hits)) if hits else np.nan for name, hits in shares.items()}


def held_out(manifest: Path, synthetic: Path, counts: tuple[int, int]) -> tuple[list[Sample], list[Sample]]:
    """At most so many held-out pictures, real and synthetic ones, evenly spaced."""
    _, real = real_samples(manifest, HELD_OUT)
    made = [sample for sample in read_manifest(synthetic) if sample.split == "val"]
    first, second = (
        pool[:: max(1, len(pool) // count)][:count] for pool, count in zip((real, made), counts, strict=True)
    )
    return first, second


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What this script and the ablation have in common."""
    parser.add_argument("--vision", type=Path, required=True)
    parser.add_argument("--sft", type=Path, required=True, help="folder that runs/sft.py left")
    parser.add_argument("--manifest", type=Path, required=True, help="human-rated pictures")
    parser.add_argument("--looks", type=Path, required=True, help="folder with recipes.jsonl and change.txt")
    parser.add_argument("--pictures", type=int, default=600, help="synthetic pictures to make for training")
    parser.add_argument(
        "--validate",
        type=int,
        nargs=2,
        default=[200, 100],
        metavar=("REAL", "SYNTHETIC"),
        help="held-out pictures in a validation pass",
    )
    parser.add_argument("--steps", type=int, default=RlOptions.steps)
    parser.add_argument("--real", type=int, default=RlOptions.real, help="real pictures in a step")
    parser.add_argument("--synthetic", type=int, default=RlOptions.synthetic, help="synthetic pictures in a step")
    parser.add_argument("--rollouts", type=int, default=RlOptions.rollouts, help="of each picture")
    parser.add_argument("--rate", type=float, default=RlOptions.rate, help="learning rate")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--out", type=Path, required=True)


def options_of(args: argparse.Namespace) -> RlOptions:
    """The defaults with what `add_arguments` lets one choose."""
    names = ("steps", "real", "synthetic", "rollouts", "rate")
    return replace(RlOptions(), **{name: getattr(args, name) for name in names})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--strength", type=float, default=RlOptions.strength)
    parser.add_argument("--token-credit", action="store_true", help="each kind of token learns from its own rewards")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(2)
    synthetic = synthetic_manifest(args.looks, args.out, args.pictures, args.workers)
    options = replace(options_of(args), strength=args.strength, token_credit=args.token_credit, seed=args.seed)
    run_rl(RlConfig(args.vision, args.sft, args.manifest, args.out, synthetic, options=options))
    pictures = held_out(args.manifest, synthetic, tuple(args.validate))
    rows = {
        name: validate(open_policy(args.vision, folder, args.out / "looks.db"), *pictures, options.rounds).numbers
        for name, folder in (("SFT", args.sft), ("RL", args.out))
    }
    (args.out / "validation.json").write_text(json.dumps(rows, indent=1) + "\n")
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
