"""The rows of the table of README.md: what is measured, by which suite or script, and where its number stands there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from snellen.evaluate.modes import TWO
from snellen.evaluate.report.tables import percent

BIQ = "biq2021"
ENSEMBLE, BRISQUE, RIDGE = "plain rating", "brisque", "kernel ridge"
STRONG = "level 3-5"

Read = Callable[[Any], str]
"""Reads the numbers of one suite or script and returns a cell of the table; KeyError where it was not measured."""


@dataclass(frozen=True)
class Headline:
    """One row. source: the suite or script that measures it. baseline: reads a baseline on the same pictures."""

    what: str
    source: str
    read: Read
    baseline: Read | None = None


def at(numbers: Any, *place: str) -> Any:
    """Return the number at a place. KeyError where it is missing or undefined."""
    for key in place:
        if not isinstance(numbers, Mapping):
            raise KeyError(place)
        numbers = numbers[key]
    if numbers is None or (isinstance(numbers, list) and numbers[0] is None):
        raise KeyError(place)
    return numbers


def value(*place: str) -> Read:
    """Read a value with its interval."""
    return lambda numbers: "{:.3f} [{:.3f}, {:.3f}]".format(*at(numbers, *place))


def plain(*place: str) -> Read:
    """Read a number without an interval."""
    return lambda numbers: f"{at(numbers, *place):.2f}"


def share(*place: str) -> Read:
    """Read a share with its interval, in percent."""
    return lambda numbers: percent(at(numbers, *place))


def time_and_size(numbers: Any) -> str:
    """Seconds of one assessment and MB of the wheel."""
    seconds, wheel = at(numbers, "full assessment, 12 MP JPEG, warm, s"), at(numbers, "wheel, MB")
    return f"{seconds:.2f} s; {wheel:.0f} MB"


def _of_mode(mode: str, metric: str) -> Read:
    return value(BIQ, "modes", mode, metric)


def _baselines(numbers: Any) -> str:
    return f"{_of_mode(ENSEMBLE, 'srcc')(numbers)} ({ENSEMBLE}), {_of_mode(BRISQUE, 'srcc')(numbers)} (BRISQUE)"


def _ridge(numbers: Any) -> str:
    return f"{share(BIQ, 'judges', RIDGE, 'named')(numbers)} ({RIDGE})"


HEADLINES = (
    Headline(
        "real photographs, labelled: the main fault is among the issues",
        "real-faults",
        share(BIQ, "judges", TWO, "named"),
        _ridge,
    ),
    Headline("BIQ2021 official test split, SRCC", "scores", _of_mode(TWO, "srcc"), _baselines),
    Headline("the same, PLCC", "scores", _of_mode(TWO, "plcc"), _of_mode(ENSEMBLE, "plcc")),
    Headline("90 % interval contains the MOS", "calibration", share(BIQ, TWO, "interval", "coverage")),
    Headline(
        "synthetic local faults, SRCC of the score with the expected one",
        "grounding",
        value("agreement", TWO, "srcc"),
        value("agreement", BRISQUE, "srcc"),
    ),
    Headline("area of the crops of local faults, levels 3 to 5", "grounding", plain("crops", STRONG, "area")),
    Headline(
        "clean photographs with an issue (false alarms)", "grounding", share("clean pictures", "false-alarm rate")
    ),
    Headline("full assessment of a 12 MP JPEG on two cores; wheel", "speed", time_and_size),
)
"""The rows in order; the first is the one to judge the model by."""
