"""Make the ridge baseline's predictions for the suite `real-faults`: src/snellen/data/labels/biq2021_ridge.json.

    python recipes/bench/fault_ridge.py --biq2021 DATA/BIQ2021/Images --live DATA/ChallengeDB_release/Images --out FILE

It learns from all labelled training photographs of both sets and predicts BIQ2021's validation part. About 15 minutes.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from snellen.data.fault_labels import labels_of
from snellen.image import load
from snellen.train.fault_ridge import FrozenFeatures, predict


def main() -> None:
    """Read the labelled photographs, compute their features, learn, predict, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--biq2021", type=Path, required=True, help="folder with BIQ2021's pictures")
    parser.add_argument("--live", type=Path, required=True, help="folder with LIVE in the Wild's pictures")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    args = parser.parse_args()
    live, dev = labels_of("live_challenge"), labels_of("biq2021", "dev")
    biq = labels_of("biq2021", "train") | dev
    compute = FrozenFeatures()
    blocks = {name: compute(load(args.biq2021 / name)) for name in biq}
    blocks |= {name: compute(load(args.live / name)) for name in live}
    train = {name: raters for name, raters in (biq | live).items() if name not in dev}
    args.out.write_text(json.dumps(predict(train, list(dev), blocks), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
