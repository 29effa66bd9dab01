"""Ladders: clean photographs under distortions of rising level. Part of the suite `robustness`.

At about the size of KADID-10k's pictures each photograph gets the four distortions of the Waterloo database at five
levels, and every `TURNS`-th of the others; at native pixels it gets the ladders of `snellen.data.testsets`, a large one
in its centre of 4 megapixels. All intervals are over photographs.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from PIL import Image

from snellen.data.distort import DISTORTIONS
from snellen.data.levels import LEVELS, level_mos
from snellen.data.photographs import Photograph
from snellen.data.testsets import LADDERS, native_detail
from snellen.evaluate.datasets import DataSet, pristine
from snellen.evaluate.perturb import distorted, realised_rung, reduced
from snellen.evaluate.predict import Job
from snellen.evaluate.report.plot import bars
from snellen.evaluate.report.tables import Figure, Table, estimate, number
from snellen.evaluate.rows import Row
from snellen.evaluate.stats import waterloo
from snellen.evaluate.stats.arrays import Floats
from snellen.evaluate.stats.bootstrap import Estimate, Metric, bootstrap_interval
from snellen.evaluate.stats.correlation import mean_rank_correlation, srcc

Scores = Mapping[tuple[str, str], float]
"""Scores of one mode by key and variant; NaN where there is none."""

WATERLOO = ("gaussian_blur", "white_noise", "jpeg", "jpeg2000")
OTHERS = tuple(name for name in DISTORTIONS if name not in WATERLOO)
TURNS = 4
MAX_PHOTOGRAPHS, MAX_NATIVE = 24, 60
"""Photographs at KADID-10k's size (56 or 61 pictures of each), and at native pixels (26 of each)."""
CLEAN, NATIVE = "reduced", "native"
"""Variants without a distortion."""
RESAMPLINGS = 300
"""Resamplings of each bootstrap; there are hundreds of bootstraps."""


def jobs(suite: str, sets: Sequence[DataSet], modes: tuple[str, ...]) -> list[Job]:
    """Return the pictures of all ladders; none where the run has no clean photographs."""
    found = []
    for turn, (key, sample) in enumerate(pristine(sets, MAX_PHOTOGRAPHS).items()):
        path = sample.path
        found.append(Job(suite, key, partial(reduced, path), path, modes, CLEAN))
        for name in (*WATERLOO, *OTHERS[turn % TURNS :: TURNS]):
            for level in LEVELS:
                seed = zlib.crc32(f"{key} {name}".encode())
                picture = partial(distorted, path, name, level, seed)
                found.append(Job(suite, key, picture, path, modes, variant_of(name, level)))
    for key, sample in pristine(sets, MAX_NATIVE).items():
        with Image.open(sample.path) as picture_file:
            photograph = Photograph(sample.path, *picture_file.size)
        for rung in native_detail([photograph]):
            variant = NATIVE if rung.ladder is None else f"{NATIVE} {variant_of(rung.ladder, rung.level)}"
            found.append(Job(suite, key, partial(realised_rung, rung), sample.path, modes, variant))
    return found


def variant_of(name: str, level: int) -> str:
    """Return the variant of a distorted picture."""
    return f"{name} {level}"


def summarise(scores: Scores) -> dict[str, Any]:
    """Return all numbers of one mode. A photograph or ladder with a missing score is left out where it is needed."""
    keys = list(dict.fromkeys(key for key, variant in scores if variant == CLEAN))
    items = [(name, level) for name in WATERLOO for level in LEVELS]
    table = np.array(
        [[scores[key, CLEAN], *(scores[key, variant_of(*item)] for item in items)] for key in keys], float
    ).reshape(-1, 1 + len(items))
    whole = table[~np.isnan(table).any(axis=1)]
    lists = whole[:, 1:].reshape(len(whole), len(WATERLOO), len(LEVELS))
    human = np.array([[_by_level(scores, key, name) for name in DISTORTIONS] for key in keys], float)
    human = human.reshape(-1, len(DISTORTIONS))
    return {
        "photographs": len(keys),
        "left out": len(keys) - len(whole),
        "D": _d(whole, items),
        "L": _mean_of(np.array([[waterloo.l_test([row]) for row in those] for those in lists], float)),
        "P": _p(whole[:, 1:], items),
        "monotony": {name: _mean_of(human[:, i]) for i, name in enumerate(DISTORTIONS)},
        "monotony, all": _mean_of(human),
        "native": native(scores),
    }


