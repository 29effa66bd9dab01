"""Step 0 of the recipe, second part: the photographs that no training sees, as a manifest for `snellen evaluate`.

python runs/pristine.py --photographs build/photographs.jsonl --out build/pristine.jsonl
python runs/pristine.py --photographs build/photographs.jsonl --split dev --out build/dev.jsonl
snellen evaluate --data pristine=build/pristine.jsonl --suite grounding ...
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from snellen.data.sample import Sample, write_manifest
from snellen.data.testsets import LOCAL_MEGAPIXELS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", type=Path, required=True, help="what runs/sources.py wrote")
    parser.add_argument("--split", choices=("test", "dev"), default="test", help="dev: those to choose by")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    rows = [json.loads(line) for line in args.photographs.read_text(encoding="utf-8").splitlines()]
    chosen = [row for row in rows if row["split"] == args.split]
    if not chosen:
        raise SystemExit(f"{args.photographs}: no {args.split} photograph; run runs/sources.py with more of them")
    write_manifest([Sample(row["path"], split="test") for row in chosen], args.out)
    large = sum(row["width"] * row["height"] >= 1e6 * LOCAL_MEGAPIXELS for row in chosen)
    print(f"{args.out}: {len(chosen)} photographs, {large} of them large enough for local faults")


if __name__ == "__main__":
    main()
