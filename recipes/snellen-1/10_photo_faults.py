"""Fit the photo fault head on the labelled photographs and write it into a model folder. About half an hour on two
cores.

    python 10_photo_faults.py --biq2021 DATA/BIQ2021/Images --live DATA/ChallengeDB_release/Images --model build/model
"""

from __future__ import annotations

import argparse
from pathlib import Path

from snellen.backends.onnx import Snellen1Backend
from snellen.data.fault_labels import labels_of
from snellen.train.snellen1.photo_faults import add_to_model, fit, photo_matrix


def main() -> None:
    """Compute the features of all training photographs, fit, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--biq2021", type=Path, required=True, help="folder with BIQ2021's pictures")
    parser.add_argument("--live", type=Path, required=True, help="folder with LIVE in the Wild's pictures")
    parser.add_argument("--model", type=Path, required=True, help="model folder to add the head to")
    args = parser.parse_args()
    labels = {args.biq2021 / name: raters for name, raters in labels_of("biq2021", "train").items()}
    labels |= {args.live / name: raters for name, raters in labels_of("live_challenge", "train").items()}
    features, blocks = photo_matrix(Snellen1Backend(args.model), labels)
    add_to_model(fit(features, blocks, list(labels.values())), args.model)


if __name__ == "__main__":
    main()
