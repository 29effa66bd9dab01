"""`snellen check`: rules, lines, exit codes, JUnit XML, annotations."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from pictures import save_noise

from snellen.apps.check import Rule, Verdict, parse_rule, write_junit
from snellen.cli import main


@pytest.fixture
def model(tmp_path: Path) -> str:
    """--model for replies that rate 2.50 and list compression of severity 4 and noise of severity 1."""
    issues = [
        {"kind": "compression", "severity": 4, "bbox_2d": [0.5, 0.5, 1, 1]},
        {"kind": "noise", "severity": 1, "bbox_2d": [0, 0, 1, 1]},
    ]
    answer = {"bbox_2d": [0, 0, 0, 0], "rating": 2.5, "tool": "final", "issues": issues}
    path = tmp_path / "replies.jsonl"
    path.write_text(json.dumps(f"<think></think><answer>{json.dumps(answer)}</answer>"))
    return f"scripted:{path}"


def test_a_rule_is_a_kind_with_a_severity() -> None:
    assert parse_rule("compression>=3") == Rule("compression", 3)
    assert parse_rule(" motion blur >= 2 ") == Rule("motion blur", 2)
    assert parse_rule("noise") == Rule("noise", 1)
    assert parse_rule("any>=4") == Rule("any", 4)


@pytest.mark.parametrize("rule", ["ugliness", "noise>=6", "noise>=0", "noise>3", "noise>=", ""])
def test_another_rule_is_wrong_usage(rule: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["check", "a.png", "--forbid", rule])
    assert stopped.value.code == 2
    assert "is no rule" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "reasons"),
    [
        (["--min-score", "2.5"], ""),
        (["--min-score", "2.51"], "score 2.50 is below 2.51"),
        (["--forbid", "compression>=5"], ""),
        (["--forbid", "compression>=4"], "compression of severity 4, lower right"),
        (["--forbid", "noise"], "noise of severity 1, whole picture"),
        (
            ["--forbid", "any>=1", "--min-score", "3"],
            "score 2.50 is below 3; compression of severity 4, lower right; noise of severity 1, whole picture",
        ),
    ],
)
def test_a_picture_that_fails_is_one_line_and_exit_code_1(
    tmp_path: Path, model: str, options: list[str], reasons: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name = save_noise(tmp_path / "a.png", 80, 80)
    assert main(["check", name, "--model", model, *options]) == (1 if reasons else 0)
    said, told = capsys.readouterr()
    assert said == (f"{name}: {reasons}\n" if reasons else "")
    assert told == f"1 checked, {int(bool(reasons))} failed, 0 of them without a score\n"


def test_folders_are_searched_and_what_cannot_be_read_fails(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pictures" / "more").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    save_noise(tmp_path / "pictures" / "more" / "good.png", 80, 80)
    (tmp_path / "pictures" / "bad.jpg").write_bytes(b"no picture")
    (tmp_path / "pictures" / "notes.txt").write_text("no picture either")
    report = tmp_path / "junit.xml"
    paths = [str(tmp_path / name) for name in ("pictures", "empty", "pictures/bad.jpg")]
    assert main(["check", *paths, "--min-score", "1", "--model", model, "--junit", str(report), "--quiet"]) == 1
    said, told = capsys.readouterr()
    first, second = said.splitlines()
    assert first == f"{paths[1]}: no pictures in this folder; name another"
    assert second.startswith(f"{paths[2]}: ") and told == ""
    suite = ElementTree.parse(report).getroot()[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "0", "2")
    assert [[child.tag for child in case] for case in suite] == [["error"], ["error"], []]


def test_annotations_of_github_escape_what_has_a_meaning(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name = save_noise(tmp_path / "50%,a:b\n.png", 80, 80)
    assert main(["check", name, "--model", model, "--min-score", "3", "--github"]) == 1
    escaped = f"{tmp_path}/50%25%2Ca%3Ab\\n.png"
    assert capsys.readouterr().out == f"::error file={escaped},title=snellen check::score 2.50 is below 3\n"


def test_junit_takes_names_that_xml_cannot_hold(tmp_path: Path) -> None:
    names = ("\x1b[31m.png", "\udce9.png", '<"&>.png', "\ufffe.png")
    write_junit([Verdict(name, ("<bad>",)) for name in names], tmp_path / "out.xml")
    suite = ElementTree.parse(tmp_path / "out.xml").getroot()[0]
    assert [case.get("name") for case in suite] == [r"\x1b[31m.png", r"\udce9.png", '<"&>.png', "?.png"]
    assert [case[0].get("message") for case in suite] == ["<bad>"] * 4 and suite.get("failures") == "4"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ([], "nothing to check for"),
        (["--score-only", "--forbid", "noise"], "--score-only lists no issues"),
        (["--min-score", "3", "--junit", "/nowhere/junit.xml"], "cannot be written"),
    ],
)
def test_wrong_usage(options: list[str], problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "a.png", *options]) == 2
    assert problem in capsys.readouterr().err
