"""What is measured of the bundled model, the aim, and where the number stands in what a suite or script wrote.

`ROWS` is the table of README.md (the rows that are `short`), the model card and docs/evaluation.md; see publish.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from snellen.evaluate.modes import CENTRAL, ENSEMBLE, ONE, ONLY, PLAIN, RANDOM, TWO
from snellen.evaluate.report.tables import percent, spread

BIQ, BRISQUE = "biq2021", "brisque"
PEERS = (BRISQUE, "piqe", "image-quality-ai")

Read = Callable[[Any], str]
"""From the numbers of one suite or script to the words of a table; KeyError where it was not measured."""


@dataclass(frozen=True)
class Row:
    """One line of the table. source: the suite or script that measures it."""

    what: str
    aim: str
    source: str
    read: Read
    short: bool = False


def value(*place: str) -> Read:
    """A value with its interval, at a place in the numbers."""
    return lambda numbers: spread(at(numbers, place))


def share(*place: str) -> Read:
    """A share in percent."""
    return lambda numbers: percent(at(numbers, place))


def plain(*place: str, form: str = "{:.2f}") -> Read:
    """One number."""
    return lambda numbers: form.format(at(numbers, place))


def at(numbers: Any, place: Sequence[str]) -> Any:
    """KeyError where it is not there or not defined."""
    for key in place:
        if not isinstance(numbers, Mapping):
            raise KeyError(place)
        numbers = numbers[key]
    if numbers is None or (isinstance(numbers, list) and numbers[0] is None):
        raise KeyError(place)
    return numbers


def parsed(numbers: Any) -> str:
    """Share of the replies that could be read."""
    replies = numbers[BIQ]["replies"][TWO]
    return percent(1 - replies["unparsable"] / replies["replies"])


def furthest(numbers: Any) -> str:
    """The largest difference between the ways to run the same, and how many pictures only one of them scored."""
    ours = {k: v for k, v in numbers.items() if not k.startswith("torch")}
    alone = sum(v for k, v in ours.items() if k.endswith("only"))
    largest = max(v for k, v in ours.items() if k.endswith("difference"))
    return f"{largest:.1e}" + (f", {alone} scored once only" if alone else "")


def ways(metric: str, way: str) -> Read:
    """Of the suite scores on BIQ2021."""
    return value(BIQ, "ways", way, metric)


def of_peer(peer: str) -> Read:
    """SRCC of a peer on BIQ2021; where it has no score for any picture, that it failed, and why."""

    def read(numbers: Any) -> str:
        if at(numbers, (BIQ, "ways", peer, "n")) == 0:
            return "failed: " + "; ".join(failed["first"] for failed in numbers[BIQ]["failures"][peer].values())
        return ways("srcc", peer)(numbers)

    return read


def errors(numbers: Any) -> str:
    """Root mean square error after the first and the last round, on what was looked at again."""
    found = at(numbers, ("refinement", BIQ))
    return " to ".join(f"{at(found, (f'error after the {which} round',)):.3f}" for which in ("first", "last"))


def _scores() -> list[Row]:
    return [
        Row("BIQ2021 official test split, raw SRCC", ">= 0.84", "scores", ways("srcc", TWO), True),
        Row("the same, raw PLCC", ">= 0.86", "scores", ways("plcc", TWO), True),
        Row("the same, how many pictures", "2,000", "scores", lambda d: str(at(d, (BIQ, "ways", TWO, "n"))), True),
        Row("SRCC on the leak-free ones", "printed", "scores",
            value(BIQ, "parts", "no scene of the training split", "srcc"), True),
        Row("plain regression head on the same encoder, SRCC", "at most 0.01 above", "scores",
            ways("srcc", PLAIN), True),
        Row("plain ensemble, that and the glimpse, SRCC", "at most 0.01 above", "scores",
            ways("srcc", ENSEMBLE), True),
        Row("one look without text, SRCC", "printed", "scores", ways("srcc", ONLY)),
        Row("first round of two, SRCC", "printed", "scores", ways("srcc", ONE)),
        *(Row(f"{peer}, SRCC on the same pictures", "beaten", "scores", of_peer(peer), peer == BRISQUE)
          for peer in PEERS),
        Row("replies that parse", ">= 99.5 %", "scores", parsed, True),
        Row("90 % interval holds the MOS", "88-92 %", "calibration", share(BIQ, TWO, "interval", "coverage"), True),
    ]  # fmt: skip


def _behaviour() -> list[Row]:
    blurred = ("portraits", TWO)
    return [
        Row("error after the first and the last round", "falls", "behaviour", errors),
        Row("ratings that moved in the second round, the right way", "> 50 %", "behaviour",
            share("refinement", BIQ, "right way"), True),
        Row("clean part less clean whole, score", "0", "behaviour", value("crop bias", TWO, "bias")),
        Row("second look at clean pictures, after less before", "0", "behaviour",
            value("second look at clean pictures", "bias")),
        Row("blurred background on purpose, called blur", "few", "behaviour",
            share(*blurred, "blurred background", "blur named behind")),
        Row("its cost, of what blur all over costs", "0", "behaviour", plain(*blurred, "cost of the background")),
        Row("different ratings, and their entropy in bits", "printed", "behaviour",
            lambda d: f"{at(d, ('diversity', BIQ, 'different ratings'))}, "
                      f"{at(d, ('diversity', BIQ, 'rating entropy')):.2f}"),
        Row("different texts", "printed", "behaviour", share("diversity", BIQ, "different texts")),
        Row("photographs: the words name the place of the box", "printed", "behaviour",
            share("words", BIQ, "place near the box")),
    ]  # fmt: skip


def _grounding() -> list[Row]:
    strong = "level 3-5"
    return [
        Row("local faults: SRCC, two rounds", "the best", "grounding", value("agreement", TWO, "srcc"), True),
        Row("local faults: one round", "", "grounding", value("agreement", ONE, "srcc"), True),
        Row("local faults: random crop", "", "grounding", value("agreement", RANDOM, "srcc")),
        Row("local faults: central crop", "", "grounding", value("agreement", CENTRAL, "srcc")),
        *(Row(f"local faults: {peer}", "beaten", "grounding", value("agreement", peer, "srcc")) for peer in PEERS),
        Row("local faults: second look nearer to what the fault costs", "> 50 %", "grounding", share("cost", "nearer"),
            True),
        Row("crop holds half of the fault, level 3-5", ">= 80 %", "grounding",
            share("crops", strong, "placed", "as named", "half inside"), True),
        Row("box of the right kind: IoU, last look less first", "> 0", "grounding",
            value("box by look", "last minus first"), True),
        Row("right kind named, level 3-5", ">= 70 %", "grounding", share("right kind named", strong), True),
        Row("right kind named, level 1-2", "printed", "grounding", share("right kind named", "level 1-2")),
        Row("local faults: the words name the place of the box", "printed", "grounding",
            share("words", "place near the box"), True),
        Row("severity: rank correlation with how people mind such a fault, kind right", ">= 0.7", "grounding",
            value("severity", "kind right, with what people say"), True),
        Row("the same, with the level at which it was made", ">= 0.7", "grounding",
            value("severity", "kind right"), True),
        Row("the same, each of five levels alike", "printed", "grounding",
            value("severity", "kind right, each level alike"), True),
        Row("severity: rank correlation with the level, whatever kind is named", "printed", "grounding",
            value("severity", "all")),
        Row("clean pictures, false alarm", "<= 15 %", "grounding", share("clean pictures", "false alarm"), True),
    ]  # fmt: skip


def _faithfulness() -> list[Row]:
    right = "of the right kind"
    return [
        Row("named faults repaired where named: MOS gained", "> 0.05", "faithfulness", value(right, "gain")),
        Row("the same, repaired elsewhere", "<= 0.05", "faithfulness", value(right, "gain elsewhere")),
        Row("issues of the right kind that pass both", "printed", "faithfulness", share(right, "pass"), True),
        Row("all issues that pass both", "printed", "faithfulness", share("all issues", "pass")),
    ]


def _robustness() -> list[Row]:
    rows = [
        Row("native detail: rank correlation within ladders", ">= 0.9", "robustness",
            value("ladders", TWO, "native", "all ladders"), True),
        Row("native detail: pooled against human level means", ">= 0.75", "robustness",
            value("ladders", TWO, "native", "pooled"), True),
    ]  # fmt: skip
    for peer in PEERS:
        rows += [
            Row(f"native detail: within ladders, {peer}", "beaten", "robustness",
                value("ladders", peer, "native", "all ladders"), peer == BRISQUE),
            Row(f"native detail: pooled, {peer}", "beaten", "robustness",
                value("ladders", peer, "native", "pooled"), peer == BRISQUE),
            Row(f"native detail: pooled, ours less {peer}, same photographs", "> 0", "robustness",
                value("ladders, main minus", peer, "pooled")),
        ]  # fmt: skip
    for test in ("D", "L", "P"):
        for way in (TWO, *PEERS):
            rows.append(Row(f"{test}-test, {way}", "printed", "robustness", value("ladders", way, test)))
    return rows


def _consistency() -> list[Row]:
    changes = "invisible changes"
    return [
        Row("spread over invisible changes, as a ratio to the plain head's", "<= 0.85", "consistency",
            value(changes, PLAIN, "ratio, MOS points"), True),
        Row("the same, to the plain ensemble's", "<= 0.85", "consistency",
            value(changes, ENSEMBLE, "ratio, MOS points"), True),
        Row("the same, to score only", "<= 0.85", "consistency", value(changes, ONLY, "ratio, MOS points")),
        *(Row(f"the same, to {peer}, for what each tells apart", "<= 0.85", "consistency",
              value(changes, peer, "ratio"), peer == BRISQUE) for peer in PEERS),
        Row("spread over 10 sampled runs, in MOS", "printed", "consistency",
            plain("sampled runs", TWO, "spread", form="{:.3f}")),
        Row("the same, as a ratio to the plain head over invisible changes", "<= 0.85", "consistency",
            value("sampled runs over the changes of others", PLAIN, "ratio, MOS points")),
    ]  # fmt: skip


def _scripts() -> list[Row]:
    return [
        Row("largest difference: batches, threads, processes", "<= 0.001", "agreement", furthest, True),
        Row("torch twin, scores within 0.01", "100 %", "agreement", share("torch, two rounds: share within 0.01")),
        Row("torch twin, same greedy text", ">= 95 %", "agreement",
            share("torch, two rounds: share with the same text")),
        Row("full assessment, warm, 12 MP JPEG, in s", "<= 1.5", "speed",
            plain("full assessment, 12 MP JPEG, warm, s"), True),
        Row("score only / BRISQUE, 512 px, time", "<= 0.4", "speed", plain("score only / brisque"), True),
        Row("cold `snellen assess`, 12 MP JPEG, in s", "<= 4", "speed", plain("cold snellen assess, 12 MP, s"), True),
        Row("peak memory, 24 MP, in MB", "<= 1,200", "speed",
            plain("peak memory of snellen assess, 24 MP, MB", form="{:.0f}"), True),
        Row("wheel, in MB", "<= 60", "speed", plain("wheel, MB", form="{:.0f}"), True),
        Row("installed with dependencies, in MB", "<= 350", "speed",
            plain("installed with dependencies, MB", form="{:.0f}"), True),
    ]  # fmt: skip


ROWS = (*_scores(), *_behaviour(), *_grounding(), *_faithfulness(), *_robustness(), *_consistency(), *_scripts())
