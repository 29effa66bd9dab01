"""`snellen compare` on the command line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from pictures import save_noise

from snellen.cli import main

FINAL = '{"bbox_2d": [0.00, 0.00, 0.00, 0.00], "rating": 2.50, "tool": "final", "issues": []}'


@pytest.fixture
def model(tmp_path: Path) -> str:
    script = tmp_path / "replies.jsonl"
    reply = {"text": f"<think></think><answer>{FINAL}</answer>", "rating": {"values": [2.0, 3.0], "probs": [0.5, 0.5]}}
    script.write_text(json.dumps(reply) + "\n")
    return f"scripted:{script}"


def test_two_pictures_as_json_and_as_a_page(tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    names = [save_noise(tmp_path / f"{n}.png", seed=n) for n in range(2)]
    page = tmp_path / "page.html"
    code = main(["compare", *names, "--model", model, "--json", "--report", str(page)])
    printed = json.loads(capsys.readouterr().out)
    assert code == 1  # the fixed reply does not answer the question about both: said, not guessed
    assert "cannot be read" in printed["pairs"][0]["problem"]
    assert printed["pairs"][0]["probability"] == 0.5 and printed["pairs"][0]["better"] is None
    assert [one["rank"] for one in printed["ranking"]] == [1, 1]
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_the_terminal_says_a_tie(tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "a long name of a folder" / "in another one with a long name, too"
    folder.mkdir(parents=True)
    names = [save_noise(folder / f"{n}.png", seed=n) for n in range(3)]
    main(["compare", *names, "--model", model])
    out = capsys.readouterr().out
    assert len(re.findall(r"^ *1-3 ", out, re.M)) == 3, "long paths leave the ranks alone"
    assert "A tie" in out


def test_one_picture_is_wrong_usage(tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", save_noise(tmp_path / "a.png"), "--model", model]) == 2
    assert "two pictures or more" in capsys.readouterr().err


def test_pictures_that_cannot_be_read_are_named_and_nothing_is_ranked(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", str(tmp_path / "a.png"), str(tmp_path / "b.png"), "--model", model]) == 1
    shown = capsys.readouterr()
    assert "a.png" in shown.err and "b.png" in shown.err and "1-2" not in shown.out


@pytest.mark.parametrize("known", [["--reference", "original.png"], ["--generate-reference"]])
def test_a_limit_for_ties_is_refused_where_there_is_a_reference(
    known: list[str], model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["compare", save_noise(tmp_path / "a.png"), *known, "--sure", "0.9", "--model", model])
    shown = capsys.readouterr()
    assert code == 2 and "leave --sure out" in shown.err and shown.out == ""
