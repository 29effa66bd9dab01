"""Stage 6: write trained weights as a model folder, and load the weights of a released one to go on from."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import torch

from snellen.snellen1.export import export_onnx
from snellen.snellen1.files import GRAPHS, PHOTO_RATING, write_card
from snellen.snellen1.from_onnx import load_trained
from snellen.snellen1.perception import Perception
from snellen.snellen1.rating_head import RatingHead
from snellen.vocabulary import KINDS

THRESHOLD, WHOLE_THRESHOLD = 0.35, 0.9
"""Probability from which on the fault head's finding is listed, for every kind; and where it is of the whole picture.
Chosen on labelled training photographs: findings in a part raise a false alarm in 2 % of the clean ones, findings of
the whole from the same probability on in 11 %, from 0.9 on in 2 %."""


def load_weights(perception: Path, rating_head: Path) -> tuple[Perception, RatingHead]:
    """Load perception.pt and rating_head.pt."""
    head = RatingHead()
    head.load_state_dict(torch.load(rating_head, weights_only=True, map_location="cpu"))
    return Perception.open(perception), head.eval()


def write_model(perception: Path, rating_head: Path, photo_rating: Path, version: str, out: Path) -> None:
    """Write the model folder `out`: the ONNX graphs, the photo rating head and card.json, without a calibration of its
    interval."""
    export_onnx(*load_weights(perception, rating_head), out)
    shutil.copyfile(photo_rating, out / PHOTO_RATING)
    card = {
        "name": "snellen-1",
        "version": version,
        "calibration": None,
        "score_calibration": None,
        "rating_line": [0.0, 1.0],
        "thresholds": dict.fromkeys(KINDS, THRESHOLD),
        "whole_threshold": WHOLE_THRESHOLD,
        "sha256": {
            name: hashlib.sha256((out / name).read_bytes()).hexdigest()
            for name in (*(f"{graph}.onnx" for graph in GRAPHS), PHOTO_RATING)
        },
    }
    write_card(out, card)


def read_model(model: Path, out: Path) -> None:
    """Write the torch weights of a model folder, out/perception.pt and out/rating_head.pt, to begin stages from.

    Exported again they are the same graphs to the last bit. Weights that only training uses begin anew.
    """
    perception, head = load_trained(model)
    out.mkdir(parents=True, exist_ok=True)
    perception.save(out / "perception.pt")
    torch.save(head.state_dict(), out / "rating_head.pt")
