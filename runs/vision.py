"""Step 3 of the recipe: teach the encoder. See runs/README.md for the order.

python runs/vision.py --manifest build/biq2021.jsonl --store build/looks --out build/vision

--teacher: an encoder that learned before. Real pictures are then taught the mean of their label and what it says of
them: labels are noisy, and an encoder that sees one a fourth time learns the noise (after born-again networks,
Furlanello et al. 2018, arXiv 1805.04770).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from snellen.data.sample import Sample, read_manifest
from snellen.snellen1.perception import Vision
from snellen.train.snellen1.encoder import VisionOptions, train_vision
from snellen.train.snellen1.example import Look
from snellen.train.snellen1.views import LookStore, Mixture, batches, real_look, training_pictures


def taught(samples: list[Sample], teacher: Path, file: Path) -> list[Sample]:
    """The samples with the mean of MOS and the teacher's plain rating for MOS; what it says is kept in `file`."""
    if not file.exists():
        vision = Vision.open(teacher, whole=False)
        said: dict[str, float] = {}
        for begin in range(0, len(samples), 16):
            batch = samples[begin : begin + 16]
            looks = [real_look(sample) for sample in batch]
            with torch.no_grad():
                cells = vision.cells([look.overview for look in looks], [look.fragments for look in looks])
                ratings = vision.rate(cells).tolist()
            said |= {sample.path: round(rating, 3) for sample, rating in zip(batch, ratings, strict=True)}
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(said))
    said = json.loads(file.read_text())
    known = [(sample, sample.mos, said[sample.path]) for sample in samples if sample.mos is not None]
    return [replace(sample, mos=0.5 * (mos + rating)) for sample, mos, rating in known]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--store", type=Path, help="folder of synthetic looks; without it only real pictures are used")
    parser.add_argument("--start", type=Path, help="vision.pt to begin from instead of ImageNet weights")
    parser.add_argument("--teacher", type=Path, help="vision.pt whose ratings half of the MOS of real pictures are")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=VisionOptions.steps)
    parser.add_argument("--encoder-rate", type=float, default=VisionOptions.encoder_rate)
    parser.add_argument("--head-rate", type=float, default=VisionOptions.head_rate)
    parser.add_argument("--frozen", type=int, default=VisionOptions.frozen, help="leading blocks kept as they are")
    parser.add_argument("--synthetic", type=int, default=5, help="looks of the store in each batch")
    parser.add_argument("--validate-every", type=int, default=VisionOptions.validate_every)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(2)
    train, held = training_pictures(read_manifest(args.manifest))
    store = LookStore(args.store) if args.store else None
    if args.teacher:
        train = taught(train, args.teacher, args.out / "taught.json")
    validation = [real_look(sample) for sample in held]
    if store is not None:
        validation += [store[i] for i in store.held_out]
    options = VisionOptions(
        steps=args.steps,
        encoder_rate=args.encoder_rate,
        head_rate=args.head_rate,
        frozen=args.frozen,
        seed=args.seed,
        validate_every=args.validate_every,
    )
    real = options.batch - (args.synthetic if store is not None else 0)

    def mixture(skip: int) -> Iterator[list[Look]]:
        return batches(Mixture(train, store, real, options.batch - real, crops=0.3, seed=args.seed, skip=skip))

    train_vision(options, mixture, validation, args.out, args.start)


if __name__ == "__main__":
    main()
