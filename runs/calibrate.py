"""Step 12 of the recipe: fit the 90 % interval of a model on the held-out training pictures, into its card.json.

    python runs/calibrate.py --manifest build/biq2021.jsonl --model src/snellen/snellen1/weights --out build/calibrate

These are the 800 rated pictures that no stage trained on; no test picture is among them. A killed run goes on where it
was. Writes OUT/calibrate.json.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from result import card_version, publish

from snellen.data.sample import read_manifest
from snellen.evaluate import Options, calibrate
from snellen.train.snellen1.views import training_pictures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--manifest", type=Path, required=True, help="BIQ2021, as runs/sources.py writes it")
    parser.add_argument("--model", type=Path, required=True, help="folder with a card.json")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=1, help="processes, one thread each")
    args = parser.parse_args()
    held_out = training_pictures(read_manifest(args.manifest))[1]
    fitted = calibrate(held_out, args.model, Options(str(args.model)), args.out, workers=args.workers)
    title = "Calibration on the held-out training pictures"
    publish("calibrate", args.out, title, fitted, str(args.model), card_version(args.model))


if __name__ == "__main__":
    main()
