"""A base installation, without any extra: every command works, or names the extra that it needs in one line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from pictures import save_noise

from snellen.cli import COMMANDS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

HOOK = '''
import sys

class OnlyBase:
    """Finder that hides every installed module of another distribution than those of a base installation."""

    def find_spec(self, name, path=None, target=None):
        if name in HIDDEN:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, OnlyBase())
'''
REPLY = (
    '<think></think><answer>{"bbox_2d": [0.00, 0.00, 0.00, 0.00], "rating": 2.50, "tool": "final", '
    '"issues": []}</answer>'
)


def base_distributions() -> set[str]:
    """Return the normalised names of the dependencies without extras, and of theirs in turn."""
    found: set[str] = set()
    todo = [Requirement(line) for line in PROJECT["dependencies"]]
    while todo:
        one = todo.pop()
        name = one.name.lower().replace("_", "-")
        if name in found or (one.marker is not None and not one.marker.evaluate({"extra": ""})):
            continue
        found.add(name)
        try:
            todo += [Requirement(line) for line in requires(name) or []]
        except PackageNotFoundError:  # a dependency of a dependency that is not installed here
            continue
    return found


def modules_of(distribution: Distribution) -> set[str]:
    """Return the top-level modules and packages that a distribution installs."""
    python = [path for path in distribution.files or () if path.suffix in (".py", ".so", ".pyd")]
    return {path.parts[0].partition(".")[0] for path in python} - {""}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment of a process that sees the base distributions only."""
    base = base_distributions() | {"snellen"}
    shown: set[str] = set()
    hidden: set[str] = set()
    for one in distributions():
        (shown if one.metadata["Name"].lower().replace("_", "-") in base else hidden).update(modules_of(one))
    hidden -= shown
    hidden -= sys.stdlib_module_names
    assert {"scipy", "pyarrow"} <= hidden and hidden.isdisjoint({"numpy", "PIL", "rich", "onnxruntime"})
    folder = tmp_path_factory.mktemp("hook")
    (folder / "sitecustomize.py").write_text(f"HIDDEN = {sorted(hidden)!r}\n{HOOK}", encoding="utf-8")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT / "src")])}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with two pictures, a manifest of them, scripted replies and a training configuration."""
    folder = tmp_path_factory.mktemp("work")
    rows = []
    for number in range(2):
        save_noise(folder / "photos" / f"{number}.png", 160, 120, seed=number)
        rows.append({"path": f"photos/{number}.png", "mos": 2.0 + number, "split": "test", "group": str(number)})
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "replies.jsonl").write_text(json.dumps({"text": REPLY}) + "\n")
    (folder / "config.toml").write_text('conversations = "conversations.jsonl"\nout = "run"\n')
    return folder


def run(environment: dict[str, str], folder: Path, line: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "snellen", *line.split()],
        env=environment, cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("line", ["--version", "--help", *(f"{command} --help" for command in COMMANDS)])
def test_help_needs_no_extra(environment: dict[str, str], folder: Path, line: str) -> None:
    code, output, problems = run(environment, folder, line)
    assert (code, problems) == (0, "") and output


@pytest.mark.parametrize(
    "lines",
    [
        ["assess photos/0.png --json --model scripted:replies.jsonl"],
        ["assess photos/0.png photos/1.png --report report.html --model scripted:replies.jsonl"],
        ["score photos --out scores.csv --model scripted:replies.jsonl"],
        ["features photos/0.png"],
        ["video photos --model scripted:replies.jsonl --frames 1"],
        ["data build manifest.jsonl --out conversations.jsonl --quiet", "data show 1 conversations.jsonl"],
    ],
    ids=lambda lines: lines[0],
)
def test_commands_that_need_no_extra_work(environment: dict[str, str], folder: Path, lines: list[str]) -> None:
    for line in lines:
        code, _, problems = run(environment, folder, line)
        assert code == 0, problems


@pytest.mark.parametrize(
    ("line", "extra"),
    [
        ("score photos --out scores.parquet --model scripted:replies.jsonl", "parquet"),
        ("assess photos/0.png --model hf:somewhere", "hf"),
        ("evaluate --data manifest.jsonl --out run --model scripted:replies.jsonl", "evaluate"),
        ("restore photos/0.png --model scripted:replies.jsonl", "restore"),
        ("compare photos/0.png --reference photos/0.png --model scripted:replies.jsonl", "reference"),
        ("video photos/0.png --model scripted:replies.jsonl", "video"),
        ("live photos/0.png --model scripted:replies.jsonl", "video"),
        ("train sft --config config.toml", "train"),
        ("train rl --config config.toml", "train"),
    ],
)
def test_a_missing_extra_is_one_line_with_its_remedy(
    environment: dict[str, str], folder: Path, line: str, extra: str
) -> None:
    code, output, problems = run(environment, folder, line)
    assert (code, output) == (2, ""), problems
    assert len(problems.splitlines()) == 1 and problems.startswith("snellen: ")
    assert f'pip install "snellen[{extra}]"' in problems
    assert extra in PROJECT["optional-dependencies"]


def test_every_extra_that_is_named_exists() -> None:
    named = {command.extra for command in COMMANDS.values()} - {""}
    for path in (*(ROOT / "src").rglob("*.py"), ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        named |= set(re.findall(r"snellen\[(\w+)\]", path.read_text(encoding="utf-8")))
    assert {"evaluate", "hf", "lora"} <= named <= PROJECT["optional-dependencies"].keys()
