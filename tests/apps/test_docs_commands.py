"""README and docs: `sh` and `python` blocks run, `console` lines parse, `text` and data blocks are only shown."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from snellen.cli import build_parser

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SHOWN = {"text", "toml", "json", "yaml", "console"}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block. kind: the word after the opening fence."""

    page: str
    kind: str
    text: str
    line: int


def blocks() -> list[Block]:
    """Return the fenced blocks of all pages."""
    found = []
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        for match in FENCE.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            found.append(Block(path.relative_to(ROOT).as_posix(), match.group(1), match.group(2), line))
    return found


BLOCKS = blocks()
RUN_PAGES = sorted({block.page for block in BLOCKS if block.kind in ("sh", "python")})
CONSOLE_LINES = [
    pytest.param(line, id=f"{block.page}:{block.line}: {line.partition('  #')[0].strip()}")
    for block in BLOCKS
    if block.kind == "console"
    for line in re.findall(r"^\$ (snellen .*)$", block.text, re.MULTILINE)
]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Working folder with the example pictures, and a program `snellen` for the shell."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "snellen"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m snellen "$@"\n')
    program.chmod(0o755)
    return tmp_path


def environment(place: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PATH": f"{place / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "src"),
    }


def test_every_block_says_what_it_is() -> None:
    unknown = {(b.page, b.line, b.kind) for b in BLOCKS if b.kind not in SHOWN | {"sh", "python"}}
    assert unknown == set()
    for path in PAGES:
        assert path.read_text(encoding="utf-8").count("```") == 2 * sum(
            block.page == path.relative_to(ROOT).as_posix() for block in BLOCKS
        ), f"a fence of {path.name} is not closed, or is indented"


@pytest.mark.parametrize("page", RUN_PAGES)
def test_the_blocks_of_a_page_run_one_after_another(page: str, place: Path) -> None:
    for kind, program in (("sh", ["bash", "-euc"]), ("python", [sys.executable, "-c"])):
        code = "\n".join(block.text for block in BLOCKS if block.page == page and block.kind == kind)
        done = subprocess.run(
            [*program, code], cwd=place, env=environment(place), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("line", CONSOLE_LINES)
def test_a_shown_command_is_spelt_as_the_parser_wants_it(line: str) -> None:
    arguments = shlex.split(line, comments=True)[1:]
    assert build_parser(arguments[0]).parse_args(arguments)


def test_the_blocks_are_found() -> None:
    assert RUN_PAGES and CONSOLE_LINES
