r"""Stage 8: write the model folder: ONNX graphs and card.json, not yet calibrated.

    python recipes/snellen-1/08_export.py --perception build/photo-rating/perception.pt \
        --rating-head build/rating-head/rating_head.pt --photo-rating build/photo-rating/photo_rating.npz \
        --version 0.16.0 --out build/model
"""

from __future__ import annotations

import argparse
from pathlib import Path

from snellen.train.snellen1.release import write_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--perception", type=Path, required=True, help="perception.pt of stage 6")
    parser.add_argument("--rating-head", type=Path, required=True, help="rating_head.pt of stage 7")
    parser.add_argument("--photo-rating", type=Path, required=True, help="photo_rating.npz of stage 6")
    parser.add_argument("--version", required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    write_model(args.perception, args.rating_head, args.photo_rating, args.version, args.out)


if __name__ == "__main__":
    main()
