r"""Stage 5: train the fault head longer, with the encoder frozen.

    python recipes/snellen-1/05_fault_head.py --perception build/encoder/perception.pt \
        --views build/views build/views-detected --cells build/cells --out build/fault-head
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from snellen.train.snellen1.fault_head import FaultHeadOptions, run_fault_head


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--perception", type=Path, required=True, help="perception.pt of stage 3")
    parser.add_argument("--views", type=Path, nargs="+", required=True, help="folders of stage 1")
    parser.add_argument("--cells", type=Path, required=True, help="folder of stage 4")
    parser.add_argument("--steps", type=int, default=FaultHeadOptions.steps)
    parser.add_argument("--rate", type=float, default=FaultHeadOptions.rate, help="peak learning rate")
    parser.add_argument("--seed", type=int, default=FaultHeadOptions.seed)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    options = FaultHeadOptions(steps=args.steps, rate=args.rate, seed=args.seed)
    run_fault_head(options, args.perception, args.views, args.cells, args.out)


if __name__ == "__main__":
    main()
