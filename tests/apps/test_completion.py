"""`snellen completion`: what shells offer, asked of bash itself, and of fish where it is installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from snellen.apps.completion import Level, bash_script, fish_script, levels
from snellen.cli import COMMANDS, main

FOUND = list(levels())


def offered(script: str, folder: Path, *words: str) -> set[str]:
    """Return what bash offers for the last of the words."""
    code = f'{script}\nCOMP_WORDS=("$@"); COMP_CWORD=$(($#-1)); _snellen; printf "%s\\n" "${{COMPREPLY[@]}}"'
    done = subprocess.run(["bash", "-c", code, "bash", *words], cwd=folder, capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines())


def test_every_command_is_offered_with_the_options_of_its_parser() -> None:
    assert FOUND[0].words.keys() == COMMANDS.keys() | {"--version", "--help"}
    by_path = {level.path: level.words for level in FOUND}
    assert {"--min-score", "--forbid", "--junit", "--model"} <= by_path["check",].keys()
    assert by_path["check",]["--min-score"] == "lowest score that passes, 1 to 5"
    assert "%" not in by_path["live",].get("--below", "")


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("snellen", "asse"), {"assess"}),
        (("snellen", "check", "--min-s"), {"--min-score"}),
        (("snellen", "completion", "z"), {"zsh"}),
        (("snellen", "check", "--quiet", "my"), {"my picture.png"}),
        (("snellen", "check", "my", ""), {"my picture.png"}),
        (("snellen", "data", "build", "--teac"), {"--teacher"}),
    ],
)
def test_bash_offers_commands_options_and_files(tmp_path: Path, words: tuple[str, ...], expected: set[str]) -> None:
    (tmp_path / "my picture.png").touch()
    assert offered(bash_script(FOUND), tmp_path, *words) == expected


@pytest.mark.skipif(shutil.which("fish") is None, reason="needs fish")
def test_fish_offers_commands_and_options(tmp_path: Path) -> None:
    (tmp_path / "snellen.fish").write_text(fish_script(FOUND))
    code = f'source {tmp_path}/snellen.fish; complete -C "snellen asse"; complete -C "snellen check --min-s"'
    done = subprocess.run(["fish", "-c", code], capture_output=True, text=True, check=True)
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == ["assess", "--min-score"]


def test_fish_quotes_help_texts() -> None:
    (line,) = fish_script([Level(("a",), {"--b": r"it's a \ here"})]).splitlines()
    assert line == r"complete -c snellen -n '__fish_seen_subcommand_from a' -l b -d 'it\'s a \\ here'"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_command_prints_the_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert "min-score" in script and ("bashcompinit" in script) == (shell == "zsh")
