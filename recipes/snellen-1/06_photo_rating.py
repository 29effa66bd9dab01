r"""Stage 6: fit the photo rating head: a kernel expert on BIQ2021 and degraded photographs, a linear one on LIVE.

    python recipes/snellen-1/06_photo_rating.py --perception build/fault-head/perception.pt --cells build/cells \
        --live DATA/ChallengeDB_release --photographs build/photographs.jsonl --views build/views \
        --out build/photo-rating

Of LIVE in the Wild only the half whose faults are labelled in the package is read; the other half tests. Writes
photo_rating.npz, perception.pt, now complete, and ratings of all views for stage 7.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from snellen.data.fault_labels import labels_of
from snellen.data.sets import open_set
from snellen.train.snellen1.photo_rating import PhotoRatingOptions, run_photo_rating
from snellen.train.snellen1.sources import read_photographs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--perception", type=Path, required=True, help="perception.pt of stage 5")
    parser.add_argument("--cells", type=Path, required=True, help="folder of stage 4")
    parser.add_argument("--live", type=Path, required=True, help="LIVE in the Wild")
    parser.add_argument("--photographs", type=Path, required=True, help="photographs.jsonl of stage 0")
    parser.add_argument("--ladders", type=int, default=130, help="training photographs to degrade (130)")
    parser.add_argument("--views", type=Path, nargs="+", required=True, help="folders of stage 1")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    labelled = labels_of("live_challenge")
    second = [sample for sample in open_set("LIVE-Challenge", args.live) if Path(sample.path).name in labelled]
    clean = [one.photograph.path for one in read_photographs(args.photographs) if one.split == "train"]
    chosen = clean[:: max(1, len(clean) // args.ladders)][: args.ladders]
    run_photo_rating(PhotoRatingOptions(), args.perception, args.cells, second, chosen, args.views, args.out)


if __name__ == "__main__":
    main()