def _d(whole: Floats, items: Sequence[tuple[str, int]]) -> Estimate:
    """Return D; levels without a visible change do not count as distorted.

    Each resampling has its own best threshold, so the interval is biased upwards, as the value is.
    """
    seen = [1 + i for i, (name, level) in enumerate(items) if DISTORTIONS[name].kind_at(level) is not None]
    return _bootstrapped(lambda rows: waterloo.d_test(rows[:, 0], rows[:, seen].ravel())[0], whole)


def _p(distorted_scores: Floats, items: Sequence[tuple[str, int]]) -> Estimate:
    """Return P over all discriminable pairs of distorted pictures, of one photograph or of two."""
    opinion, std = zip(*(level_mos(*item) for item in items), strict=True)
    better, worse = waterloo.discriminable(opinion, std)

    def preference(rows: Floats) -> float:
        good, bad = np.broadcast_arrays(rows[:, None, better], rows[None, :, worse])
        return waterloo.p_test(good.ravel(), bad.ravel())

    return _bootstrapped(preference, distorted_scores)


def _bootstrapped(metric: Metric, *rows: Floats) -> Estimate:
    """Return the metric with its interval over photographs: none of one photograph, no value of no photograph."""
    if len(rows[0]) < 2:
        return Estimate(metric(*rows) if len(rows[0]) else math.nan, math.nan, math.nan)
    return bootstrap_interval(metric, *rows, n=RESAMPLINGS)


def _mean_of(values: Floats) -> Estimate:
    """Return the mean of all values but NaN, (photographs,) or (photographs, lists), with its interval over rows."""
    some = values[~np.isnan(values.reshape(len(values), -1)).all(axis=1)] if len(values) else values
    return _bootstrapped(lambda rows: float(np.nanmean(rows)), some)


def _by_level(scores: Scores, key: str, name: str) -> float:
    """Return the SRCC of score and mean opinion over the levels; NaN where the photograph lacks one.

    Mean opinions take the place of levels because `mean_shift` and `contrast` are best in the middle.
    """
    row = [scores.get((key, variant_of(name, level)), math.nan) for level in LEVELS]
    wanted = [level_mos(name, level)[0] for level in LEVELS]
    return math.nan if np.isnan(row).any() else mean_rank_correlation([row], wanted)


def native(scores: Scores) -> dict[str, Any]:
    """Return the numbers of the ladders at native pixels, see `snellen.data.testsets.LADDERS`.

    "five rungs": mean SRCC of score and rung; "with the original": over six; "score drop": from the first rung to the
    last, in the mode's unit; "all ladders": the mean over all ladders, five rungs; "pooled": SRCC over all rungs of all
    photographs with the mean opinions of the levels.
    """
    keys, table = _rungs(scores)
    found: dict[str, Any] = {"photographs": len(keys), "ladders": {}}
    for name, rows in zip(LADDERS, table.transpose(1, 0, 2), strict=True):
        rows = rows[~np.isnan(rows).any(axis=1)]
        found["ladders"][name] = {
            "n": len(rows),
            "five rungs": _mean_of(np.array([waterloo.l_test([row[1:]]) for row in rows], float)),
            "with the original": _mean_of(np.array([waterloo.l_test([row]) for row in rows], float)),
            "score drop": float(np.mean(rows[:, 1] - rows[:, -1])) if len(rows) else math.nan,
        }
    return found | {"all ladders": _mean_of(_within_ladders(table)), "pooled": _bootstrapped(_pooled, table)}


def _rungs(scores: Scores) -> tuple[list[str], Floats]:
    """Return keys and scores (photographs, ladders, original and five rungs); NaN where there is none."""
    keys = list(dict.fromkeys(key for key, variant in scores if variant == NATIVE))
    names = [[NATIVE, *(f"{NATIVE} {variant_of(name, level)}" for level in LEVELS)] for name in LADDERS]
    table = np.array([[[scores[key, name] for name in those] for those in names] for key in keys], float)
    return keys, table.reshape(len(keys), len(LADDERS), 1 + len(LEVELS))


def _within_ladders(table: Floats) -> Floats:
    """Return the SRCC of score and rung (photographs, ladders); NaN where a rung has no score."""
    found = [[math.nan if np.isnan(row).any() else waterloo.l_test([row[1:]]) for row in rows] for rows in table]
    return np.array(found, float).reshape(table.shape[:2])


