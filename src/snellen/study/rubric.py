"""Rubric of a study, read from TOML: method, questions, training and golden items, checks of the screen."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from snellen.usage import UsageError

METHODS = ("acr", "acr-hr", "dcr", "pairs", "rubric")
QUALITY = ("bad", "poor", "fair", "good", "excellent")
IMPAIRMENT = ("very annoying", "annoying", "slightly annoying", "visible, not annoying", "invisible")
"""Words for 1 to 5: of ACR (ITU-T P.910, 6.1), of DCR (6.3)."""
CONSENT = (
    "Taking part is voluntary, and you may stop at any time. Your answers, their times, and the size of your screen "
    "are stored under a code. Your name, your address and your device are not."
)
KINDS_OF_QUESTION = ("scale", "choice", "text")


@dataclass(frozen=True)
class Question:
    """One question about a picture.

    Attributes:
        name: column of the results.
        text: shown to raters.
        kind: "scale" (1..5, worst first), "choice" (one of `words`) or "text".
        words: the words for 1 to 5 of a scale, or the choices.
        optional: may be left empty; texts always may.
    """

    name: str
    text: str
    kind: str = "scale"
    words: tuple[str, ...] = QUALITY
    optional: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS_OF_QUESTION:
            raise ValueError(f"kind of question {self.name!r} is one of {', '.join(KINDS_OF_QUESTION)}")
        if self.kind == "scale" and len(self.words) != 5:
            raise ValueError(f"the scale of question {self.name!r} has 5 words, not {len(self.words)}")
        if not self.name.isidentifier():
            raise ValueError(f"question {self.name!r}: a name is of letters, digits and _")


@dataclass(frozen=True)
class Known:
    """An item with a known answer. image: file, relative to the TOML file. low, high: ratings that are right, 1..5.

    worse: with pairs, the file of the picture that is worse than `image`. hint: shown after a training item.
    """

    image: str
    low: float = 1.0
    high: float = 5.0
    worse: str = ""
    hint: str = ""


@dataclass(frozen=True)
class Screen:
    """Checks of the page before the first picture.

    Attributes:
        width, height: least size of the window, CSS px; a smaller one is noted, or refused with `required`.
        chart: show grey steps, and ask whether the darkest and the lightest can be told apart.
        distance: viewing distance that is asked for, a sentence; "" for none.
    """

    width: int = 0
    height: int = 0
    required: bool = False
    chart: bool = True
    distance: str = "Sit about an arm's length from the screen, and keep the room and the screen as they are."


RUBRIC = (
    Question("overall", "How good is the quality of this picture?"),
    Question("sharpness", "Sharpness"),
    Question("noise", "Noise", words=("very strong", "strong", "moderate", "slight", "none")),
    Question("exposure", "Exposure"),
    Question("colour", "Colour"),
    Question("compression", "Compression", words=("very strong", "strong", "moderate", "slight", "none")),
    Question("comment", "Anything else?", "text", ()),
)
"""Questions of the method "rubric"; a file may name its own instead. The first is always `overall`."""


@dataclass(frozen=True)
class Rubric:
    """A study's questions and course. The fields are the keys of the TOML file.

    Attributes:
        title: shown to raters.
        method: "acr" (one picture, 5 levels), "acr-hr" (references among them, unmarked), "dcr" (reference, then
            picture), "pairs" (which of two is better) or "rubric" (several questions).
        questions: the first is `overall`; none for pairs.
        ties: with pairs, raters may call a pair equal.
        boxes: raters may draw boxes around faults, with kind and severity.
        consent: shown first; raters agree or leave.
        fit: scale pictures down to the window; otherwise one pixel of a picture is one of the screen.
        items: pictures, or pairs, of one rater; 0 for all pictures (pairs: twice the pictures, or all pairs if fewer).
        block: items between two breaks.
        repeats: items that a rater gets twice.
        training, golden: items with known answers; training comes first and does not count.
        screen: checks before the first picture.
        seed: of the orders.
    """

    title: str = "Picture quality"
    method: str = "acr"
    questions: tuple[Question, ...] = (RUBRIC[0],)
    ties: bool = False
    boxes: bool = False
    consent: str = CONSENT
    fit: bool = False
    items: int = 0
    block: int = 40
    repeats: int = 0
    training: tuple[Known, ...] = ()
    golden: tuple[Known, ...] = ()
    screen: Screen = Screen()
    seed: int = 0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"method {self.method!r} is not one of {', '.join(METHODS)}")
        if self.method != "pairs" and (not self.questions or self.questions[0].name != "overall"):
            raise ValueError("the first question is called overall")
        if self.method != "pairs" and self.questions[0].kind != "scale":
            raise ValueError("the question overall is a scale")
        names = [question.name for question in self.questions]
        if len(set(names)) != len(names):
            raise ValueError("two questions have one name")
        for name, least in (("items", 0), ("block", 1), ("repeats", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is at least {least}, not {getattr(self, name)}")
        for known in (*self.training, *self.golden):
            if (self.method == "pairs") != bool(known.worse):
                raise ValueError("a known pair names image and worse, any other known item image, low and high")
            if not 1 <= known.low <= known.high <= 5:
                raise ValueError(f"{known.image}: low and high are 1 to 5, low first")

    @property
    def is_pairs(self) -> bool:
        """True for pair comparison."""
        return self.method == "pairs"


def read_rubric(file: Path) -> Rubric:
    """Read a TOML file. Raises UsageError that names the file and what is wrong."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib  # not needed for the help of a command
    try:
        return rubric_of(tomllib.loads(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror or error}; check the path") from error
    except (ValueError, TypeError) as error:
        raise UsageError(f"{file}: {error}; see docs/study.md for the keys") from error


def rubric_of(values: Mapping[str, Any]) -> Rubric:
    """Return the rubric of a mapping: TOML, or the JSON of a plan. Raises ValueError or TypeError."""
    given = dict(values)
    method = given.get("method", "acr")
    if method == "pairs":
        given["questions"] = ()
    elif "questions" in given:
        given["questions"] = _many(Question, given["questions"])
    elif method == "rubric":
        given["questions"] = RUBRIC
    elif method == "dcr":
        given["questions"] = (
            Question("overall", "How much do changes from the reference annoy you?", words=IMPAIRMENT),
        )
    for name in ("training", "golden"):
        if name in given:
            given[name] = _many(Known, given[name])
    if "screen" in given:
        given["screen"] = _one(Screen, given["screen"])
    made: Rubric = _one(Rubric, given)
    return made


def _many(kind: type[Any], rows: Sequence[Mapping[str, Any]]) -> tuple[Any, ...]:
    return tuple(_one(kind, row) for row in rows)


def _one(kind: type[Any], row: Mapping[str, Any]) -> Any:
    if not isinstance(row, Mapping):
        raise TypeError(f"a table is expected for {kind.__name__.lower()}, not {row!r}")
    types = {field.name: field for field in fields(kind)}
    for name, value in row.items():
        if name not in types:
            raise ValueError(f"unknown key {name!r} (there are: {', '.join(types)})")
        wanted = str(types[name].type)
        if wanted in ("int", "float") and (
            isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value)
        ):
            raise ValueError(f"{name} is a number, not {value!r}")
        if wanted == "int" and not isinstance(value, int):
            raise ValueError(f"{name} is a whole number, not {value!r}")
        if wanted in ("str", "bool") and type(value).__name__ != wanted:
            raise ValueError(f"{name} is {'text' if wanted == 'str' else 'true or false'}, not {value!r}")
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in row.items()})
