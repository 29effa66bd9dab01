"""Last step of the recipe: put the measured numbers into README.md and the model card. No number is typed by hand.

    python runs/card.py --evaluation build/evaluation

Reads what the subcommands of runs/evaluate.py wrote.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
WEIGHTS = ROOT / "src" / "snellen" / "weights" / "snellen-1"
TWO = "two rounds"
BEGIN, END = "<!-- numbers -->", "<!-- /numbers -->"


def three(value: list[float], digits: int = 3) -> str:
    """A value with its bootstrap 95 % interval."""
    return f"{value[0]:.{digits}f} [{value[1]:.{digits}f}, {value[2]:.{digits}f}]"


def share(value: Any) -> str:
    return f"{100 * (value[0] if isinstance(value, list) else value):.1f} %"


Row = tuple[str, str, str, Callable[[dict[str, Any]], str]]
ROWS: tuple[Row, ...] = (
    ("BIQ2021 official test split, raw SRCC", ">= 0.84", "biq", lambda d: three(d["ways"][TWO]["srcc"])),
    ("the same, raw PLCC", ">= 0.86", "biq", lambda d: three(d["ways"][TWO]["plcc"])),
    ("the same, how many pictures", "2,000", "biq", lambda d: str(d["pictures"])),
    ("SRCC on the leak-free ones", "printed", "biq", lambda d: three(d["agreement"]["leak-free"]["srcc"])),
    ("plain regression head, SRCC", "at most 0.01 above", "biq", lambda d: three(d["ways"]["plain head"]["srcc"])),
    ("one look without text, SRCC", "printed", "biq", lambda d: three(d["ways"]["score only"]["srcc"])),
    ("first round of two, SRCC", "printed", "biq", lambda d: three(d["ways"]["one round"]["srcc"])),
    ("replies that parse", ">= 99.5 %", "biq", lambda d: share(d["behaviour"]["replies that parse"])),
    ("90 % interval holds the MOS", "88-92 %", "biq", lambda d: share(d["behaviour"]["interval holds the MOS"])),
    ("local faults: SRCC, two rounds", "the best", "local", lambda d: three(d["agreement"][TWO]["srcc"])),
    ("one round", "", "local", lambda d: three(d["agreement"]["one round"]["srcc"])),
    ("random crop", "", "local", lambda d: three(d["agreement"]["random crop"]["srcc"])),
    ("central crop", "", "local", lambda d: three(d["agreement"]["central crop"]["srcc"])),
    ("crop holds half of the fault, severity 3-5", ">= 80 %", "local", lambda d: share(crop(d))),
    ("right kind named, severity 3-5", ">= 70 %", "local", lambda d: share(named(d, "right kind named, severity 3-5"))),
    ("right kind named, severity 1-2", "printed", "local", lambda d: share(named(d, "right kind named, severity 1-2"))),
    (
        "severity rank correlation, kind right",
        ">= 0.7",
        "local",
        lambda d: three(named(d, "severity, right kind named, SRCC")),
    ),
    ("severity rank correlation, all", "printed", "local", lambda d: three(named(d, "severity, all levels, SRCC"))),
    ("clean pictures, false alarm", "<= 15 %", "local", lambda d: share(named(d, "clean, false alarm"))),
    ("native detail: rank correlation within ladders", ">= 0.9", "native", lambda d: three(ladder(d, TWO))),
    ("the same, BRISQUE", "beaten", "native", lambda d: three(ladder(d, "brisque"))),
    ("native detail, pooled against human level means", ">= 0.75", "native", lambda d: three(d["ways"][TWO]["pooled"])),
    ("the same, BRISQUE", "beaten", "native", lambda d: three(d["ways"]["brisque"]["pooled"])),
    ("largest difference: batches, threads, processes", "<= 0.001", "consistency", lambda d: f"{apart(d):.1e}"),
    (
        "full assessment, warm, 12 MP JPEG",
        "<= 1.5 s",
        "speed",
        lambda d: f"{d['full assessment, 12 MP JPEG, warm, s']:.2f} s",
    ),
    ("score only / BRISQUE, 512 px", "<= 0.4", "speed", lambda d: f"{d['score only / brisque']:.2f}"),
    ("cold `snellen assess`, 12 MP JPEG", "<= 4 s", "speed", lambda d: f"{d['cold snellen assess, 12 MP, s']:.1f} s"),
    ("peak memory, 24 MP", "<= 1,200 MB", "speed", lambda d: f"{d['peak memory of snellen assess, 24 MP, MB']:.0f} MB"),
    ("wheel", "<= 60 MB", "speed", lambda d: f"{d['wheel, MB']:.0f} MB"),
    ("installed with dependencies", "<= 350 MB", "speed", lambda d: f"{d['installed with dependencies, MB']:.0f} MB"),
)
"""What is measured, the aim, the subcommand of runs/evaluate.py that measures it, and where it stands in its JSON."""


def crop(data: dict[str, Any]) -> Any:
    return data["grounding"]["severity 3-5"][TWO]["half of the fault inside"]


def named(data: dict[str, Any], what: str) -> Any:
    return data["naming"][what]


def ladder(data: dict[str, Any], way: str) -> Any:
    return data["ways"][way]["ladders"]["all ladders"]["five"]


def apart(data: dict[str, Any]) -> float:
    return max(float(way["largest difference"]) for way in data["ways"].values())


def table(found: dict[str, Any]) -> str:
    """The numbers as a Markdown table; what was not measured for this version says so."""
    lines = ["| what | aim | measured | `python runs/evaluate.py ...` |", "| --- | --- | --- | --- |"]
    for what, aim, command, read in ROWS:
        measured = "not measured for this version"
        if command in found:
            with contextlib.suppress(KeyError):  # the subcommand ran without this part
                measured = read(found[command])
        lines.append(f"| {what} | {aim} | {measured} | {command} |")
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
    found = {path.stem: json.loads(path.read_text(encoding="utf8")) for path in args.evaluation.glob("*.json")}
    if not found:
        raise SystemExit(f"{args.evaluation} holds no results; run runs/evaluate.py first")
    card = json.loads((WEIGHTS / "card.json").read_text(encoding="utf8"))
    checksums = "\n".join(f"| `{file}` | `{checksum}` |" for file, checksum in card["sha256"].items())
    files = f"Version {card['version']}.\n\n| file | sha256 |\n| --- | --- |\n{checksums}"
    put(ROOT / "README.md", table(found))
    put(WEIGHTS / "MODEL_CARD.md", f"{files}\n\n{table(found)}")


if __name__ == "__main__":
    main()
