"""Conversations from fault labels: `snellen data build --teacher labels:FILE`.

A label is one rater's account of a photograph: overall quality, faults with severity and box, and
one sentence (`why`). The writer turns them into the four sections; `why` opens the first summary where it names no kind
of fault that the label does not list.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from snellen.claims import kinds_in
from snellen.data.build import given_ratings, rows
from snellen.data.fault_labels import FOLDER, SETS, FaultLabel, by_picture, labels_at, read_labels
from snellen.data.first_rating import FirstRating, predict_first_ratings
from snellen.data.known import Known
from snellen.data.sample import ManifestError, Sample, read_manifest
from snellen.features import CELLS, Features, measure
from snellen.image import load

_SPLITS = {"train": "train", "dev": "val"}
"""Split of each part; labels of the part "check" are for evaluation only."""


@dataclass(frozen=True, eq=False)
class _Lesson:
    """One label with what is known of its picture: path, rating, split, and measurements (NaN without a picture)."""

    label: FaultLabel
    path: str
    mos: float
    split: str
    group: str
    measured: Features
    size: tuple[int, int] | None


def labels_file(source: str) -> Path:
    """Return the file of labels that `source` names: a set in the package (`SETS`) or a path."""
    return FOLDER / f"{source}.jsonl" if source in SETS else Path(source)


def build_from_labels(
    source: str,
    out: Path,
    manifests: Sequence[Path] = (),
    *,
    seed: int = 0,
    first: Path | None = None,
    score_only_share: float = 0.25,
    limit: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write a conversation for every label and return the number of lines.

    Args:
        source: file of labels, or the name of a set in the package.
        out: file to write. The same seed writes the same file.
        manifests: where the pictures are, joined by path or file name; labels of other pictures are left out. The
            rating is then the manifest's MOS (where it has none, the label's `overall`), and the text also states
            what is measured. Without manifests no picture is read: the rating is `overall`, "path" that of the label.
        seed: of crops, and of round 1's mistakes.
        first: ratings of the first view, see `snellen.data.build.build`.
        score_only_share: share of the labels that get a second line, whose answer has no text.
        limit: only so many labels, the first ones.
        on_progress: called as ``on_progress(done, total)`` after each label.

    Raises:
        ManifestError: no label fits a picture, a labelled picture is of the test split, or has no rating in `first`.
        ValueError: a line of the labels cannot be used.
        ImageError: a picture cannot be read.
    """
    labels = [label for label in read_labels(labels_file(source)) if label.part in _SPLITS]
    if manifests:
        samples = [sample for manifest in manifests for sample in read_manifest(manifest)]
        lessons = _lessons(labels, samples, limit, on_progress)
    else:
        nothing = unmeasured()
        lessons = [
            _Lesson(one, one.picture, one.overall, _SPLITS[one.part], one.picture, nothing, None)
            for one in labels[:limit]
        ]
    if not lessons:
        raise ManifestError(
            f"no picture of the manifests has a label in {source}; labels name a picture by its file, and "
            'those of the part "check" are for evaluation only'
        )
    count = 0
    with out.open("w", encoding="utf-8") as file:
        for i, (lesson, rated) in enumerate(zip(lessons, _first_ratings(lessons, first, seed), strict=True)):
            label = lesson.label
            known = Known(lesson.mos, rated.rating, lesson.measured, rated.std, real=True, labelled=label.minded)
            opening = label.why if fits(label.why, label) else ""
            teacher = {"labels": Path(source).stem, "rater": label.rater}
            for row in rows(
                lesson.path, lesson.split, lesson.size, known, seed + i, score_only_share, opening, teacher=teacher
            ):
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
                count += 1
    return count


def unmeasured() -> Features:
    """Return features of which nothing is known: NaN each, so that the writer claims no measured sign or strength."""
    real = measure(np.full((32, 32, 3), 128, np.uint8))
    maps = {name: np.full((CELLS, CELLS), np.nan, np.float32) for name in real.maps}
    return Features({name: replace(one, value=float("nan")) for name, one in real.values.items()}, maps)


def fits(why: str, label: FaultLabel) -> bool:
    """Return whether `why` may open a summary: one paragraph that ends as a sentence and names, in the vocabulary's
    words, only kinds of fault that the label lists or calls debatable ("wood grain" is no noise)."""
    known = {fault.kind for fault in label.faults} | label.debatable
    return why == " ".join(why.split()) and why.endswith((".", "!")) and "<" not in why and kinds_in(why) <= known


def _lessons(
    labels: Sequence[FaultLabel],
    samples: Sequence[Sample],
    limit: int | None,
    on_progress: Callable[[int, int], None] | None,
) -> list[_Lesson]:
    labelled = by_picture(labels)
    pairs = [(one, label) for one in samples for label in labels_at(one.path, labelled)][:limit]
    lessons: list[_Lesson] = []
    for sample, label in pairs:
        if sample.split == "test":
            raise ManifestError(f"{sample.path}: is of the test split, which nothing is taught on; remove its line")
        if lessons and lessons[-1].path == sample.path:  # of another rater
            measured, size = lessons[-1].measured, lessons[-1].size
        else:
            picture = load(sample.path)
            measured, size = measure(picture), (picture.width, picture.height)
        mos = label.overall if sample.mos is None else sample.mos
        group = sample.group or sample.path
        lessons.append(_Lesson(label, sample.path, mos, _SPLITS[label.part], group, measured, size))
        if on_progress is not None:
            on_progress(len(lessons), len(pairs))
    return lessons


def _first_ratings(lessons: Sequence[_Lesson], first: Path | None, seed: int) -> list[FirstRating]:
    """Return the ratings of first views: given, predicted, or where nothing is measured the labels' own."""
    if first is not None:
        return given_ratings(first, [one.path for one in lessons])
    if lessons[0].size is None:
        return [FirstRating(one.mos, 0.0) for one in lessons]
    measured, mos = [one.measured for one in lessons], np.array([one.mos for one in lessons])
    return predict_first_ratings(measured, mos, [one.group for one in lessons], seed)
