"""Last step of the recipe: put what was measured into README.md, the model card and docs/evaluation.md.

    python runs/publish.py --runs build/biq build/local build/robust --checks build/calibrate build/agreement

--runs: folders that `snellen evaluate` wrote. --checks: folders of runs/calibrate.py, agreement.py and speed.py. No
number is typed by hand; what was not measured says so; what was measured on other weights is refused.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from result import table

from snellen.evaluate.predict import weights_of
from snellen.evaluate.tables import percent, spread
from snellen.evaluate.ways import CENTRAL, ONE, ONLY, PLAIN, RANDOM, TWO

ROOT = Path(__file__).parent.parent
WEIGHTS = ROOT / "src" / "snellen" / "weights" / "snellen-1"
PAGE = ROOT / "docs" / "evaluation.md"
BEGIN, END = "<!-- numbers -->", "<!-- /numbers -->"
MISSING = "not measured for this version"
SCRIPTS = ("calibrate", "agreement", "speed")
BIQ, BRISQUE = "biq2021", "brisque"


@dataclass(frozen=True)
class Found:
    """Numbers of one suite of one run, or of one script; `command` made them."""

    name: str
    command: str
    numbers: Any


Read = Callable[[Any], str]


def value(*place: str) -> Read:
    """A value with its interval, at a place in the numbers."""
    return lambda numbers: spread(_at(numbers, place))


def share(*place: str) -> Read:
    """A share in percent."""
    return lambda numbers: percent(_at(numbers, place))


def plain(place: str, form: str = "{:.2f}") -> Read:
    """One number."""
    return lambda numbers: form.format(_at(numbers, (place,)))


def _at(numbers: Any, place: Sequence[str]) -> Any:
    """KeyError where it is not there or not defined."""
    for key in place:
        numbers = numbers[key]
    if numbers is None or (isinstance(numbers, list) and numbers[0] is None):
        raise KeyError(place)
    return numbers


def parsed(numbers: Any) -> str:
    """Share of the replies that could be read."""
    replies = numbers[BIQ]["replies"][TWO]
    return percent(1 - replies["unparsable"] / replies["replies"])


def furthest(numbers: Any) -> str:
    """The largest difference between the ways to run the same, and how many pictures only one of them scored."""
    ours = {k: v for k, v in numbers.items() if not k.startswith("torch")}
    alone = sum(v for k, v in ours.items() if k.endswith("only"))
    largest = max(v for k, v in ours.items() if k.endswith("difference"))
    return f"{largest:.1e}" + (f", {alone} scored once only" if alone else "")


def ways(metric: str, way: str) -> Read:
    """Of the suite scores on BIQ2021."""
    return value(BIQ, "ways", way, metric)


ROWS: tuple[tuple[str, str, str, Read], ...] = (
    ("BIQ2021 official test split, raw SRCC", ">= 0.84", "scores", ways("srcc", TWO)),
    ("the same, raw PLCC", ">= 0.86", "scores", ways("plcc", TWO)),
    ("the same, how many pictures", "2,000", "scores", lambda d: str(d[BIQ]["ways"][TWO]["n"])),
    ("SRCC on the leak-free ones", "printed", "scores", value(BIQ, "parts", "no scene of the training split", "srcc")),
    ("plain regression head, SRCC", "at most 0.01 above", "scores", ways("srcc", PLAIN)),
    ("one look without text, SRCC", "printed", "scores", ways("srcc", ONLY)),
    ("first round of two, SRCC", "printed", "scores", ways("srcc", ONE)),
    ("replies that parse", ">= 99.5 %", "scores", parsed),
    ("90 % interval holds the MOS", "88-92 %", "calibration", share(BIQ, TWO, "interval", "coverage")),
    ("local faults: SRCC, two rounds", "the best", "grounding", value("agreement", TWO, "srcc")),
    ("one round", "", "grounding", value("agreement", ONE, "srcc")),
    ("random crop", "", "grounding", value("agreement", RANDOM, "srcc")),
    ("central crop", "", "grounding", value("agreement", CENTRAL, "srcc")),
    (
        "crop holds half of the fault, severity 3-5",
        ">= 80 %",
        "grounding",
        share("crops", "severity 3-5", "placed", "as named", "half inside"),
    ),
    ("right kind named, severity 3-5", ">= 70 %", "grounding", share("right kind named", "severity 3-5")),
    ("right kind named, severity 1-2", "printed", "grounding", share("right kind named", "severity 1-2")),
    ("severity rank correlation, kind right", ">= 0.7", "grounding", value("severity", "kind right")),
    ("severity rank correlation, all", "printed", "grounding", value("severity", "all")),
    ("clean pictures, false alarm", "<= 15 %", "grounding", share("clean pictures", "false alarm")),
    (
        "native detail: rank correlation within ladders",
        ">= 0.9",
        "robustness",
        value("ladders", TWO, "native", "all ladders"),
    ),
    ("the same, BRISQUE", "beaten", "robustness", value("ladders", BRISQUE, "native", "all ladders")),
    (
        "native detail, pooled against human level means",
        ">= 0.75",
        "robustness",
        value("ladders", TWO, "native", "pooled"),
    ),
    ("the same, BRISQUE", "beaten", "robustness", value("ladders", BRISQUE, "native", "pooled")),
    ("largest difference: batches, threads, processes", "<= 0.001", "agreement", furthest),
    ("torch twin, scores within 0.01", "100 %", "agreement", share("torch, two rounds: share within 0.01")),
    ("torch twin, same greedy text", ">= 95 %", "agreement", share("torch, two rounds: share with the same text")),
    ("full assessment, warm, 12 MP JPEG", "<= 1.5 s", "speed", plain("full assessment, 12 MP JPEG, warm, s")),
    ("score only / BRISQUE, 512 px", "<= 0.4", "speed", plain("score only / brisque")),
    ("cold `snellen assess`, 12 MP JPEG", "<= 4 s", "speed", plain("cold snellen assess, 12 MP, s")),
    ("peak memory, 24 MP, in MB", "<= 1,200", "speed", plain("peak memory of snellen assess, 24 MP, MB", "{:.0f}")),
    ("wheel, in MB", "<= 60", "speed", plain("wheel, MB", "{:.0f}")),
    ("installed with dependencies, in MB", "<= 350", "speed", plain("installed with dependencies, MB", "{:.0f}")),
)
"""What is measured, the aim, the suite or script that measures it, and where it stands in its numbers."""


def read_run(folder: Path) -> tuple[dict[str, Any], list[Found]]:
    """run.json of an evaluation, and the numbers of its suites."""
    run = _json(folder / "run.json")
    _check_weights(folder, run)
    summary = _json(folder / "summary.json")
    return run, [Found(suite, shlex.join(run["command"]), numbers) for suite, numbers in summary.items()]


def read_check(path: Path) -> tuple[str, Found]:
    """Title and numbers of what a script wrote."""
    data = _json(path)
    _check_weights(path, data)
    return data["title"], Found(path.stem, shlex.join(data["command"]), data["numbers"])


def _check_weights(path: Path, data: dict[str, Any]) -> None:
    if data["model"]["weights_sha256"] != weights_of("snellen-1"):
        raise SystemExit(f"{path} was measured on other weights than those in {WEIGHTS}; run it again")


def _json(path: Path) -> Any:
    if not path.is_file():
        raise SystemExit(f"{path} is not there; name the --out of a finished run")
    return json.loads(path.read_text(encoding="utf-8"))


def numbers_table(found: Sequence[Found]) -> str:
    """The numbers against their aims; a command that made several rows stands in the first."""
    lines = ["| what | aim | measured | command |", "| --- | --- | --- | --- |"]
    before = None
    for what, aim, name, read in ROWS:
        measured, command = MISSING, f"`runs/{name}.py`" if name in SCRIPTS else f"`--suite {name}`"
        for one in found:
            with contextlib.suppress(KeyError):
                if one.name == name and measured == MISSING:
                    measured, command = read(one.numbers), f"`{one.command}`"
        lines.append(f"| {what} | {aim} | {measured} | {'same' if command == before else command} |")
        before = command
    return "\n".join(lines)


def put(path: Path, text: str) -> None:
    """Replace what stands between the marks."""
    old = path.read_text(encoding="utf-8")
    if BEGIN not in old or END not in old:
        raise SystemExit(f"{path} lacks the marks {BEGIN} and {END}")
    marked = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.S)
    path.write_text(marked.sub(lambda _: f"{BEGIN}\n{text}\n{END}", old, count=1), encoding="utf-8")


def run_section(folder: Path, run: dict[str, Any]) -> str:
    """Command, circumstances, tables and figures of one run; the figures are copied beside the page."""
    sets = ", ".join(f"{each['name']} ({each['pictures']} pictures)" for each in run["data"])
    taken = "; ".join(
        f"{suite}: " + ", ".join(f"{way} {s:.2f}" for way, s in by_way.items())
        for suite, by_way in run["seconds per picture"].items()
    )
    facts = [
        f"Data: {sets}.",
        f"Python {run['python']}, {run['system']}, one thread in each of {run['workers']} processes.",
    ]
    if run["max_samples"] is not None:
        facts.append(f"At most {run['max_samples']} pictures of each set.")
    if run["peers"]:
        facts.append(f"Peers: {', '.join(run['peers'].values())}.")
    if taken:
        facts.append(f"Median seconds per picture: {taken}.")
    tables = re.sub("^##", "###", (folder / "tables.md").read_text(encoding="utf-8"), flags=re.M)
    images = []
    for drawn in sorted((folder / "figures").glob("*.svg")):
        svg = drawn.read_text(encoding="utf-8")
        title = re.search("<title>(.*?)</title>", svg)
        name = f"{folder.name}-{drawn.name}"
        (PAGE.with_suffix("") / name).write_text(svg, encoding="utf-8")
        images.append(f"**{title[1] if title else drawn.stem}**\n\n![{drawn.stem}]({PAGE.stem}/{name})")
    command = f"```sh\n{shlex.join(run['command'])}\n```"
    return "\n\n".join([f"## {', '.join(run['suites'])}", command, " ".join(facts), tables.strip(), *images])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, nargs="*", default=[])
    parser.add_argument("--checks", type=Path, nargs="*", default=[])
    args = parser.parse_args()
    runs = [(folder, *read_run(folder)) for folder in args.runs]
    written = [folder / f"{name}.json" for folder in args.checks for name in SCRIPTS]
    checks = [read_check(path) for path in written if path.is_file()]
    found = [one for _, _, those in runs for one in those] + [one for _, one in checks]
    card = _json(WEIGHTS / "card.json")
    numbers = numbers_table(found)
    checksums = "\n".join(f"| `{file}` | `{checksum}` |" for file, checksum in card["sha256"].items())
    put(ROOT / "README.md", numbers)
    put(
        WEIGHTS / "MODEL_CARD.md",
        f"Version {card['version']}.\n\n| file | sha256 |\n| --- | --- |\n{checksums}\n\n{numbers}",
    )
    PAGE.with_suffix("").mkdir(exist_ok=True)
    for old in PAGE.with_suffix("").glob("*.svg"):
        old.unlink()
    head = f"# What {card['name']} {card['version']} reaches\n\nWritten by `runs/publish.py` from the runs named here; "
    head += "values in brackets are 95 % intervals.\n\n" + numbers
    sections = [run_section(folder, run) for folder, run, _ in runs]
    sections += [
        f"## {title}\n\n```sh\n{one.command}\n```\n\n"
        + table(title, one.numbers).markdown().split("\n\n", 1)[1].strip()
        for title, one in checks
    ]
    PAGE.write_text("\n\n".join([head, *sections]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
