"""Step 7 of the recipe: what the model reaches. Each subcommand prints a table and writes it to OUT as .md and .json.

    python runs/evaluate.py calibrate --model build/snellen-1 --manifest build/biq2021.jsonl
    python runs/evaluate.py biq --manifest build/biq2021.jsonl
    python runs/evaluate.py local --photographs build/photographs.jsonl
    python runs/evaluate.py native --photographs build/photographs.jsonl
    python runs/evaluate.py consistency --manifest build/biq2021.jsonl
    python runs/evaluate.py agreement --manifest build/biq2021.jsonl --vision build/vision/vision.pt --sft build/sft
    python runs/evaluate.py speed --manifest build/biq2021.jsonl --photographs build/photographs.jsonl --size

Every picture that is done stands in OUT/NAME.jsonl, so a killed run goes on where it was. `--every 10` is a quick look
at a tenth of the pictures; what it did need not be done again. Comparing with BRISQUE needs `pip install brisque
opencv-python-headless`; `--no-brisque` leaves it out.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from evaluate_biq import MODES as BIQ_MODES
from evaluate_biq import biq, calibrate
from evaluate_local import MODES as LOCAL_MODES
from evaluate_local import local
from evaluate_model import agreement, consistency
from evaluate_native import MODES as NATIVE_MODES
from evaluate_native import native
from evaluate_pictures import Options
from evaluate_speed import speed

from snellen.data.sample import Sample, read_manifest
from snellen.data.sources import Photograph

MODES = {"biq": BIQ_MODES, "local": LOCAL_MODES, "native": NATIVE_MODES}
PICTURES = {"consistency": 24, "agreement": 200, "speed": 30}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = top.add_subparsers(dest="command", required=True)
    for name in ("biq", "local", "native", "consistency", "agreement", "speed", "calibrate"):
        sub = commands.add_parser(name)
        sub.add_argument("--model", default="snellen-1", help="a name, or a folder with a card.json")
        sub.add_argument("--out", type=Path, default=Path("build/evaluation"))
        sub.add_argument("--threads", type=int, help="per process; by default the runtime chooses")
        if name in ("biq", "consistency", "agreement", "speed", "calibrate"):
            sub.add_argument("--manifest", type=Path, required=True, help="BIQ2021, see `snellen data`")
        if name in ("local", "native", "speed"):
            sub.add_argument("--photographs", type=Path, required=True, help="JSON lines: path, width, height, split")
        if name in ("biq", "local", "native", "calibrate"):
            sub.add_argument("--workers", type=int, default=1, help="processes; with several, --threads 1 is best")
            sub.add_argument("--chunk", type=int, default=4 if name == "local" else 8, help="pictures in a batch")
            sub.add_argument("--every", type=int, default=1, help="only each so many-th picture (native: photograph)")
        if name in MODES:
            sub.add_argument("--modes", nargs="*", choices=MODES[name], default=MODES[name])
        if name in ("native", "speed"):
            sub.add_argument("--no-brisque", dest="brisque", action="store_false")
        if name == "native":
            sub.add_argument("--megapixels", type=float, default=4.0, help="largest part used of a photograph")
        if name in PICTURES:
            sub.add_argument("--pictures", type=int, default=PICTURES[name], help="how many of the test split")
        if name == "agreement":
            sub.add_argument("--vision", type=Path, required=True, help="vision.pt")
            sub.add_argument("--sft", type=Path, required=True, help="folder of decoder.pt")
        if name == "speed":
            sub.add_argument("--size", action="store_true", help="also build the wheel and install it")
    return top


def main() -> None:
    args = parser().parse_args()
    more = {name: getattr(args, name) for name in ("workers", "chunk", "every") if hasattr(args, name)}
    options = Options(args.model, args.out, threads=args.threads, **more)
    args.out.mkdir(parents=True, exist_ok=True)
    if args.command == "biq":
        biq(args.manifest, options, args.modes)
    elif args.command == "local":
        local(test_photographs(args.photographs), options, args.modes)
    elif args.command == "native":
        photographs = test_photographs(args.photographs)
        native(photographs, options, args.modes, brisque=args.brisque, max_megapixels=args.megapixels)
    elif args.command == "calibrate":
        calibrate(held_out(args.manifest), model_folder(args.model), options)
    elif args.command == "consistency":
        consistency(test_paths(args.manifest, args.pictures), options)
    elif args.command == "agreement":
        paths = test_paths(args.manifest, args.pictures)
        agreement(paths, model_folder(args.model), args.vision, args.sft, options)
    else:
        large = max(test_photographs(args.photographs), key=lambda p: p.width * p.height)
        root = Path(__file__).parent.parent
        small = test_paths(args.manifest, args.pictures)
        speed(large.path, small, options, brisque=args.brisque, size=args.size, root=root)


def test_photographs(path: Path) -> list[Photograph]:
    """Photographs that no training saw."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf8").splitlines()]
    return [Photograph(row["path"], row["width"], row["height"]) for row in rows if row["split"] == "test"]


def test_paths(manifest: Path, count: int) -> list[str]:
    """`count` test pictures, spread over the split."""
    paths = [sample.path for sample in read_manifest(manifest) if sample.split == "test"]
    return paths[:: max(1, len(paths) // count)][:count]


def held_out(manifest: Path) -> list[Sample]:
    """The real training pictures that no stage trained on."""
    from snellen.train.looks import training_pictures

    return training_pictures(read_manifest(manifest))[1]


def model_folder(model: str) -> Path:
    """Where the files of a model of our make lie."""
    from snellen.backends.bundled import WEIGHTS

    return WEIGHTS if model == "snellen-1" else Path(model)


if __name__ == "__main__":
    main()
