r"""Stage 8: write the model folder: ONNX graphs and card.json, not yet calibrated.

    python recipes/snellen-1/08_export.py --perception build/imagenet-rater/perception.pt \
        --rating-head build/rating-head/rating_head.pt --version 0.15.0 --out build/model
"""

from __future__ import annotations

import argparse
from pathlib import Path

from snellen.train.snellen1.release import write_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--perception", type=Path, required=True, help="perception.pt of stage 6")
    parser.add_argument("--rating-head", type=Path, required=True, help="rating_head.pt of stage 7")
    parser.add_argument("--version", required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    write_model(args.perception, args.rating_head, args.version, args.out)


if __name__ == "__main__":
    main()
