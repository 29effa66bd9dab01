r"""Put measured numbers into README.md, docs/model-card.md and docs/results/evaluation.md.

    python recipes/bench/publish.py --runs build/biq build/local build/robust \
        --checks build/calibrate build/agreement build/speed

--runs: folders of `snellen evaluate`. --checks: folders of 09_calibrate.py, agreement.py and speed.py. No number is
typed by hand, a missing one is marked, and numbers that were measured on other weights are refused.
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

from headlines import HEADLINES, Headline

from snellen.evaluate.measurements import measurements_table
from snellen.evaluate.predict import weights_of

ROOT = Path(__file__).parents[2]
WEIGHTS = "src/snellen/snellen1/weights"
PAGE, CARD, README = "docs/results/evaluation.md", "docs/model-card.md", "README.md"
BEGIN, END = "<!-- numbers -->", "<!-- /numbers -->"
MISSING = "not measured"
SCRIPTS = ("calibrate", "agreement", "speed")
MOST_BYTES_OF_FIGURE, MOST_BYTES_OF_FIGURES = 100_000, 1_500_000


@dataclass(frozen=True)
class Measured:
    """Numbers of one suite of a run, or of a script, and the command that made them."""

    source: str
    command: str
    numbers: Any
    title: str = ""


@dataclass(frozen=True)
class Run:
    """A finished `snellen evaluate`: its folder, run.json, and the numbers of each suite."""

    folder: Path
    facts: dict[str, Any]
    suites: list[Measured]


def read_run(folder: Path) -> Run:
    """Read a folder of `snellen evaluate`."""
    facts = _json(folder / "run.json")
    _check_weights(folder, facts)
    command = shlex.join(facts["command"])
    return Run(folder, facts, [Measured(suite, command, one) for suite, one in _json(folder / "summary.json").items()])


def read_check(file: Path) -> Measured:
    """Read what `write_measurements` wrote."""
    data = _json(file)
    _check_weights(file, data)
    return Measured(file.stem, shlex.join(data["command"]), data["numbers"], data["title"])


def _check_weights(path: Path, facts: dict[str, Any]) -> None:
    if facts["model"]["weights_sha256"] != weights_of("snellen-1"):
        raise SystemExit(f"{path} was measured on other weights than those in {WEIGHTS}; run it again")


def _json(path: Path) -> Any:
    if not path.is_file():
        raise SystemExit(f"{path} is not there; name the --out of a finished run")
    return json.loads(path.read_text(encoding="utf-8"))


def headline_table(measured: Sequence[Measured], *, commands: bool) -> str:
    """Return the headline rows as Markdown, with the command that made each number or without."""
    lines = ["| measurement | snellen-1 | baseline, same pictures |" + (" command |" if commands else "")]
    lines.append("| --- | --- | --- |" + (" --- |" if commands else ""))
    for row in HEADLINES:
        value, command = _cell(row.read, row, measured)
        baseline = _cell(row.baseline, row, measured)[0] if row.baseline and value != MISSING else ""
        baseline = "" if baseline == MISSING else baseline
        lines.append(f"| {row.what} | {value} | {baseline} |" + (f" {command} |" if commands else ""))
    return "\n".join(lines)


def _cell(read: Callable[[Any], str], row: Headline, measured: Sequence[Measured]) -> tuple[str, str]:
    """Return a value and the command that made it; of several runs the first that has it."""
    for one in measured:
        if one.source == row.source:
            with contextlib.suppress(KeyError):
                return read(one.numbers), f"`{one.command}`"
    return MISSING, ""


def replace_between_marks(path: Path, text: str) -> None:
    """Replace the text between the marks of a page."""
    old = path.read_text(encoding="utf-8")
    if BEGIN not in old or END not in old:
        raise SystemExit(f"{path} lacks the marks {BEGIN} and {END}")
    marked = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.S)
    path.write_text(marked.sub(lambda _: f"{BEGIN}\n{text}\n{END}", old, count=1), encoding="utf-8")


def run_section(run: Run, page: Path) -> str:
    """Return command, circumstances, tables and figures of one run; figures are copied into the folder of the page."""
    facts = run.facts
    sets = ", ".join(f"{each['name']} ({each['pictures']} pictures)" for each in facts["data"])
    lines = [
        f"Data: {sets}.",
        f"Python {facts['python']}, {facts['system']}, one thread in each of {facts['workers']} processes.",
    ]
    if facts["max_samples"] is not None:
        lines.append(f"At most {facts['max_samples']} pictures of each set.")
    if facts["baselines"]:
        lines.append(f"Baselines: {', '.join(facts['baselines'].values())}.")
    if facts["baseline_samples"]:
        most = ", ".join(f"{count} of {name}" for name, count in facts["baseline_samples"].items())
        lines.append(f"External baselines ran on fewer pictures, evenly drawn, because they are slow: {most}.")
    seconds = [
        f"{suite}: " + ", ".join(f"{mode} {s:.2f}" for mode, s in by_mode.items())
        for suite, by_mode in facts["seconds per picture"].items()
    ]
    if seconds:
        lines.append(f"Median seconds per picture: {'; '.join(seconds)}.")
    tables = re.sub("^##", "###", (run.folder / "tables.md").read_text(encoding="utf-8"), flags=re.M)
    command = f"```console\n{shlex.join(facts['command'])}\n```"
    head = [f"## {', '.join(facts['suites'])}", command, " ".join(lines), tables.strip()]
    return "\n\n".join([*head, *_figures(run.folder, page)])


def _figures(folder: Path, page: Path) -> list[str]:
    """Copy the figures of a run beside the page; return the Markdown that shows them."""
    shown = []
    for drawn in sorted((folder / "figures").glob("*.svg")):
        svg = drawn.read_text(encoding="utf-8")
        if len(svg.encode()) > MOST_BYTES_OF_FIGURE:
            raise SystemExit(f"{drawn} has more than {MOST_BYTES_OF_FIGURE} bytes; draw fewer points")
        title = re.search("<title>(.*?)</title>", svg)
        name = f"{folder.name}-{drawn.name}"
        (page.with_suffix("") / name).write_text(svg, encoding="utf-8")
        shown.append(f"**{title[1] if title else drawn.stem}**\n\n![{drawn.stem}]({page.stem}/{name})")
    return shown


def check_section(one: Measured) -> str:
    """Return command and table of a script."""
    table = measurements_table(one.title, one.numbers).markdown().split("\n\n", 1)[1].strip()
    return f"## {one.title}\n\n```console\n{one.command}\n```\n\n{table}"


def publish(root: Path, runs: Sequence[Path], checks: Sequence[Path]) -> None:
    """Write the pages below `root`. Everything is read before anything is written."""
    read = [read_run(folder) for folder in runs]
    files = [folder / f"{name}.json" for folder in checks for name in SCRIPTS]
    scripts = [read_check(file) for file in files if file.is_file()]
    measured = [*(one for run in read for one in run.suites), *scripts]
    card = _json(root / WEIGHTS / "card.json")
    version = f"Version {card['version']}; brackets are 95 % intervals."
    checksums = "\n".join(f"| `{file}` | `{checksum}` |" for file, checksum in card["sha256"].items())
    with_commands = headline_table(measured, commands=True)
    replace_between_marks(root / README, f"{version}\n\n{headline_table(measured, commands=False)}")
    files_table = f"| file | sha256 |\n| --- | --- |\n{checksums}"
    replace_between_marks(root / CARD, f"{version}\n\n{files_table}\n\n{with_commands}")
    page = root / PAGE
    page.with_suffix("").mkdir(exist_ok=True)
    for old in page.with_suffix("").glob("*.svg"):
        old.unlink()
    head = f"# Results of {card['name']} {card['version']}\n\nWritten by `recipes/bench/publish.py`. {version}"
    sections = [run_section(run, page) for run in read] + [check_section(one) for one in scripts]
    page.write_text("\n\n".join([head, with_commands, *sections]) + "\n", encoding="utf-8")
    drawn = sum(path.stat().st_size for path in page.with_suffix("").iterdir())
    if drawn > MOST_BYTES_OF_FIGURES:
        raise SystemExit(f"the figures in {page.with_suffix('')} have {drawn} bytes, more than {MOST_BYTES_OF_FIGURES}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, nargs="*", default=[], help="folders of `snellen evaluate`")
    parser.add_argument("--checks", type=Path, nargs="*", default=[], help="folders of the scripts")
    args = parser.parse_args()
    publish(ROOT, args.runs, args.checks)


if __name__ == "__main__":
    main()
