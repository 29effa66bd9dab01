"""Go on from what was shipped: torch weights of a model's folder, laid out as training leaves them.

    python runs/restore.py --model src/snellen/snellen1/weights --out build/snellen-1

Writes OUT/vision.pt, to give as --vision (or --start) to any step of the recipe, and OUT/decoder.pt with its tokenizer,
options and phrases, to give as --sft. Exported again (runs/export.py), they are the same graphs to the last bit.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from snellen.snellen1.from_onnx import restore, save


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="folder with a card.json")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    save(*restore(args.model), args.model, args.out)


if __name__ == "__main__":
    main()
