"""Does the model look where the fault is, and name what it is? Pictures with faults of known kind, strength and place.

The clean photographs of a run of 4 megapixels and more give the local-fault set (`snellen.data.testsets`); pictures
of other sets whose manifest lists faults are taken as they are.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from snellen.data.photographs import Photograph
from snellen.data.sample import Fault
from snellen.data.synthesize import Recipe, read_recipes, write_recipes
from snellen.data.testsets import LOCAL_MEGAPIXELS, local_faults
from snellen.evaluate.modes import TWO, WAYS
from snellen.evaluate.perturb import realised
from snellen.evaluate.predict import DataSet, Job, Row
from snellen.evaluate.pristine import pristine
from snellen.evaluate.report.plot import bars
from snellen.evaluate.report.tables import Figure, Table, number, percent, spread
from snellen.evaluate.stats import boxes as naming
from snellen.evaluate.stats import correlation as metrics
from snellen.evaluate.stats import fault_drop as cost
from snellen.evaluate.stats import text as words
from snellen.region import Region
from snellen.usage import UsageError

SUITE = "grounding"
PER_PHOTOGRAPH = {"strong": 25, "mild": 5, "clean": 5}
ENOUGH = {"strong": 500, "mild": 100, "clean": 100}
"""Pictures of each sort: strong faults of level 3-5, mild ones of level 1-2, and none. Of many photographs only as many
from each as make up what is enough."""
SETS = {"level 3-5": (3, 4, 5), "level 1-2": (1, 2)}
EVEN, PEOPLE = "kind right, each level alike", "kind right, with what people say"
SEED = 0


@dataclass(frozen=True)
class Truth:
    """What is known of a picture: its faults, none for a clean one, and the MOS that it should get where known."""

    faults: tuple[Fault, ...]
    mos: float | None = None

    @property
    def kinds(self) -> frozenset[str]:
        """Of all its faults."""
        return frozenset(fault.kind for fault in self.faults)

    @property
    def main(self) -> Fault | None:
        """Its most severe fault."""
        return max(self.faults, key=lambda fault: fault.level, default=None)


def jobs(sets: Sequence[DataSet], ways: Sequence[str], folder: Path) -> list[Job]:
    """The local-fault set, and all pictures with faults in a manifest, in all ways; none without a text.

    The recipes are kept in FOLDER/grounding-recipes.jsonl: drawing them takes some minutes for 20 large photographs.
    """
    if ways[0] != TWO:
        return []
    taken = tuple(ways)
    found = [
        Job(SUITE, key, partial(realised, recipe), recipe.source, taken, variant_of(recipe))
        for key, recipe in _recipes(sets, folder)
    ]
    return found + [
        Job(SUITE, key, sample.path, sample.path, taken)
        for known in sets
        for key, sample in known.counted.items()
        if sample.faults
    ]


def _recipes(sets: Sequence[DataSet], folder: Path) -> list[tuple[str, Recipe]]:
    """The local-fault set with the key of each recipe's photograph, drawn once."""
    keys = {sample.path: key for key, sample in pristine(sets).items()}
    listed = folder / f"{SUITE}-recipes.jsonl"
    if not listed.exists():
        large = [p for p in map(_photograph, keys) if p.width * p.height >= 1e6 * LOCAL_MEGAPIXELS]
        if not large:
            return []
        counts = {name: min(each, math.ceil(ENOUGH[name] / len(large))) for name, each in PER_PHOTOGRAPH.items()}
        write_recipes(local_faults(large, **counts), listed)
    recipes = list(read_recipes(listed))
    strange = sorted({recipe.source for recipe in recipes} - keys.keys())
    if strange:
        raise UsageError(f"{listed} was drawn from other photographs ({strange[0]}); delete it, or use the same")
    return [(keys[recipe.source], recipe) for recipe in recipes]


def _photograph(path: str) -> Photograph:
    with Image.open(path) as picture:
        return Photograph(path, *picture.size)


def variant_of(recipe: Recipe) -> str:
    """What was done, as JSON, so that the predictions say it by themselves; `recipe_of` is the inverse."""
    region, frame = ([box.x0, box.y0, box.x1, box.y1] for box in (recipe.region, recipe.frame))
    what = {"distortion": recipe.distortion, "level": recipe.level, "region": region, "frame": frame}
    return json.dumps(what | {"base": recipe.base, "seed": recipe.seed})


