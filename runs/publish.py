"""Last step of the recipe: put what was measured into README.md, the model card and docs/results/evaluation.md.

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
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aims import ROWS, Row
from result import table

from snellen.evaluate.predict import weights_of

ROOT = Path(__file__).parent.parent
WEIGHTS = "src/snellen/snellen1/weights"
PAGE = "docs/results/evaluation.md"
CARD = "docs/model-card.md"
BEGIN, END = "<!-- numbers -->", "<!-- /numbers -->"
MISSING = "not measured for this version"
SCRIPTS = ("calibrate", "agreement", "speed")
MOST_BYTES = 100_000, 1_500_000
"""Of one figure, and of all."""


@dataclass(frozen=True)
class Found:
    """Numbers of one suite of one run, or of one script; `command` made them."""

    name: str
    command: str
    numbers: Any


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
    """All numbers against their aims; a command that made several rows stands in the first."""
    lines = ["| what | aim | measured | command |", "| --- | --- | --- | --- |"]
    before = None
    for row in ROWS:
        measured, command = measure(row, found)
        lines.append(f"| {row.what} | {row.aim} | {measured} | {'same' if command == before else command} |")
        before = command
    return "\n".join(lines)


def short_table(found: Sequence[Found]) -> str:
    """The numbers that matter most, without their commands."""
    lines = ["| what | aim | measured |", "| --- | --- | --- |"]
    lines += [f"| {row.what} | {row.aim} | {measure(row, found)[0]} |" for row in ROWS if row.short]
    more = "Values in brackets are 95 % intervals. All numbers, with the command that made each and the figures: "
    return "\n".join(lines) + f"\n\n{more}[docs/results/evaluation.md](docs/results/evaluation.md)."


def measure(row: Row, found: Sequence[Found]) -> tuple[str, str]:
    """The measured value in words and the command that made it; of several runs the first that has it."""
    for one in found:
        if one.name == row.source:
            with contextlib.suppress(KeyError):
                return row.read(one.numbers), f"`{one.command}`"
    return MISSING, f"`runs/{row.source}.py`" if row.source in SCRIPTS else f"`--suite {row.source}`"


def put(path: Path, text: str) -> None:
    """Replace what stands between the marks."""
    old = path.read_text(encoding="utf-8")
    if BEGIN not in old or END not in old:
        raise SystemExit(f"{path} lacks the marks {BEGIN} and {END}")
    marked = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.S)
    path.write_text(marked.sub(lambda _: f"{BEGIN}\n{text}\n{END}", old, count=1), encoding="utf-8")


def run_section(folder: Path, run: dict[str, Any], page: Path) -> str:
    """Command, circumstances, tables and figures of one run; the figures are copied into the folder beside the page."""
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
    if run["peer_samples"]:
        bound = ", ".join(f"{most} of {name}" for name, most in run["peer_samples"].items())
        facts.append(f"Peers were given fewer pictures, evenly drawn, as they are slow on large ones: at most {bound}.")
    if taken:
        facts.append(f"Median seconds per picture: {taken}.")
    tables = re.sub("^##", "###", (folder / "tables.md").read_text(encoding="utf-8"), flags=re.M)
    images = []
    for drawn in sorted((folder / "figures").glob("*.svg")):
        svg = drawn.read_text(encoding="utf-8")
        title = re.search("<title>(.*?)</title>", svg)
        name = f"{folder.name}-{drawn.name}"
        if len(svg.encode()) > MOST_BYTES[0]:
            raise SystemExit(f"{drawn} has more than {MOST_BYTES[0]} bytes; draw fewer points")
        (page.with_suffix("") / name).write_text(svg, encoding="utf-8")
        images.append(f"**{title[1] if title else drawn.stem}**\n\n![{drawn.stem}]({page.stem}/{name})")
    command = f"```sh\n{shlex.join(run['command'])}\n```"
    return "\n\n".join([f"## {', '.join(run['suites'])}", command, " ".join(facts), tables.strip(), *images])


def publish(root: Path, runs: Sequence[Path], checks: Sequence[Path]) -> None:
    """Write README.md, the model card and docs/results/evaluation.md with its figures, all below `root`.

    runs, checks: folders as for the command. Everything is read before anything is written.
    """
    read = [(folder, *read_run(folder)) for folder in runs]
    written = [folder / f"{name}.json" for folder in checks for name in SCRIPTS]
    scripts = [read_check(path) for path in written if path.is_file()]
    found = [one for _, _, those in read for one in those] + [one for _, one in scripts]
    card = _json(root / WEIGHTS / "card.json")
    checksums = "\n".join(f"| `{file}` | `{checksum}` |" for file, checksum in card["sha256"].items())
    numbers, page = numbers_table(found), root / PAGE
    put(root / "README.md", short_table(found))
    put(root / CARD, f"Version {card['version']}.\n\n| file | sha256 |\n| --- | --- |\n{checksums}\n\n{numbers}")
    page.with_suffix("").mkdir(exist_ok=True)
    for old in page.with_suffix("").glob("*.svg"):
        old.unlink()
    head = f"# What {card['name']} {card['version']} reaches\n\nWritten by `runs/publish.py` from the runs named here; "
    head += "values in brackets are 95 % intervals.\n\n" + numbers
    sections = [run_section(folder, run, page) for folder, run, _ in read]
    sections += [
        f"## {title}\n\n```sh\n{one.command}\n```\n\n"
        + table(title, one.numbers).markdown().split("\n\n", 1)[1].strip()
        for title, one in scripts
    ]
    page.write_text("\n\n".join([head, *sections]) + "\n", encoding="utf-8")
    drawn = sum(path.stat().st_size for path in page.with_suffix("").iterdir())
    if drawn > MOST_BYTES[1]:
        raise SystemExit(f"the figures in {page.with_suffix('')} have {drawn} bytes, more than {MOST_BYTES[1]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, nargs="*", default=[])
    parser.add_argument("--checks", type=Path, nargs="*", default=[])
    args = parser.parse_args()
    publish(ROOT, args.runs, args.checks)


if __name__ == "__main__":
    main()
