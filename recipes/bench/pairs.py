"""Accuracy of `snellen compare` on pairs of rated photographs and on ladders of JPEG qualities.

python recipes/bench/pairs.py MANIFEST [--names FILE] [--pictures 100] [--split train] [--model snellen-1]

MANIFEST is what `snellen evaluate --data` takes as .jsonl: `path`, `mos`, `split`. People choose the picture of the
higher MOS; pairs whose MOS differ by less than --apart are left out. Each picture is assessed once, and the preference
follows from both distributions as in `snellen compare` without shared regions. Prints Markdown tables.
"""

from __future__ import annotations

import argparse
import io
import json
from itertools import combinations
from pathlib import Path

import numpy as np
from PIL import Image

from snellen.assessor import Assessor
from snellen.comparison.judge import compare
from snellen.comparison.preference import Floats, accuracy, accuracy_by_share
from snellen.image import Picture, load

SHARES = np.array([1.0, 0.75, 0.5, 0.25])
QUALITIES = (90, 50, 25, 12, 6)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--names", type=Path, help='JSON with a list "held": only these paths')
    parser.add_argument("--split", default="train")
    parser.add_argument("--pictures", type=int, default=100)
    parser.add_argument("--ladders", type=int, default=8, help="photographs of which JPEG ladders are made")
    parser.add_argument("--apart", type=float, default=0.25, help="least difference in MOS of a pair")
    parser.add_argument("--model", default="snellen-1")
    args = parser.parse_args()
    rows = [json.loads(line) for line in args.manifest.read_text(encoding="utf-8").splitlines()]
    held = set(json.loads(args.names.read_text())["held"]) if args.names else None
    rows = [row for row in rows if row["split"] == args.split and (held is None or row["path"] in held)]
    chosen = [rows[at] for at in np.random.default_rng(0).permutation(len(rows))[: args.pictures]]
    assessor = Assessor(args.model, max_rounds=1)
    people(assessor, chosen, args.apart)
    ladders(assessor, [row["path"] for row in chosen if row["mos"] >= 3.5][: args.ladders])


def people(assessor: Assessor, rows: list[dict[str, object]], apart: float) -> None:
    """Print the accuracy on all pairs of rated pictures, by the share decided, with bootstrap intervals."""
    comparison = compare(assessor, [str(row["path"]) for row in rows])
    mos = np.array([row["mos"] for row in rows], np.float64)
    pairs = [pair for pair in comparison.pairs if abs(mos[pair.first] - mos[pair.second]) >= apart]
    preferences = np.array([pair.probability for pair in pairs])
    human = np.array([float(mos[pair.first] > mos[pair.second]) for pair in pairs])
    ends = np.array([(pair.first, pair.second) for pair in pairs])
    print(f"{len(rows)} pictures, {len(pairs)} pairs at least {apart} MOS apart\n")
    print("| pairs decided, the surest first | accuracy | 95 % interval |\n| --- | --- | --- |")
    for share in SHARES:
        value = accuracy_by_share(preferences, human, np.array([share]))[0]
        low, high = bootstrap(preferences, human, ends, len(rows), share)
        print(f"| {share:.0%} | {value:.3f} | {low:.3f} to {high:.3f} |")
    sure = preferences >= comparison.sure
    print(f"\nprobability {comparison.sure} or more: {sure.mean():.0%} of pairs, ", end="")
    print(f"accuracy {accuracy(preferences[sure], human[sure]):.3f}; stated {preferences[sure].mean():.3f}")
    print(f"consistent triples: {comparison.triples[0]} of {comparison.triples[1]} decided\n")


def bootstrap(preferences: Floats, human: Floats, ends: np.ndarray, count: int, share: float) -> tuple[float, float]:
    """Return the 95 % interval of the accuracy, resampling pictures: a pair counts once for each of its copies."""
    rng, found = np.random.default_rng(0), []
    for _ in range(200):
        copies = np.bincount(rng.integers(0, count, count), minlength=count)
        times = copies[ends[:, 0]] * copies[ends[:, 1]]
        drawn = np.repeat(np.arange(len(ends)), times)
        found.append(accuracy_by_share(preferences[drawn], human[drawn], np.array([share]))[0])
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def ladders(assessor: Assessor, paths: list[str]) -> None:
    """Print the accuracy on pairs of one photograph in two JPEG qualities; the higher quality is right."""
    preferences, steps = [], []
    for path in paths:
        image = Image.fromarray(load(path).pixels)
        levels = [_jpeg(image, quality) for quality in QUALITIES]
        for pair in compare(assessor, levels).pairs:
            assert pair.probability is not None
            lower, higher = sorted((pair.first, pair.second))
            preferences.append(pair.probability if pair.first == lower else 1 - pair.probability)
            steps.append(higher - lower)
    known, distance = np.array(preferences), np.array(steps)
    print(f"JPEG ladders of {len(paths)} photographs, qualities {QUALITIES}\n")
    print("| steps apart | pairs | accuracy | decided |\n| --- | --- | --- | --- |")
    for step in sorted(set(steps)):
        chosen = known[distance == step]
        sure = np.maximum(chosen, 1 - chosen) >= 0.75
        print(f"| {step} | {len(chosen)} | {accuracy(chosen, np.ones(len(chosen))):.3f} | {sure.mean():.0%} |")
    total = len(list(combinations(QUALITIES, 2))) * len(paths)
    print(f"\nall {total} pairs: {accuracy(known, np.ones(len(known))):.3f}")


def _jpeg(image: Image.Image, quality: int) -> Picture:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return load(file, name=f"quality {quality}")


if __name__ == "__main__":
    main()
