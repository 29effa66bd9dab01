"""Accuracy of `snellen compare` on pairs with a known answer. Prints Markdown tables.

    python recipes/bench/pairs.py rated MANIFEST --split test --score-only --keep ratings.jsonl
    python recipes/bench/pairs.py ladders PHOTOGRAPH...
    python recipes/bench/pairs.py repaired PHOTOGRAPH...

rated: MANIFEST is what `snellen evaluate --data` takes as .jsonl: `path`, `mos`, `split`. People choose the picture of
the higher MOS; pairs whose MOS differ by less than --apart are left out. Each picture is assessed once, and the
preference follows from both distributions as in `snellen compare` without shared regions. --keep: the distributions,
one line a picture; a run that was killed goes on from there.
ladders: photographs at --side px, each in several qualities of JPEG, WebP and AVIF; the higher quality is right.
repaired: photographs at --side px with a made fault, repaired by the tool that the original likes best; pairs are kept
where the repair gains 1 dB or more, and the repaired picture is right. Needs the extras restore and reference.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from snellen.assessor import Assessor
from snellen.comparison.judge import compare, mixture
from snellen.comparison.preference import SURE, Floats, accuracy, accuracy_by_share, prob_better, triples
from snellen.data.distort import DISTORTIONS, distort
from snellen.data.distort.codec import encoded
from snellen.image import Picture, load, resample
from snellen.region import FULL

SHARES = (1.0, 0.75, 0.5, 0.25)
QUALITIES = {"JPEG": (90, 50, 25, 12, 6), "WEBP": (90, 60, 30, 10, 1), "AVIF": (85, 60, 40, 20, 5)}
FEATURES = {"JPEG": "jpg", "WEBP": "webp", "AVIF": "avif"}
"""Pillow's name of each codec."""
FAULTS = ("white_noise", "impulse_noise", "gaussian_blur", "lens_blur", "jpeg", "darken", "low_light", "haze")
LEAST_GAIN = 1.0
"""Least gain of a repair in PSNR, dB."""
TRIPLE_PICTURES = 150
"""Triples are counted among so many pictures."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="snellen-1")
    parser.add_argument("--score-only", action="store_true", help="one round and a score")
    commands = parser.add_subparsers(dest="command", required=True)
    rated = commands.add_parser("rated")
    rated.add_argument("manifest", type=Path)
    rated.add_argument("--split", default="test")
    rated.add_argument("--names", type=Path, help='JSON with a list "held": only these paths')
    rated.add_argument("--pictures", type=int, help="only so many, drawn at random")
    rated.add_argument("--apart", type=float, default=0.25, help="least difference in MOS of a pair")
    rated.add_argument("--pairs", type=int, default=50_000, help="pairs at most, drawn at random")
    rated.add_argument("--keep", type=Path)
    for name in ("ladders", "repaired"):
        command = commands.add_parser(name)
        command.add_argument("photographs", nargs="+", type=Path)
        command.add_argument("--side", type=int, default=768)
    args = parser.parse_args()
    assessor = Assessor(args.model, max_rounds=1, score_only=args.score_only, batch_size=1)
    if args.command == "rated":
        people(assessor, chosen(args), args)
    else:
        pictures = [Picture(resample(load(path), FULL, args.side), path.name) for path in args.photographs]
        ladders(assessor, pictures) if args.command == "ladders" else repaired(assessor, pictures)


def chosen(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the rows of the manifest that are compared."""
    rows = [json.loads(line) for line in args.manifest.read_text(encoding="utf-8").splitlines()]
    held = set(json.loads(args.names.read_text())["held"]) if args.names else None
    rows = [row for row in rows if row["split"] == args.split and (held is None or row["path"] in held)]
    return [rows[at] for at in np.random.default_rng(0).permutation(len(rows))[: args.pictures]]


def distributions(assessor: Assessor, paths: list[str], keep: Path | None) -> Iterator[tuple[Floats, Floats]]:
    """Yield values and probabilities of each picture's rating, its width calibrated; read from `keep` where it is."""
    known: dict[str, Any] = {}
    if keep is not None and keep.exists():
        known = {row["path"]: row for row in map(json.loads, keep.read_text(encoding="utf-8").splitlines())}
    for path in paths:
        if path not in known:
            (assessment,) = assessor.assess([path])
            values, probs = mixture(assessor, assessment.steps)
            assert values is not None and probs is not None, f"{path}: no distribution"
            some = probs > 1e-6
            known[path] = {"path": path, "values": np.round(values[some], 5).tolist(), "probs": probs[some].tolist()}
            if keep is not None:
                with keep.open("a", encoding="utf-8") as file:
                    print(json.dumps(known[path]), file=file)
        yield np.array(known[path]["values"]), np.array(known[path]["probs"])


