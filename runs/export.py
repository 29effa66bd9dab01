r"""Step 10 of the recipe: write the model's folder. The interval is calibrated afterwards (runs/calibrate.py).

python runs/export.py --vision build/vision/vision.pt --sft build/sft --version 0.2.0 \
        --out src/snellen/weights/snellen-1
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import torch
from tokenizers import Tokenizer

from snellen.model.decoder import Decoder, DecoderShape
from snellen.model.export import export_onnx
from snellen.model.vision import Encoder, Glance

FILES = ("encoder.onnx", "connector.onnx", "decoder.onnx", "tokenizer.json")


def load_torch(vision: Path, sft: Path) -> tuple[Encoder, Glance, Decoder]:
    """The torch twin of a model: what was trained, before the export."""
    state = torch.load(vision, weights_only=True)
    encoder, glance = Encoder(), Glance()
    encoder.load_state_dict(state["encoder"])
    glance.load_state_dict(state["glance"])
    shape = json.loads((sft / "options.json").read_text())["shape"]
    decoder = Decoder(DecoderShape(**shape))
    decoder.load_state_dict(torch.load(sft / "decoder.pt", weights_only=True))
    return encoder.eval(), glance.eval(), decoder.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vision", type=Path, required=True)
    parser.add_argument("--sft", type=Path, required=True)
    parser.add_argument("--version", required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    encoder, glance, decoder = load_torch(args.vision, args.sft)
    export_onnx(encoder, glance, decoder, args.out)
    Tokenizer.from_file(str(args.sft / "tokenizer.json")).save(str(args.out / "tokenizer.json"), pretty=False)
    shape = decoder.shape
    card = {
        "name": "snellen-1",
        "version": args.version,
        "layers": shape.layers,
        "heads": shape.heads,
        "width": shape.width,
        "calibration": None,
        "sha256": {file: hashlib.sha256((args.out / file).read_bytes()).hexdigest() for file in FILES},
    }
    (args.out / "card.json").write_text(json.dumps(card, indent=1) + "\n")


if __name__ == "__main__":
    main()
