"""Answers of simulated raters in a study's store, along the way that people's answers take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from snellen.data.sets.csv_table import read_csv
from snellen.study.session import Study
from snellen.study.simulated import SimulatedRater, draw_raters
from snellen.usage import UsageError, wrong_usage


def simulate_study(study: Study, count: int, cheaters: int, truth: Path | None, seed: int) -> int:
    """Answer a study with `count` simulated raters, the first `cheaters` of which cheat; return the number of answers.

    truth: CSV table image,mos of true qualities; a picture that it lacks, and each without a table, has quality 3.
    Raises UsageError: people have answered already, or the table cannot be read.
    """
    if study.store.answers() or any(rater.opened for rater in study.store.raters()):
        raise UsageError(f"{study.folder} has answers; simulated raters need a study of their own")
    if not 0 <= cheaters <= count:
        raise UsageError(f"--cheaters is from 0 to {count}, the number of raters, not {cheaters}")
    quality = true_qualities(study, truth)
    study.store.durable = False
    rng = np.random.default_rng(seed)
    invited = study.store.invite(count, simulated=True)
    total = 0
    for (code, token), rater in zip(invited, draw_raters(count, rng, cheaters), strict=True):
        study.store.open_link(token, None)
        study.store.note(code, consented=True, screen={"simulated": True})
        total += _answer_all(study, code, rater, quality, rng)
    return total


def true_qualities(study: Study, truth: Path | None) -> dict[str, float]:
    """Return the quality, 1..5, of each picture of a study by key."""
    known: dict[str, float] = {}
    if truth is not None:
        with wrong_usage(OSError):
            samples = read_csv(truth)
        known = {str(Path(sample.path).resolve()): sample.mos for sample in samples if sample.mos is not None}
    return {picture.key: known.get(picture.path, 3.0) for picture in study.plan.pictures}


def _answer_all(
    study: Study, code: str, rater: SimulatedRater, quality: dict[str, float], rng: np.random.Generator
) -> int:
    clock = 0.0
    while (state := study.state(code))["stage"] == "items":
        position = state["position"]
        keys = [one["key"] for one in state["items"][0]["pictures"]]
        seconds = float(rng.lognormal(1.2, 0.4))
        body: dict[str, Any] = {"position": position, "seconds": seconds, "shown": clock, "answered": clock + seconds}
        body["answers"] = _answers(study, rater, [quality[key] for key in keys], position / state["total"], rng)
        study.answer(code, body)
        clock += seconds + 1.0
    return study.store.next_position(code)


def _answers(
    study: Study, rater: SimulatedRater, qualities: list[float], place: float, rng: np.random.Generator
) -> dict[str, Any]:
    if study.plan.rubric.is_pairs:
        return {"preferred": "first" if rater.chooses_first(qualities[0], qualities[1], rng) else "second"}
    found: dict[str, Any] = {}
    for question in study.plan.rubric.questions:
        if question.kind == "scale":
            found[question.name] = rater.rate(qualities[0], place, rng)
        elif question.kind == "choice":
            found[question.name] = question.words[int(rng.integers(len(question.words)))]
    return found
