r"""Stage 1: make synthetic pictures with known faults and store the views that the model is shown of them.

    python recipes/snellen-1/01_views.py --photographs build/photographs.jsonl --manifest build/biq2021.jsonl \
        --out build/views

Two views of each picture are stored: the whole, and a crop around the fault; with --perception the crop that its fault
head asks for, as in use. A killed run is continued.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from snellen.train.snellen1.synthetic import ViewsOptions, make_views


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", type=Path, required=True, help="photographs.jsonl of stage 0")
    parser.add_argument("--manifest", type=Path, required=True, help="rated pictures; the best are clean sources too")
    parser.add_argument("--large", type=int, default=ViewsOptions.large, help="pictures from sources of >= 1 megapixel")
    parser.add_argument("--small", type=int, default=ViewsOptions.small, help="pictures from smaller sources")
    parser.add_argument("--perception", type=Path, help="perception.pt whose fault head chooses the crops")
    parser.add_argument("--seed", type=int, default=ViewsOptions.seed)
    parser.add_argument("--workers", type=int, default=ViewsOptions.workers, help="processes")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    options = ViewsOptions(args.large, args.small, perception=args.perception, seed=args.seed, workers=args.workers)
    make_views(options, args.photographs, args.manifest, args.out)


if __name__ == "__main__":
    main()