def people(assessor: Assessor, rows: list[dict[str, Any]], args: argparse.Namespace) -> None:
    """Print the accuracy on pairs of rated pictures, by the share decided, with bootstrap intervals."""
    rated = list(distributions(assessor, [str(row["path"]) for row in rows], args.keep))
    mos = np.array([row["mos"] for row in rows], np.float64)
    first, second = np.triu_indices(len(rows), 1)
    far = np.flatnonzero(np.abs(mos[first] - mos[second]) >= args.apart)
    drawn = np.random.default_rng(1).permutation(far)[: args.pairs]
    ends = np.stack([first[drawn], second[drawn]], axis=1)
    preferences = np.array([prob_better(*rated[a], *rated[b]) for a, b in ends])
    human = (mos[ends[:, 0]] > mos[ends[:, 1]]).astype(np.float64)
    print(f"{len(rows)} pictures, {len(far)} pairs at least {args.apart} MOS apart, {len(ends)} of them drawn\n")
    print("| pairs decided, the surest first | accuracy | 95 % interval |\n| --- | --- | --- |")
    for share in SHARES:
        value = accuracy_by_share(preferences, human, np.array([share]))[0]
        low, high = bootstrap(preferences, human, ends, len(rows), share)
        print(f"| {share:.0%} | {value:.3f} | {low:.3f} to {high:.3f} |")
    stated = np.maximum(preferences, 1 - preferences)
    sure = stated >= SURE
    print(f"\nprobability {SURE} or more: {sure.mean():.0%} of pairs, ", end="")
    print(f"accuracy {accuracy(preferences[sure], human[sure]):.3f}; stated {stated[sure].mean():.3f}")
    some = rated[:TRIPLE_PICTURES]
    wins = np.array([[prob_better(*one, *other) for other in some] for one in some])
    for least in (0.5, SURE):
        consistent, decided = triples(wins, least)
        print(f"triples decided at {least}: {decided}, consistent {consistent}")


def bootstrap(preferences: Floats, human: Floats, ends: np.ndarray, count: int, share: float) -> tuple[float, float]:
    """Return the 95 % interval of the accuracy, resampling pictures: a pair counts once for each of its copies."""
    rng, found = np.random.default_rng(0), []
    for _ in range(200):
        copies = np.bincount(rng.integers(0, count, count), minlength=count)
        drawn = np.repeat(np.arange(len(ends)), copies[ends[:, 0]] * copies[ends[:, 1]])
        found.append(accuracy_by_share(preferences[drawn], human[drawn], np.array([share]))[0])
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def ladders(assessor: Assessor, pictures: list[Picture]) -> None:
    """Print the accuracy on pairs of one photograph in two qualities of a codec; the higher quality is right."""
    print("| codec | steps apart | pairs | accuracy | decided | of them right |\n| --- | --- | --- | --- | --- | --- |")
    for codec, qualities in QUALITIES.items():
        preferences, steps = [], []
        for picture in pictures:
            levels = [
                Picture(encoded(picture.pixels, codec, FEATURES[codec], quality=quality), f"{codec} {quality}")
                for quality in qualities
            ]
            for pair in compare(assessor, levels).pairs:
                assert pair.probability is not None
                lower, higher = sorted((pair.first, pair.second))
                preferences.append(pair.probability if pair.first == lower else 1 - pair.probability)
                steps.append(higher - lower)
        known, distance = np.array(preferences), np.array(steps)
        for step in sorted(set(steps)):
            print(f"| {codec} | {step} | {_numbers(known[distance == step])} |")
        print(f"| {codec} | any | {_numbers(known)} |", flush=True)


def _numbers(right: Floats) -> str:
    """Return count, accuracy, share decided and accuracy of those; `right` is the probability of the right answer."""
    sure = np.maximum(right, 1 - right) >= SURE
    decided = f"{accuracy(right[sure], np.ones(sure.sum())):.3f}" if sure.any() else ""
    return f"{len(right)} | {accuracy(right, np.ones(len(right))):.3f} | {sure.mean():.0%} | {decided}"


def repaired(assessor: Assessor, pictures: list[Picture]) -> None:
    """Print the accuracy on pairs of a faulty picture and its repair, and of the original and the faulty picture."""
    print("| fault | pair | pairs | accuracy | decided | of them right |\n| --- | --- | --- | --- | --- | --- |")
    every: dict[str, list[float]] = {"original, faulty": [], "repaired, faulty": []}
    for fault in FAULTS:
        right: dict[str, list[float]] = {name: [] for name in every}
        for number, picture in enumerate(pictures):
            faulty = Picture(distort(picture.pixels, fault, 3 + number % 2, np.random.default_rng(number)), "faulty")
            better = best_repair(faulty, picture, fault, 3 + number % 2)
            for name, good in (("original, faulty", picture), ("repaired, faulty", better)):
                if good is not None:
                    (pair,) = compare(assessor, [good, faulty]).pairs
                    assert pair.probability is not None
                    right[name].append(pair.probability if pair.first == 0 else 1 - pair.probability)
        for name, known in right.items():
            every[name] += known
            if known:
                print(f"| {fault} | {name} | {_numbers(np.array(known))} |", flush=True)
    for name, known in every.items():
        print(f"| all | {name} | {_numbers(np.array(known))} |")


def best_repair(faulty: Picture, original: Picture, fault: str, level: int) -> Picture | None:
    """Return the repair of the whole picture that is nearest to the original; None below LEAST_GAIN."""
    from snellen.comparison.measures import psnr
    from snellen.restoration.tool import repair
    from snellen.restoration.toolbox import tools_for

    made = [
        repair(faulty.pixels, FULL, tool, setting)
        for tool in tools_for(DISTORTIONS[fault].kind_at(level) or "")
        for setting in tool.settings
    ]
    gains = [psnr(original.pixels, pixels) - psnr(original.pixels, faulty.pixels) for pixels in made]
    best = int(np.argmax(gains))
    return Picture(made[best], "repaired") if gains[best] >= LEAST_GAIN else None


if __name__ == "__main__":
    main()
