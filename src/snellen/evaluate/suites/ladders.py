"""Clean photographs and what distortions of rising strength make of them: part of the suite `robustness`.

At about the size of KADID-10k's pictures a photograph gets the four distortions of the Waterloo database at five levels
each, and every `TURNS`-th of the others; in native pixels it gets the ladders of `snellen.data.testsets`, of a large
one in its centre of 4 megapixels. All intervals are over photographs, since the pictures made of one are much alike.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from snellen.data.distort import DISTORTIONS
from snellen.data.levels import LEVELS, level_mos
from snellen.data.photographs import Photograph
from snellen.data.testsets import LADDERS, native_detail
from snellen.evaluate.perturb import distorted, realised_rung, reduced
from snellen.evaluate.predict import DataSet, Job, Row
from snellen.evaluate.pristine import pristine
from snellen.evaluate.report.plot import bars
from snellen.evaluate.report.tables import Figure, Table, number, spread
from snellen.evaluate.stats import correlation as metrics
from snellen.evaluate.stats import waterloo

Floats = npt.NDArray[np.float64]
Scores = Mapping[tuple[str, str], float]
"""Of one way, by key and variant; NaN where there is none."""

WATERLOO = ("gaussian_blur", "white_noise", "jpeg", "jpeg2000")
OTHERS = tuple(name for name in DISTORTIONS if name not in WATERLOO)
TURNS = 4
MOST, MOST_NATIVE = 24, 60
"""Photographs at most: at KADID-10k's size (56 or 61 pictures of each), and in native pixels (26 of each)."""
CLEAN, NATIVE = "reduced", "native"
"""Variants without a distortion."""
SEED, RESAMPLINGS = 0, 300
"""Of every bootstrap here: there are hundreds of them."""


def jobs(suite: str, sets: Sequence[DataSet], ways: tuple[str, ...]) -> list[Job]:
    """All pictures of the label-free tests; none where the run has no clean photographs."""
    found = []
    for turn, (key, sample) in enumerate(pristine(sets, MOST).items()):
        path = sample.path
        found.append(Job(suite, key, partial(reduced, path), path, ways, CLEAN))
        for name in (*WATERLOO, *OTHERS[turn % TURNS :: TURNS]):
            for level in LEVELS:
                seed = zlib.crc32(f"{key} {name}".encode())
                picture = partial(distorted, path, name, level, seed)
                found.append(Job(suite, key, picture, path, ways, variant_of(name, level)))
    for key, sample in pristine(sets, MOST_NATIVE).items():
        with Image.open(sample.path) as picture_file:
            photograph = Photograph(sample.path, *picture_file.size)
        for rung in native_detail([photograph]):
            variant = NATIVE if rung.ladder is None else f"{NATIVE} {variant_of(rung.ladder, rung.level)}"
            found.append(Job(suite, key, partial(realised_rung, rung), sample.path, ways, variant))
    return found


def variant_of(name: str, level: int) -> str:
    """How a distorted picture is called."""
    return f"{name} {level}"


def summarise(scores: Scores) -> dict[str, Any]:
    """All numbers of one way. Photographs and ladders where a score is missing are left out of what needs it."""
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


def _d(whole: Floats, items: Sequence[tuple[str, int]]) -> tuple[float, float, float]:
    """The D-test; levels that change nothing that can be seen are no distorted pictures.

    Each resampling has its own best threshold, as the value has: the interval leans to the high side.
    """
    seen = [1 + i for i, (name, level) in enumerate(items) if DISTORTIONS[name].kind_at(level) is not None]
    return _bootstrapped(lambda rows: waterloo.d_test(rows[:, 0], rows[:, seen].ravel())[0], whole)


def _p(spoilt: Floats, items: Sequence[tuple[str, int]]) -> tuple[float, float, float]:
    """The P-test over all pairs of distorted pictures, of one photograph or of two, that people surely tell apart."""
    opinion, std = zip(*(level_mos(*item) for item in items), strict=True)
    better, worse = waterloo.discriminable(opinion, std)

    def preference(rows: Floats) -> float:
        good, bad = np.broadcast_arrays(rows[:, None, better], rows[None, :, worse])
        return waterloo.p_test(good.ravel(), bad.ravel())

    return _bootstrapped(preference, spoilt)


