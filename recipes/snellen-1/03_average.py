r"""Stage 3: average the weights of models that were trained one after the other (model soup).

    python recipes/snellen-1/03_average.py build/encoder-1/perception.pt build/encoder-2/perception.pt \
        --out build/encoder
"""

from __future__ import annotations

import argparse
from pathlib import Path

from snellen.train.snellen1.encoder import average_weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+", metavar="PERCEPTION", help="perception.pt of each")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    average_weights(args.files, args.out)


if __name__ == "__main__":
    main()
