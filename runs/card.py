"""Last step of the recipe: put the measured numbers into README.md and the model card. No number is typed by hand.

    python runs/card.py --evaluation build/evaluation

Reads what the subcommands of runs/evaluate.py wrote; stops when one is missing.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
WEIGHTS = ROOT / "src" / "snellen" / "weights" / "snellen-1"
BEGIN, END = "<!-- numbers -->", "<!-- /numbers -->"


def three(value: list[float], digits: int = 3) -> str:
    """A value with its bootstrap 95 % interval."""
    return f"{value[0]:.{digits}f} [{value[1]:.{digits}f}, {value[2]:.{digits}f}]"


def share(value: Any) -> str:
    return f"{100 * (value[0] if isinstance(value, list) else value):.1f} %"


def rows(found: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """What was asked for, the aim, what was measured, and the command."""
    biq, local, native = found["biq"], found["local"], found["native"]
    two, plain, one = (biq["ways"][way] for way in ("two rounds", "plain head", "one round"))
    naming, cropped = local["naming"], local["grounding"]["severity 3-5"]["two rounds"]
    held, ranks = biq["behaviour"]["interval holds the MOS"], naming["severity, right kind named, SRCC"]
    ways, ladders = local["agreement"], native["ways"]
    speed, same = found["speed"], found["consistency"]["ways"]
    rungs = ladders["two rounds"]["ladders"]["all ladders"]["five"]
    ours, brisque = ladders["two rounds"], ladders["brisque"]
    seconds, memory = speed["full assessment, 12 MP JPEG, warm, s"], speed["peak memory of snellen assess, 24 MP, MB"]
    zoom = ", ".join(
        f"{name} {three(ways[name]['srcc'])}" for name in ("two rounds", "one round", "random crop", "central crop")
    )
    zoom_biq = ", ".join(
        f"{name} {three(biq['ways'][name]['srcc'])}"
        for name in ("two rounds", "one round", "random crop", "central crop")
    )
    return [
        ("BIQ2021 official test split, 2,000 pictures, raw SRCC", ">= 0.84", three(two["srcc"]), "biq"),
        ("the same, raw PLCC", ">= 0.86", three(two["plcc"]), "biq"),
        ("the same, SRCC on the leak-free pictures", "printed", three(biq["agreement"]["leak-free"]["srcc"]), "biq"),
        ("plain regression head, SRCC", "ours at most 0.01 below", three(plain["srcc"]), "biq"),
        ("one look without text, SRCC", "printed", three(biq["ways"]["score only"]["srcc"]), "biq"),
        ("first round of two, SRCC", "printed", three(one["srcc"]), "biq"),
        ("zoom on BIQ2021, SRCC", "printed", zoom_biq, "biq"),
        ("zoom on local faults, SRCC", "two rounds best", zoom, "local"),
        ("crop holds half of the fault, severity 3-5", ">= 80 %", share(cropped["half of the fault inside"]), "local"),
        ("right kind named, severity 3-5", ">= 70 %", share(naming["right kind named, severity 3-5"]), "local"),
        ("right kind named, severity 1-2", "printed", share(naming["right kind named, severity 1-2"]), "local"),
        ("severity rank correlation, right kind named", ">= 0.7", three(ranks), "local"),
        ("severity rank correlation, all", "printed", three(naming["severity, all levels, SRCC"]), "local"),
        ("clean pictures, false alarm", "<= 15 %", share(naming["clean, false alarm"]), "local"),
        ("native detail, rank correlation within ladders", ">= 0.9", three(rungs), "native"),
        ("the same, BRISQUE", "beaten", three(brisque["ladders"]["all ladders"]["five"]), "native"),
        ("native detail, pooled against human level means", ">= 0.75", three(ours["pooled"]), "native"),
        ("the same, BRISQUE", "beaten", three(brisque["pooled"]), "native"),
        ("replies that parse", ">= 99.5 %", share(biq["behaviour"]["replies that parse"]), "biq"),
        ("90 % interval holds the MOS, test split", "88-92 %", share(held), "biq"),
        ("largest score difference: batch, threads, processes", "<= 0.001",
         f"{max(way['largest difference'] for way in same.values()):.1e}", "consistency"),
        ("full two-round assessment, warm, 12 MP JPEG", "<= 1.5 s", f"{seconds:.2f} s", "speed"),
        ("score only / BRISQUE, 512 px", "<= 0.4", f"{speed['score only / brisque']:.2f}", "speed"),
        ("cold `snellen assess`, 12 MP JPEG", "<= 4 s", f"{speed['cold snellen assess, 12 MP, s']:.1f} s", "speed"),
        ("peak memory, 24 MP", "<= 1.2 GB", f"{memory / 1000:.2f} GB", "speed"),
        ("wheel", "<= 60 MB", f"{speed['wheel, MB']:.0f} MB", "speed --size"),
        ("installed with dependencies", "<= 350 MB",
         f"{speed['installed with dependencies, MB']:.0f} MB", "speed --size"),
    ]  # fmt: skip


def table(found: dict[str, Any]) -> str:
    """The numbers as a Markdown table."""
    lines = ["| what | aim | measured | `python runs/evaluate.py ...` |", "| --- | --- | --- | --- |"]
    lines += [f"| {what} | {aim} | {measured} | {command} |" for what, aim, measured, command in rows(found)]
    return "\n".join(lines)


def put(path: Path, text: str) -> None:
    """Replace what stands between the marks."""
    old = path.read_text(encoding="utf8")
    if BEGIN not in old or END not in old:
        raise SystemExit(f"{path} lacks the marks {BEGIN} and {END}")
    new = re.sub(
        f"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _: f"{BEGIN}\n{text}\n{END}", old, count=1, flags=re.S
    )
    path.write_text(new, encoding="utf8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evaluation", type=Path, required=True)
    args = parser.parse_args()
    found = {}
    for name in ("biq", "local", "native", "consistency", "speed"):
        path = args.evaluation / f"{name}.json"
        if not path.is_file():
            raise SystemExit(f"{path} is missing; run: python runs/evaluate.py {name} --out {args.evaluation}")
        found[name] = json.loads(path.read_text(encoding="utf8"))
    card = json.loads((WEIGHTS / "card.json").read_text(encoding="utf8"))
    checksums = "\n".join(f"| `{file}` | `{checksum}` |" for file, checksum in card["sha256"].items())
    files = f"Version {card['version']}.\n\n| file | sha256 |\n| --- | --- |\n{checksums}"
    put(ROOT / "README.md", table(found))
    put(WEIGHTS / "MODEL_CARD.md", f"{files}\n\n{table(found)}")


if __name__ == "__main__":
    main()