def _bootstrapped(metric: metrics.Metric, *rows: Floats) -> tuple[float, float, float]:
    """With its interval over photographs; one photograph has none, no photograph has not even a value."""
    if len(rows[0]) < 2:
        return metric(*rows) if len(rows[0]) else math.nan, math.nan, math.nan
    return metrics.bootstrap_interval(metric, *rows, seed=SEED, n=RESAMPLINGS)


def _mean_of(values: Floats) -> tuple[float, float, float]:
    """Mean of all values that are there, with its interval over rows: (photographs,) or (photographs, lists)."""
    some = values[~np.isnan(values.reshape(len(values), -1)).all(axis=1)] if len(values) else values
    return _bootstrapped(lambda rows: float(np.nanmean(rows)), some)


def _by_level(scores: Scores, key: str, name: str) -> float:
    """Rank correlation of score and human mean over the levels; NaN where the photograph lacks one.

    By the human means and not by the level, since `mean_shift` and `contrast` are best in the middle.
    """
    row = [scores.get((key, variant_of(name, level)), math.nan) for level in LEVELS]
    wanted = [level_mos(name, level)[0] for level in LEVELS]
    return math.nan if np.isnan(row).any() else metrics.mean_rank_correlation([row], wanted)


def native(scores: Scores) -> dict[str, Any]:
    """Of the ladders in native pixels, see `snellen.data.testsets.LADDERS`.

    ladders: mean rank correlation of score and rung over the five rungs; with the original: over six; points lost:
    from the first rung to the last, in the way's own unit; all ladders: the mean over all of them together, five
    rungs; pooled: SRCC over all rungs of all photographs with the human level means.
    """
    keys, table = _rungs(scores)
    found: dict[str, Any] = {"photographs": len(keys), "ladders": {}}
    for name, rows in zip(LADDERS, table.transpose(1, 0, 2), strict=True):
        rows = rows[~np.isnan(rows).any(axis=1)]
        found["ladders"][name] = {
            "n": len(rows),
            "five rungs": _mean_of(np.array([waterloo.l_test([row[1:]]) for row in rows], float)),
            "with the original": _mean_of(np.array([waterloo.l_test([row]) for row in rows], float)),
            "points lost": float(np.mean(rows[:, 1] - rows[:, -1])) if len(rows) else math.nan,
        }
    return found | {"all ladders": _mean_of(_within_ladders(table)), "pooled": _bootstrapped(_pooled, table)}


def _rungs(scores: Scores) -> tuple[list[str], Floats]:
    """Keys, and scores (photographs, ladders, original and five rungs); NaN where there is none."""
    keys = list(dict.fromkeys(key for key, variant in scores if variant == NATIVE))
    names = [[NATIVE, *(f"{NATIVE} {variant_of(name, level)}" for level in LEVELS)] for name in LADDERS]
    table = np.array([[[scores[key, name] for name in those] for those in names] for key in keys], float)
    return keys, table.reshape(len(keys), len(LADDERS), 1 + len(LEVELS))


def _within_ladders(table: Floats) -> Floats:
    """Rank correlation of score and rung (photographs, ladders); NaN where a rung has no score."""
    found = [[math.nan if np.isnan(row).any() else waterloo.l_test([row[1:]]) for row in rows] for rows in table]
    return np.array(found, float).reshape(table.shape[:2])


def _pooled(table: Floats) -> float:
    """SRCC of all rungs with the human level means; NaN without any score."""
    human = np.array([[ladder.human_mean(level) for level in LEVELS] for ladder in LADDERS.values()], float)
    said, wanted = table[:, :, 1:].ravel(), np.broadcast_to(human, (len(table), *human.shape)).ravel()
    there = ~np.isnan(said)
    return metrics.srcc(said[there], wanted[there]) if there.any() else math.nan