def _pooled(table: Floats) -> float:
    """Return the SRCC of all rungs with the mean opinions of their levels; NaN without any score."""
    human = np.array([[ladder.human_mean(level) for level in LEVELS] for ladder in LADDERS.values()], float)
    scores, wanted = table[:, :, 1:].ravel(), np.broadcast_to(human, (len(table), *human.shape)).ravel()
    known = ~np.isnan(scores)
    return srcc(scores[known], wanted[known]) if known.any() else math.nan


def difference(main: Scores, other: Scores) -> dict[str, Any]:
    """Return the main mode minus another on the native ladders of the photographs that both have, paired.

    Baselines may have seen fewer photographs (`--baseline-samples`), so their own values are of other pictures.
    """
    (keys, a), (others, b) = _rungs(main), _rungs(other)
    both = [key for key in keys if key in others]
    a, b = a[[keys.index(key) for key in both]], b[[others.index(key) for key in both]]
    complete = ~np.isnan(a).any(axis=(1, 2)) & ~np.isnan(b).any(axis=(1, 2))
    a, b = a[complete], b[complete]
    return {
        "photographs": len(a),
        "all ladders": _mean_of(_within_ladders(a) - _within_ladders(b)),
        "pooled": _bootstrapped(lambda x, y: _pooled(x) - _pooled(y), a, b),
    }


def scores_of(rows: Sequence[Row]) -> dict[str, Scores]:
    """Return scores by mode; NaN where there is none."""
    found: dict[str, dict[tuple[str, str], float]] = {}
    for row in rows:
        found.setdefault(row.mode, {})[row.key, row.variant] = math.nan if row.score is None else row.score
    return dict(found)


def show(modes: Mapping[str, Mapping[str, Any]], minus: Mapping[str, Mapping[str, Any]]) -> list[Table | Figure]:
    """Return the tables of `summarise` and `difference` for each mode, the main one first, and its bars."""
    tests = [
        [mode, str(v["photographs"] - v["left out"]), *(estimate(v[key]) for key in ("D", "L", "P", "monotony, all"))]
        for mode, v in modes.items()
    ]
    main, first = next(iter(modes.items()))
    each = [[name, *(number(v["monotony"][name].value) for v in modes.values())] for name in first["monotony"]]
    natives = [v["native"] for v in modes.values()]
    rungs = [
        ["photographs", *(str(v["photographs"]) for v in natives)],
        *([name, *(estimate(v["ladders"][name]["five rungs"]) for v in natives)] for name in LADDERS),
        ["mean over all ladders", *(estimate(v["all ladders"]) for v in natives)],
        ["all rungs with mean opinions", *(estimate(v["pooled"]) for v in natives)],
    ]
    monotony = {name: value for name, value in first["monotony"].items() if not math.isnan(value.value)}
    differences = [
        [mode, str(v["photographs"]), estimate(v["all ladders"]), estimate(v["pooled"])]
        for mode, v in minus.items() if v["photographs"]
    ]  # fmt: skip
    heading = "mode or baseline"
    head = [heading, "photographs", "mean over all ladders", "all rungs with mean opinions"]
    return [
        Table("D-, L- and P-test", [heading, "photographs", "D-test", "L-test", "P-test", "monotony"], tests, SOURCE),
        Table(
            "Monotony by distortion: SRCC of score and mean opinion over five levels",
            ["distortion", *modes],
            each,
            "At about the size of KADID-10k's pictures, 0.2 megapixels.",
        ),
        Figure(f"Monotony by distortion: {main}", bars(monotony)),
        Table("Native pixels: SRCC of score and rung", ["ladder", *modes], rungs, FRAMES),
        Table(f"Native pixels: {main} minus this, on the photographs of both", head, differences),
    ]


SOURCE = (
    "D, L and P as defined by Ma et al. (Waterloo Exploration Database, IEEE TIP 2017), on their four distortions "
    "(JPEG, JPEG 2000, blur, noise) at five levels, but with KADID-10k's parameters and on other photographs: the "
    "values are not comparable with theirs. D leaves out levels without a visible change. P takes the pairs whose "
    "opinions in KADID-10k differ by more than their spreads, where Ma et al. take those on which three full- "
    "reference measures agree. Monotony: mean of the next table."
)
FRAMES = "Photographs up to 4 megapixels as they are, larger ones in their centre of 4 megapixels, without resampling."
