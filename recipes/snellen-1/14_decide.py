r"""Stage 14: compare the rule policy with trained decoders on held-out pictures. The decoder ships only if it beats it.

    python recipes/snellen-1/14_decide.py --model build/model --decoders build/sft build/rl \
        --manifest build/biq2021.jsonl --synthetic build/synthetic/synthetic.jsonl --out build/decide

Writes OUT/decide.json: what `snellen.evaluate.validation` measures of each, and the paired 95 % interval of the
difference in SRCC to the rule's.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from snellen.data.sample import read_manifest
from snellen.evaluate.validation import compare_with_rule
from snellen.train.snellen1.views import training_pictures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="model folder of stage 8")
    parser.add_argument("--decoders", type=Path, nargs="+", required=True, help="folders of stages 12 and 13")
    parser.add_argument("--manifest", type=Path, required=True, help="rated pictures")
    parser.add_argument("--synthetic", type=Path, required=True, help="manifest of stage 11")
    parser.add_argument("--features", type=Path, help="file that keeps features of views (OUT/features.db)")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    held_out = training_pictures(read_manifest(args.manifest))[1]
    synthetic = [sample for sample in read_manifest(args.synthetic) if sample.split == "val"]
    features = args.features or args.out / "features.db"
    found = compare_with_rule(args.model, args.decoders, held_out, synthetic, features)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "decide.json").write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