def recipe_of(variant: str, source: str) -> Recipe:
    """The recipe that `variant_of` wrote down, for its photograph."""
    what = json.loads(variant)
    boxes = {name: Region(*what[name]) for name in ("region", "frame")}
    return Recipe(source=source, **what | boxes)


def truth(row: Row, sets: Sequence[DataSet]) -> Truth:
    """What is known of a row's picture."""
    sample = next(known.samples[row.key] for known in sets if row.key in known.samples)
    if not row.variant:
        return Truth(sample.faults, sample.mos)
    recipe = recipe_of(row.variant, sample.path)
    if recipe.distortion is None:
        return Truth((), recipe.mos)
    kind = recipe.kind
    if kind is None:
        raise ValueError(f"{row.key}: level {recipe.level} of {recipe.distortion} shows no fault that has a name")
    return Truth((Fault(recipe.distortion, kind, recipe.level, recipe.region),), recipe.mos)


def summarise(rows: Sequence[Row], sets: Sequence[DataSet]) -> dict[str, Any]:
    """Where crops and issue boxes go, what is named, and agreement with the synthetic MOS by way."""
    known = [(row, truth(row, sets)) for row in rows if row.way == TWO]
    groups = {
        name: [(row, main) for row, true in known if (main := true.main) is not None and main.level in levels]
        for name, levels in SETS.items()
    }
    clean = [row for row, true in known if not true.faults]
    looks = [rated_by_look(row.key, row.variant, [look.score for look in row.rounds]) for row, _ in known]
    rated = [one for one in looks if one is not None]
    return {
        "pictures": {name: len(group) for name, group in groups.items()} | {"clean": len(clean)},
        "without a score": sum(row.score is None for row, _ in known),
        "crops": {name: crops(group) for name, group in groups.items()},
        "issue boxes": {name: issue_boxes(group) for name, group in groups.items()},
        "box by look": box_by_look([(row, main) for group in groups.values() for row, main in group]),
        "kinds": kinds(known),
        "right kind named": {name: right_kind(group) for name, group in groups.items()},
        "severity": severity([(row, main) for group in groups.values() for row, main in group]),
        "clean pictures": {
            "false alarm": metrics.share([bool(row.issues) for row in clean]),
            "false alarm of severity 2 or more": metrics.share([naming.worst(row.issues) >= 2 for row in clean]),
            "asked for a crop": metrics.share([row.crop is not None for row in clean]),
        },
        "cost": cost.summary(cost.drops(rated)),
        "words": words.agreement(row for row, _ in known),
        "agreement": agreement(rows, sets),
    }


def rated_by_look(key: str, variant: str, scores: Sequence[float | None]) -> cost.Rated | None:
    """A picture of the local-fault set by its first look and its last, of the scores of all; one with a fault only
    where these are two. None of another picture, and where one of the two has no score."""
    if not variant or not scores or scores[0] is None or scores[-1] is None:
        return None
    recipe = recipe_of(variant, key)
    if recipe.kind is not None and len(scores) == 1:
        return None
    return cost.Rated(key, recipe.base - recipe.mos, scores[0], scores[-1])


def crops(group: Sequence[tuple[Row, Fault]]) -> dict[str, Any]:
    """How often there is a crop, and where it lies; where there is none it holds nothing and points nowhere.

    "random" and "central" are boxes of the size of the crop that was shown, "full" is the whole picture: what could be
    had without looking.
    """
    boxes = [(_salt(row), [row.crop] if row.crop else [], fault.region) for row, fault in group]
    return {
        "asked": metrics.share([row.crop is not None for row, _ in group]),
        "area": naming.mean(row.crop.area for row, _ in group if row.crop),
        "placed": naming.against_controls(boxes),
    }


def issue_boxes(group: Sequence[tuple[Row, Fault]]) -> dict[str, Any]:
    """Where the boxes of the issues lie: of all issues together, and of those of the right kind."""
    every = [(_salt(row), [issue.region for issue in row.issues], fault.region) for row, fault in group]
    right = [
        (_salt(row), [issue.region for issue in row.issues if issue.kind == fault.kind], fault.region)
        for row, fault in group
    ]
    return {
        "issues per picture": naming.mean(len(boxes) for _, boxes, _ in every),
        "area": naming.mean(box.area for _, boxes, _ in every for box in boxes),
        "all issues": naming.against_controls(every),
        "of the right kind": naming.against_controls([entry for entry in right if entry[1]]),
    }


