r"""Stage 9: fit the line of the ratings and the 90 % intervals on the held-out rated pictures, into card.json.

    python recipes/snellen-1/09_calibrate.py --manifest build/biq2021.jsonl --live DATA/ChallengeDB_release \
        --photo-rating build/photo-rating --model build/model --out build/calibrate

These are the 800 rated pictures that no stage trained on; no test picture is among them. The interval shall also hold
on LIVE in the Wild: on the half that the second expert of stage 6 learned from, scored as if each picture had been
left out. A killed run is continued. Writes OUT/calibrate.json.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from snellen.data.sample import read_manifest
from snellen.data.sets import open_set
from snellen.evaluate import Options, calibrate
from snellen.evaluate.measurements import card_version, write_measurements
from snellen.snellen1.files import read_card
from snellen.train.snellen1.photo_rating import LEFT_OUT, add_rating_line
from snellen.train.snellen1.views import training_pictures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--manifest", type=Path, required=True, help="rated pictures")
    parser.add_argument("--live", type=Path, required=True, help="LIVE in the Wild")
    parser.add_argument("--photo-rating", type=Path, required=True, help="folder of stage 6, for left_out.json")
    parser.add_argument("--model", type=Path, required=True, help="model folder")
    parser.add_argument("--workers", type=int, default=1, help="processes, one thread each")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    held_out = training_pictures(read_manifest(args.manifest))[1]
    add_rating_line(args.model, held_out)
    slope = read_card(args.model)["rating_line"][1]
    shifts = json.loads((args.photo_rating / LEFT_OUT).read_text(encoding="utf-8"))
    second = [sample for sample in open_set("LIVE-Challenge", args.live) if Path(sample.path).name in shifts]
    fitted = calibrate(
        held_out,
        args.model,
        Options(str(args.model)),
        args.out,
        workers=args.workers,
        second=second,
        left_out={name: slope * shift for name, shift in shifts.items()},
    )
    numbers = {f"{mode}: {name}": value for mode, found in fitted.items() for name, value in found.items()}
    title = "Calibration on the held-out training pictures"
    write_measurements("calibrate", args.out, title, numbers, str(args.model), card_version(args.model))


if __name__ == "__main__":
    main()
