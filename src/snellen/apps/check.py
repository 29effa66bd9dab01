"""`snellen check`: a gate for repositories and CI that fails on pictures with a low score or a forbidden fault."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from snellen.assessment import Assessment
from snellen.assessor import Assessor
from snellen.folder import find_pictures
from snellen.options import add_assessor_arguments, assessor_arguments
from snellen.output import replacing
from snellen.terminal import Progress
from snellen.usage import FAILED, OK, UsageError, add_quiet, check_writable, one_to_five, visible, wrong_usage
from snellen.vocabulary import KINDS

ANY = "any"
"""Stands for all kinds in a rule."""


@dataclass(frozen=True)
class Rule:
    """A forbidden fault: an issue of the kind (one of KINDS, or ANY) from the severity (1..5) on."""

    kind: str
    severity: int = 1


@dataclass(frozen=True)
class Verdict:
    """Decision about one picture.

    Attributes:
        name: the picture.
        reasons: why it fails, in words; empty where it passes.
        unreadable: True where it could not be assessed: the reason is the error.
    """

    name: str
    reasons: tuple[str, ...] = ()
    unreadable: bool = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `snellen check`."""
    parser.add_argument("paths", metavar="PATH", nargs="+", help="a picture, or a folder of pictures")
    parser.add_argument("--min-score", metavar="S", type=one_to_five, help="lowest score that passes, 1 to 5")
    parser.add_argument(
        "--forbid",
        metavar="RULE",
        action="append",
        type=parse_rule,
        default=[],
        help='kind of fault, and severity from which it is forbidden: "compression>=3", "any>=4", "noise"',
    )
    parser.add_argument("--junit", metavar="FILE", type=Path, help="also write the results as JUnit XML")
    parser.add_argument("--github", action="store_true", help="print annotations of GitHub Actions instead of lines")
    add_assessor_arguments(parser)
    add_quiet(parser)


def parse_rule(text: str) -> Rule:
    """Return the rule of a text such as "compression>=3", "any>=4" or "motion blur", for argparse."""
    found = re.fullmatch(r"\s*([a-z][a-z ]*?)\s*(?:>=\s*([1-5]))?\s*", text)
    if found is None or found[1] not in (*KINDS, ANY):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no rule: KIND or KIND>=SEVERITY, with a severity from 1 to 5 and a kind of "
            f"{', '.join(KINDS)} or {ANY}"
        )
    return Rule(found[1], int(found[2] or 1))


def run(args: argparse.Namespace) -> int:
    """Check the pictures; return the exit code."""
    if args.min_score is None and not args.forbid:
        raise UsageError("nothing to check for: give --min-score, --forbid or both")
    if args.forbid and args.score_only:
        raise UsageError("--score-only lists no issues, which --forbid needs; leave one of them out")
    if args.junit:
        check_writable(args.junit)
    names, problems = _pictures(args.paths)
    verdicts = [Verdict(name, (problem,), unreadable=True) for name, problem in problems.items()]
    for verdict in verdicts:
        _print(verdict, args.github)
    with Progress(len(names), quiet=args.quiet) as progress:
        for verdict in _verdicts(args, names):
            verdicts.append(verdict)
            with progress.aside():
                _print(verdict, args.github)
            progress.advance()
    if args.junit:
        write_junit(verdicts, args.junit)
    failed = sum(bool(verdict.reasons) for verdict in verdicts)
    if not args.quiet:
        unreadable = sum(verdict.unreadable for verdict in verdicts)
        print(f"{len(verdicts)} checked, {failed} failed, {unreadable} of them without a score", file=sys.stderr)
    return FAILED if failed else OK


def _pictures(paths: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Return the pictures that paths name, each once, and {path: problem} of folders that hold none."""
    names: list[str] = []
    problems: dict[str, str] = {}
    for path in paths:
        if not path or not Path(path).is_dir():
            names.append(path)
            continue
        found = find_pictures(Path(path))
        names += [str(Path(path, name)) for name in found.pictures]
        problems |= {str(Path(path, name)): problem for name, problem in found.problems.items()}
        if not found.pictures and not found.problems:
            problems[path] = "no pictures in this folder; name another"
    return list(dict.fromkeys(names)), problems


def _verdicts(args: argparse.Namespace, names: Sequence[str]) -> Iterator[Verdict]:
    if not names:
        return
    with wrong_usage():
        assessor = Assessor(args.model, **assessor_arguments(args))
    for assessment in assessor.stream(names):
        yield judge(assessment, args.min_score, args.forbid)


def judge(assessment: Assessment, min_score: float | None, rules: Sequence[Rule]) -> Verdict:
    """Return the decision: a picture fails for a score below `min_score`, an issue that a rule forbids, or no score."""
    name = assessment.name
    if assessment.error is not None:
        return Verdict(name, (f"{assessment.error.problem}; {assessment.error.remedy}",), unreadable=True)
    assert assessment.score is not None
    reasons = []
    score = round(assessment.score, 2)  # as it is printed: nobody reads "3.00 is below 3"
    if min_score is not None and score < min_score:
        reasons.append(f"score {score:.2f} is below {min_score:g}")
    for issue in assessment.issues:
        if any(rule.kind in (issue.kind, ANY) and issue.severity >= rule.severity for rule in rules):
            reasons.append(f"{issue.kind} of severity {issue.severity}, {issue.region.place}")
    return Verdict(name, tuple(reasons))


def _print(verdict: Verdict, github: bool) -> None:
    """Print one line on standard output for a picture that fails."""
    if not verdict.reasons:
        return
    text = visible("; ".join(verdict.reasons))
    name = visible(verdict.name)
    print(f"::error file={_escape(name, ':,')},title=snellen check::{_escape(text)}" if github else f"{name}: {text}")


def _escape(text: str, more: str = "") -> str:
    """Return text with the characters as %XX that GitHub's workflow commands give a meaning."""
    return re.sub(f"[%\r\n{more}]", lambda found: f"%{ord(found[0]):02X}", text)


def write_junit(verdicts: Sequence[Verdict], path: Path) -> None:
    """Write verdicts as JUnit XML: a failure for each that fails, an error for each that cannot be read."""
    unreadable = sum(verdict.unreadable for verdict in verdicts)
    failures = sum(bool(verdict.reasons) for verdict in verdicts) - unreadable
    counts = {"tests": str(len(verdicts)), "failures": str(failures), "errors": str(unreadable)}
    suites = ElementTree.Element("testsuites", counts)
    suite = ElementTree.SubElement(suites, "testsuite", {"name": "snellen check"} | counts)
    for verdict in verdicts:
        case = ElementTree.SubElement(suite, "testcase", {"classname": "snellen.check", "name": _valid(verdict.name)})
        if verdict.reasons:
            kind = "error" if verdict.unreadable else "failure"
            text = _valid("; ".join(verdict.reasons))
            ElementTree.SubElement(case, kind, {"message": text, "type": kind}).text = text
    ElementTree.indent(suites)
    with replacing(path) as unfinished:
        ElementTree.ElementTree(suites).write(unfinished, encoding="utf-8", xml_declaration=True)


def _valid(text: str) -> str:
    """Return text that XML can hold: control characters and what is no Unicode as escapes."""
    return re.sub("[\ufffe\uffff]", "?", visible(text).encode("utf-8", "backslashreplace").decode())
