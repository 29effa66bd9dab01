r"""Step 12 of the recipe: write the model's folder. The interval is calibrated afterwards (runs/calibrate.py).

python runs/export.py --vision build/glimpse/vision.pt --sft build/sft --version 0.14.0 \
        --out src/snellen/snellen1/weights
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from pathlib import Path

from tokenizers import Tokenizer

from snellen.backends.onnx import FILES
from snellen.snellen1.decoder import Decoder
from snellen.snellen1.export import export_onnx
from snellen.snellen1.perception import Vision
from snellen.snellen1.rating_head import TOLD


def load_torch(vision: Path, sft: Path) -> tuple[Vision, Decoder]:
    """The torch twin of a model: what was trained, before the export."""
    return Vision.open(vision), Decoder.open(sft)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vision", type=Path, required=True)
    parser.add_argument("--sft", type=Path, required=True)
    parser.add_argument("--version", required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    vision, decoder = load_torch(args.vision, args.sft)
    export_onnx(vision, decoder, args.out)
    Tokenizer.from_file(str(args.sft / "tokenizer.json")).save(str(args.out / "tokenizer.json"), pretty=False)
    shutil.copy(args.sft / "phrases.txt", args.out)
    shape = decoder.shape
    card = {
        "name": "snellen-1",
        "version": args.version,
        "layers": shape.layers,
        "heads": shape.heads,
        "width": shape.width,
        "look_width": shape.width + TOLD,
        "calibration": None,
        "sha256": {file: hashlib.sha256((args.out / file).read_bytes()).hexdigest() for file in FILES},
    }
    (args.out / "card.json").write_text(json.dumps(card, indent=1) + "\n")


if __name__ == "__main__":
    main()
