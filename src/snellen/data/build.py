"""Training conversations from manifests (`snellen data build`).

The result is JSON lines, one conversation per line, made to be read by a person:

    {"path": ..., "split": ..., "real": true, "mos": 3.2, "first": 3.6, "first_std": 0.4, "size": [512, 512],
     "faults": [...], "rounds": [{"region": [0, 0, 1, 1], "rating": 3.6, "issues": 1, "reply": "<think>..."}]}
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from snellen.data.first_rating import FirstRating, predict_first_ratings, read_first_ratings
from snellen.data.known import Known, conversation, score_only_answer
from snellen.data.sample import ManifestError, Sample, fault_to_row, read_manifest
from snellen.features import measure
from snellen.image import load
from snellen.region import FULL, Region
from snellen.reply import Answer, Rationale, render_reply


def build(
    manifests: Sequence[Path],
    out: Path,
    *,
    seed: int = 0,
    first: Path | None = None,
    score_only_share: float = 0.25,
    limit: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write a conversation for every picture of the manifests and return the number of lines.

    Args:
        manifests: files of `snellen.data.sample`; every picture needs a MOS.
        out: file to write. The same seed writes the same file.
        seed: of crops, and of round 1's mistakes.
        first: JSON lines of path, rating and std with ratings of the first view, predicted by a model that did not
            learn from these pictures; without it they are predicted from measured features.
        score_only_share: share of the pictures that get a second line, whose answer has no text.
        limit: only so many pictures, the first ones.
        on_progress: called as ``on_progress(done, total)`` after each picture.

    Raises:
        ManifestError: a picture has no MOS, or no rating in `first`.
        ImageError: a picture cannot be read.
    """
    samples = [sample for manifest in manifests for sample in read_manifest(manifest)][:limit]
    labels = np.array([_label(sample) for sample in samples])
    measured, sizes = [], []
    for done, sample in enumerate(samples, 1):
        picture = load(sample.path)
        measured.append(measure(picture))
        sizes.append((picture.width, picture.height))
        if on_progress is not None:
            on_progress(done, len(samples))
    if first is None:
        ratings = predict_first_ratings(measured, labels, [one.group or one.path for one in samples], seed)
    else:
        ratings = given_ratings(first, [sample.path for sample in samples])
    out.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with out.open("w", encoding="utf-8") as file:
        for i, (sample, rated) in enumerate(zip(samples, ratings, strict=True)):
            real = not sample.faults and sample.reference is None
            known = Known(_label(sample), rated.rating, measured[i], rated.std, sample.faults, real)
            for row in rows(sample.path, sample.split, sizes[i], known, seed + i, score_only_share):
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
                count += 1
    return count


def _label(sample: Sample) -> float:
    if sample.mos is None:
        raise ManifestError(f"{sample.path}: no mos; a conversation needs to know how good the picture is")
    return sample.mos


def given_ratings(file: Path, paths: Sequence[str]) -> list[FirstRating]:
    """Return the first ratings of pictures, from a file; ManifestError names the first picture that it lacks."""
    table = read_first_ratings(file)
    missing = [path for path in paths if path not in table]
    if missing:
        raise ManifestError(f"{missing[0]}: no first rating in {file}; predict it, or leave the file out")
    return [table[path] for path in paths]


def rows(
    path: str,
    split: str,
    size: tuple[int, int] | None,
    known: Known,
    seed: int,
    score_only_share: float,
    opening: str = "",
    **more: Any,
) -> list[dict[str, Any]]:
    """Return the lines of one picture: its conversation, and for a share of pictures one without text.

    size: width and height, px, where known. opening: text before the first summary. more: further keys of the lines.
    """
    rng = np.random.default_rng(seed)
    told: list[tuple[Rationale | None, Answer]] = list(conversation(known, rng))
    rationale, answer = told[0]
    if rationale is not None and opening:
        told[0] = replace(rationale, summary=f"{opening} {rationale.summary}"), answer
    ways = [told]
    if rng.random() < score_only_share:
        ways.append([(None, score_only_answer(known))])
    row = {
        "path": path,
        "split": split,
        "real": known.real,
        "mos": round(known.label, 4),
        "first": round(known.first_rating, 4),
        "first_std": round(known.first_std, 4),
        "size": size,
        "faults": [fault_to_row(fault) for fault in known.faults],
    }
    return [{**row, **more, "rounds": rounds_of(way)} for way in ways]


def rounds_of(told: Sequence[tuple[Rationale | None, Answer]]) -> list[dict[str, Any]]:
    """Return the rounds of a conversation as JSON objects; each round after the first shows the box asked for."""
    region, rounds = FULL, []
    for number, (rationale, answer) in enumerate(told, 1):
        rounds.append(round_of(region, answer, render_reply(rationale, answer, number)))
        region = answer.region or FULL
    return rounds


def round_of(region: Region, answer: Answer, reply: str) -> dict[str, Any]:
    """Return one round as a JSON object. region: what its view shows."""
    return {"region": region.to_list(), "rating": round(answer.stated, 4), "issues": len(answer.issues), "reply": reply}
