"""Clean photographs and what distortions of rising strength make of them: part of the suite `robustness`.

At about the size of KADID-10k's pictures every photograph gets the four distortions of the Waterloo database at five
levels each, and every `TURNS`-th of the others; in native pixels some get the ladders of `snellen.data.testsets`.
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

from snellen import metrics
from snellen.data.distort import DISTORTIONS, LEVELS, level_mos
from snellen.data.sources import Photograph
from snellen.data.testsets import LADDERS, native_detail
from snellen.evaluate import waterloo
from snellen.evaluate.changes import distorted, realised_rung, reduced
from snellen.evaluate.plot import bars
from snellen.evaluate.predict import DataSet, Job, Row
from snellen.evaluate.pristine import pristine
from snellen.evaluate.tables import Figure, Table, number, spread

Floats = npt.NDArray[np.float64]
Scores = Mapping[tuple[str, str], float]
"""Of one way, by key and variant; NaN where there is none."""

WATERLOO = ("gaussian_blur", "white_noise", "jpeg", "jpeg2000")
OTHERS = tuple(name for name in DISTORTIONS if name not in WATERLOO)
TURNS = 4
MOST, MOST_NATIVE = 12, 12
"""Photographs at most: at KADID-10k's size, and in native pixels."""
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
    human = {name: _by_level(scores, keys, name) for name in DISTORTIONS}
    return {
        "photographs": len(keys),
        "left out": len(keys) - len(whole),
        "D": _d(whole, items),
        "L": _mean_of([waterloo.l_test([row]) for row in whole[:, 1:].reshape(-1, len(LEVELS))]),
        "P": _p(whole[:, 1:], items),
        "monotony": {name: _mean_of(found) for name, found in human.items()},
        "monotony, all": _mean_of([value for found in human.values() for value in found]),
        "native": native(scores),
    }


def _d(whole: Floats, items: Sequence[tuple[str, int]]) -> tuple[float, float, float]:
    """The D-test; levels that change nothing that can be seen are no distorted pictures."""
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


def _bootstrapped(metric: metrics.Metric, rows: Floats) -> tuple[float, float, float]:
    """With its interval over photographs."""
    if len(rows) == 0:
        return math.nan, math.nan, math.nan
    return metrics.bootstrap_interval(metric, rows, seed=SEED, n=RESAMPLINGS)


def _mean_of(values: Sequence[float]) -> tuple[float, float, float]:
    if not values:
        return math.nan, math.nan, math.nan
    return metrics.bootstrap_interval(lambda some: float(np.mean(some)), values, seed=SEED, n=RESAMPLINGS)


def _by_level(scores: Scores, keys: Sequence[str], name: str) -> list[float]:
    """For each photograph with that distortion: rank correlation of score and human mean over the levels.

    By the human means and not by the level, since `mean_shift` and `contrast` are best in the middle.
    """
    wanted = [level_mos(name, level)[0] for level in LEVELS]
    rows = [[scores.get((key, variant_of(name, level)), math.nan) for level in LEVELS] for key in keys]
    return [metrics.mean_rank_correlation([row], wanted) for row in rows if not np.isnan(row).any()]


def native(scores: Scores) -> dict[str, Any]:
    """Of the ladders in native pixels, see `snellen.data.testsets.LADDERS`.

    ladders: mean rank correlation of score and rung over the five rungs; with the original: over six; points lost:
    from the first rung to the last, in the way's own unit; all ladders: the mean over all of them together, five
    rungs; pooled: SRCC over all rungs of all photographs with the human level means.
    """
    keys = list(dict.fromkeys(key for key, variant in scores if variant == NATIVE))
    found: dict[str, Any] = {"photographs": len(keys), "ladders": {}}
    pooled: list[tuple[float, float]] = []
    every: list[float] = []
    for name, ladder in LADDERS.items():
        rungs = [f"{NATIVE} {variant_of(name, level)}" for level in LEVELS]
        rows = np.array([[scores[key, v] for v in (NATIVE, *rungs)] for key in keys], float).reshape(-1, 6)
        pooled += [(float(row[level]), ladder.human_mean(level)) for row in rows for level in LEVELS]
        rows = rows[~np.isnan(rows).any(axis=1)]
        five = [waterloo.l_test([row[1:]]) for row in rows]
        every += five
        found["ladders"][name] = {
            "n": len(rows),
            "five rungs": _mean_of(five),
            "with the original": _mean_of([waterloo.l_test([row]) for row in rows]),
            "points lost": float(np.mean(rows[:, 1] - rows[:, -1])) if len(rows) else math.nan,
        }
    found["all ladders"] = _mean_of(every)
    there = [pair for pair in pooled if not math.isnan(pair[0])]
    said, wanted = zip(*there, strict=True) if there else ((), ())
    found["pooled"] = metrics.bootstrap_interval(metrics.srcc, said, wanted, seed=SEED) if there else (math.nan,) * 3
    return found


def scores_of(rows: Sequence[Row]) -> Mapping[str, Scores]:
    """By way; NaN where there is no score."""
    found: dict[str, dict[tuple[str, str], float]] = {}
    for row in rows:
        found.setdefault(row.way, {})[row.key, row.variant] = math.nan if row.score is None else row.score
    return found


def show(ways: Mapping[str, Mapping[str, Any]]) -> list[Table | Figure]:
    """Tables of what `summarise` found for each way, the main one first, and its bars."""
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
    source = "D, L and P: Ma et al., Waterloo Exploration Database, 2017; pairs of P by KADID-10k's human level means."
    drawn = {name: value for name, value in best["monotony"].items() if not math.isnan(value[0])}
    return [
        Table("Without ratings", ["way", "photographs", "D-test", "L-test", "P-test", "monotony"], tests, source),
        Table(
            "Rank correlation of score and human mean over five levels, by distortion",
            ["distortion", *ways],
            each,
            "About the size of KADID-10k's pictures, 0.2 megapixels.",
        ),
        Figure(f"Monotony by distortion: {main}", bars(drawn)),
        Table("Native pixels: rank correlation of score and rung", ["ladder", *ways], rungs),
    ]
