r"""Stage 6: train the cross-fitted rating heads on the frozen ImageNet network.

    python recipes/snellen-1/06_imagenet_rater.py --perception build/fault-head/perception.pt --cells build/cells \
        --views build/views --out build/imagenet-rater

Writes perception.pt, now complete, and its out-of-fold ratings of all views.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from snellen.train.snellen1.imagenet_rater import ImagenetRaterOptions, run_imagenet_rater


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--perception", type=Path, required=True, help="perception.pt of stage 5")
    parser.add_argument("--cells", type=Path, required=True, help="folder of stage 4")
    parser.add_argument("--views", type=Path, nargs="+", required=True, help="folders of stage 1")
    parser.add_argument("--steps", type=int, default=ImagenetRaterOptions.steps)
    parser.add_argument("--seed", type=int, default=ImagenetRaterOptions.seed)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    options = ImagenetRaterOptions(steps=args.steps, seed=args.seed)
    run_imagenet_rater(options, args.perception, args.cells, args.views, args.out)


if __name__ == "__main__":
    main()