def against(ours: Scores, theirs: Scores) -> dict[str, Any]:
    """Ours less theirs on the native ladders of the photographs that both have, with paired intervals.

    Peers may have seen fewer photographs (`--peer-samples`), so that their values beside ours are of other pictures.
    """
    (keys, a), (others, b) = _rungs(ours), _rungs(theirs)
    both = [key for key in keys if key in others]
    a, b = a[[keys.index(key) for key in both]], b[[others.index(key) for key in both]]
    there = ~np.isnan(a).any(axis=(1, 2)) & ~np.isnan(b).any(axis=(1, 2))
    a, b = a[there], b[there]
    return {
        "photographs": len(a),
        "all ladders": _mean_of(_within_ladders(a) - _within_ladders(b)),
        "pooled": _bootstrapped(lambda x, y: _pooled(x) - _pooled(y), a, b),
    }


def scores_of(rows: Sequence[Row]) -> Mapping[str, Scores]:
    """By way; NaN where there is no score."""
    found: dict[str, dict[tuple[str, str], float]] = {}
    for row in rows:
        found.setdefault(row.way, {})[row.key, row.variant] = math.nan if row.score is None else row.score
    return found


def show(ways: Mapping[str, Mapping[str, Any]], minus: Mapping[str, Mapping[str, Any]]) -> list[Table | Figure]:
    """Tables of what `summarise` and `against` found for each way, the main one first, and its bars."""
    tests = [
        [way, str(v["photographs"] - v["left out"]), spread(v["D"]), spread(v["L"]), spread(v["P"]),
         spread(v["monotony, all"])]
        for way, v in ways.items()
    ]  # fmt: skip
    main, best = next(iter(ways.items()))
    each = [[name, *(number(v["monotony"][name][0]) for v in ways.values())] for name in best["monotony"]]
    rungs = [[name, *(spread(v["native"]["ladders"][name]["five rungs"]) for v in ways.values())] for name in LADDERS]
    rungs.append(["mean over all ladders", *(spread(v["native"]["all ladders"]) for v in ways.values())])
    rungs.append(["all, against human level means", *(spread(v["native"]["pooled"]) for v in ways.values())])
    rungs.insert(0, ["photographs", *(str(v["native"]["photographs"]) for v in ways.values())])
    drawn = {name: value for name, value in best["monotony"].items() if not math.isnan(value[0])}
    less = [
        [way, str(v["photographs"]), spread(v["all ladders"]), spread(v["pooled"])]
        for way, v in minus.items() if v["photographs"]
    ]  # fmt: skip
    head = ["way", "photographs", "mean over all ladders", "all, against human level means"]
    return [
        Table("Without ratings", ["way", "photographs", "D-test", "L-test", "P-test", "monotony"], tests, SOURCE),
        Table(
            "Rank correlation of score and human mean over five levels, by distortion",
            ["distortion", *ways],
            each,
            "About the size of KADID-10k's pictures, 0.2 megapixels.",
        ),
        Figure(f"Monotony by distortion: {main}", bars(drawn)),
        Table("Native pixels: rank correlation of score and rung", ["ladder", *ways], rungs, FRAMES),
        Table(f"Native pixels: {main} minus this, on the photographs of both", head, less),
    ]


SOURCE = (
    "D, L and P are defined as by Ma et al. (Waterloo Exploration Database, IEEE TIP 2017), on their four distortions "
    "(JPEG, JPEG 2000, blur, noise) at five levels, but with KADID-10k's parameters and on other photographs, so the "
    "values are not comparable with theirs. D leaves out levels that change nothing that can be seen. P takes the "
    "pairs that KADID-10k's people tell apart by more than their spread, where Ma et al. take those on which three "
    "full-reference measures agree. Monotony: the mean of the next table."
)
FRAMES = "Photographs as they are up to 4 megapixels, otherwise their centre of 4 megapixels; nothing is shrunk."
