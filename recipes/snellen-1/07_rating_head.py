r"""Stage 7: train the rating head, which gives the rating of a round from plain ratings and findings.

    python recipes/snellen-1/07_rating_head.py --perception build/photo-rating/perception.pt --cells build/cells \
        --ratings build/photo-rating --views build/views --out build/rating-head
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from snellen.train.snellen1.rating_head import RatingHeadOptions, run_rating_head


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--perception", type=Path, required=True, help="perception.pt of stage 6")
    parser.add_argument("--cells", type=Path, required=True, help="folder of stage 4")
    parser.add_argument("--ratings", type=Path, required=True, help="folder of stage 6")
    parser.add_argument("--views", type=Path, nargs="+", required=True, help="folders of stage 1")
    parser.add_argument("--steps", type=int, default=RatingHeadOptions.steps)
    parser.add_argument("--seed", type=int, default=RatingHeadOptions.seed)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    options = RatingHeadOptions(steps=args.steps, seed=args.seed)
    run_rating_head(options, args.perception, args.cells, args.ratings, args.views, args.out)


if __name__ == "__main__":
    main()