def box_by_look(faulty: Sequence[tuple[Row, Fault]]) -> dict[str, Any]:
    """Does the second look place the fault better? Of what both looks name by its kind: IoU by each, and the difference
    with its interval."""
    pairs = [
        (first, last)
        for row, fault in faulty
        if row.crop is not None
        and (first := naming.overlap(row.rounds[0].issues, fault.kind, fault.region)) is not None
        and (last := naming.overlap(row.issues, fault.kind, fault.region)) is not None
    ]
    first, last = np.array(pairs, float).reshape(-1, 2).T
    found = {"pictures": len(pairs), "first": naming.mean(first), "last": naming.mean(last)}
    gain = metrics.bootstrap_interval(naming.mean, last - first, seed=SEED) if pairs else (math.nan,) * 3
    return found | {"last minus first": gain}


def _salt(row: Row) -> int:
    return zlib.crc32(f"{row.key} {row.variant}".encode())


def kinds(known: Sequence[tuple[Row, Truth]]) -> dict[str, Any]:
    """Precision, recall and F1 of the kinds named, over all pictures, clean ones too, and for each kind by itself.

    A reply without a score names nothing.
    """
    named = [frozenset(issue.kind for issue in row.issues) for row, _ in known]
    true = [what.kinds for _, what in known]

    def measure(only: frozenset[str]) -> dict[str, Any]:
        counts = naming.kind_counts([a & only for a in named], [b & only for b in true])
        precision, recall, f1 = naming.precision_recall_f1(*counts)
        return {"there": counts[0] + counts[2], "precision": precision, "recall": recall, "F1": f1}

    every = sorted(frozenset().union(*named, *true))
    return {
        "all": measure(frozenset(every)),
        "named in the first round": _recall_of_first_round(known),
        "by kind": {kind: measure(frozenset([kind])) for kind in every},
    }


def right_kind(group: Sequence[tuple[Row, Fault]]) -> tuple[float, float, float]:
    """How often the kind of the main fault is among those named; a reply without a score names nothing."""
    return metrics.share([any(issue.kind == fault.kind for issue in row.issues) for row, fault in group])


def _recall_of_first_round(known: Sequence[tuple[Row, Truth]]) -> tuple[float, float, float]:
    faulty = [(row, true.main.kind) for row, true in known if true.main is not None]
    return metrics.share([any(i.kind == kind for i in r.rounds[0].issues) if r.rounds else False for r, kind in faulty])


def severity(faulty: Sequence[tuple[Row, Fault]]) -> dict[str, Any]:
    """Rank correlation of the severity named with the level applied, with intervals.

    Over all pictures (the worst of any kind, 0 where nothing is named), and over those whose kind is named (of that
    kind): as many of each level as there are, each level counting alike, and with `Fault.severity`, what people say of
    that level, instead of the level.
    """
    named = [(naming.worst(row.issues, fault.kind), fault) for row, fault in faulty]
    right = [(said, fault.level) for said, fault in named if said]
    return {
        "all": _ranked(metrics.srcc, [(naming.worst(row.issues), fault.level) for row, fault in faulty]),
        "kind right": _ranked(metrics.srcc, right),
        EVEN: _ranked(metrics.balanced_srcc, right),
        PEOPLE: _ranked(metrics.srcc, [(said, fault.severity) for said, fault in named if said]),
        "pictures, kind right": len(right),
    }


def _ranked(correlation: metrics.Metric, pairs: Sequence[tuple[int, float]]) -> tuple[float, float, float]:
    if not pairs:
        return math.nan, math.nan, math.nan
    said, true = zip(*pairs, strict=True)
    return metrics.bootstrap_interval(correlation, said, true, seed=SEED)


def agreement(rows: Sequence[Row], sets: Sequence[DataSet]) -> dict[str, Any]:
    """Of each way with the MOS that the pictures should have: SRCC, RMSE, and how much better two rounds rank.

    Peers have other units, and so no RMSE.
    """
    wanted = {(row.key, row.variant): truth(row, sets).mos for row in rows if row.way == TWO}
    said: dict[str, dict[tuple[str, str], float]] = {}
    for row in rows:
        if row.score is not None and wanted.get((row.key, row.variant)) is not None:
            said.setdefault(row.way, {})[row.key, row.variant] = row.score
    found: dict[str, Any] = {}
    for way, scores in said.items():
        there = list(scores)
        both = [id for id in there if id in said.get(TWO, {})]
        a, b = ([said[name][id] for id in both] for name in (TWO, way)) if both else ([], [])
        target = [float(wanted[id] or math.nan) for id in there]
        found[way] = {
            "n": len(there),
            "srcc": metrics.bootstrap_interval(metrics.srcc, list(scores.values()), target, seed=SEED),
            "rmse": metrics.rmse(list(scores.values()), target) if way in WAYS else math.nan,
            "two rounds minus this, srcc": metrics.bootstrap_difference(
                metrics.srcc, a, b, [float(wanted[id] or math.nan) for id in both], seed=SEED
            ),
        }
    return found


def show(summary: Mapping[str, Any], rows: Sequence[Row], sets: Sequence[DataSet]) -> list[Table | Figure]:
    """The tables and bars of the report."""
    head = ["pictures", "box", "coverage", ">= half of the fault inside", "IoU", "points at it"]

    def placed_rows(name: str, found: Mapping[str, Mapping[str, float]]) -> list[list[str]]:
        return [
            [name, how, number(v["coverage"]), percent(v["half inside"]), number(v["IoU"]), percent(v["pointing"])]
            for how, v in found.items()
            if not math.isnan(v["coverage"])
        ]

    crop_rows = [line for name, group in summary["crops"].items() for line in placed_rows(name, group["placed"])]
    box_rows = [
        line
        for name, group in summary["issue boxes"].items()
        for which in ("all issues", "of the right kind")
        for line in placed_rows(f"{name}, {which}", group[which])
    ]
    every, first = summary["kinds"]["all"], summary["kinds"]["named in the first round"]
    named = {"all": every} | summary["kinds"]["by kind"]
    kind_rows = [
        [kind, str(v["there"]), percent(v["precision"]), percent(v["recall"]), number(v["F1"])]
        for kind, v in named.items()
    ]
    right = [[f"right kind named, {name}", percent(value)] for name, value in summary["right kind named"].items()]
    alarms = [[name, percent(value)] for name, value in summary["clean pictures"].items()]
    names = ("all", "kind right", EVEN, PEOPLE)
    ranked = [[f"severity, {name}, SRCC", spread(summary["severity"][name])] for name in names]
    boxes = summary["box by look"]
    placing = [[f"IoU of the right kind's box, {look} look", number(boxes[look])] for look in ("first", "last")]
    placing.append([f"the same, last less first, {boxes['pictures']} pictures", spread(boxes["last minus first"])])
    asked = "; ".join(f"{name}: asked {percent(group['asked'])}, area {number(group['area'])}"
                      for name, group in summary["crops"].items())  # fmt: skip
    ways = [
        [way, str(v["n"]), spread(v["srcc"]), number(v["rmse"]), spread(v["two rounds minus this, srcc"], 4)]
        for way, v in summary["agreement"].items()
    ]
    return [
        Table("Where the crop goes", head, crop_rows, f"{asked}. Random and central boxes are as large as the crop."),
        Table("Where the issues' boxes lie", head, box_rows),
        Table("Kinds named", ["kind", "pictures", "precision", "recall", "F1"], kind_rows),
        Figure(
            "How often a fault is named by its kind",
            bars({kind: v["recall"] for kind, v in named.items() if v["there"]}),
            "Recall, over all levels.",
        ),
        Table(
            "Severity, boxes by look, clean pictures",
            ["what", "value"],
            [*ranked, *placing, *right, ["right kind named in the first round", percent(first)], *alarms],
        ),
        cost.table(summary["cost"]),
        words.table(summary["words"]),
        Table(
            "Agreement with the synthetic MOS",
            ["way", "n", "SRCC", "RMSE", "SRCC of two rounds minus this"],
            ways,
        ),
    ]
