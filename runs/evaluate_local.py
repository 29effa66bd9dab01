"""`local`: does the second look go where the fault is, and does it help? Large pictures, one known regional fault."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from evaluate_biq import difference, scores, with_one_round
from evaluate_pictures import CENTRAL, ONE, ONLY, PLAIN, RANDOM, TWO, Job, Options, Outcome, assess_jobs
from evaluate_tables import SEED, number, percent, publish, spread, table

from snellen import metrics
from snellen.data.sources import Photograph
from snellen.data.synthesize import Recipe, read_recipes, write_recipes
from snellen.data.testsets import local_faults
from snellen.region import Region

MODES = (TWO, RANDOM, CENTRAL, PLAIN, ONLY)
SETS = {"severity 3-5": (3, 4, 5), "severity 1-2": (1, 2)}


def local(photographs: Sequence[Photograph], options: Options, modes: Sequence[str] = MODES) -> dict[str, Any]:
    """Tables of grounding, of kinds, and of agreement with the synthetic MOS."""
    listed = options.out / "local-recipes.jsonl"
    if not listed.exists():
        print("drawing the local-fault set: some minutes", file=sys.stderr)
        write_recipes(local_faults(photographs), listed)
    recipes = {f"{i:04d}": recipe for i, recipe in enumerate(read_recipes(listed))}
    found = with_one_round(assess_jobs("local", [Job(key, r) for key, r in recipes.items()], modes, options))
    recipes = {key: recipe for key, recipe in recipes.items() if key in next(iter(found.values()))}
    sets = {
        name: [key for key, r in recipes.items() if r.distortion and r.level in levels] for name, levels in SETS.items()
    }
    clean = [key for key, r in recipes.items() if r.distortion is None]
    data: dict[str, Any] = {"pictures": {name: len(keys) for name, keys in sets.items()} | {"clean": len(clean)}}
    tables = []
    if TWO in found:
        data["grounding"] = {
            name: {mode: grounding(found[mode], recipes, keys) for mode in (TWO, RANDOM, CENTRAL) if mode in found}
            for name, keys in sets.items()
        }
        data["naming"] = naming(found[TWO], recipes, sets, clean)
        data["kinds"] = kinds(found[TWO], recipes, sets["severity 3-5"])
        tables = [
            ("Where the crop goes", grounding_table(data["grounding"])),
            ("What is named, two rounds", naming_table(data["naming"])),
            ("Right kind named, severity 3-5", table(["kind", "pictures", "named"], data["kinds"])),
        ]
    data["agreement"], rows = {}, []
    keys = list(recipes)
    wanted = np.array([recipes[key].mos for key in keys])
    main = TWO if TWO in found else next(iter(found))
    best = scores(found[main], keys)
    for mode in (m for m in (TWO, ONE, RANDOM, CENTRAL, ONLY, PLAIN) if m in found):
        said = scores(found[mode], keys)
        there = ~np.isnan(said)
        row: dict[str, Any] = {
            "n": int(there.sum()),
            "srcc": metrics.bootstrap_interval(metrics.srcc, said[there], wanted[there], seed=SEED),
            "rmse": metrics.rmse(said[there], wanted[there]),
            "two rounds minus this, SRCC": difference(best, said, wanted),
        }
        data["agreement"][mode] = row
        cells = [spread(row["srcc"]), number(row["rmse"]), spread(row["two rounds minus this, SRCC"], 4)]
        rows.append([mode, row["n"], *cells])
    head = ["way", "n", "SRCC", "RMSE", "SRCC of two rounds minus this"]
    tables.append(("Agreement with the synthetic MOS, all pictures", table(head, rows)))
    publish("local", options.out, tables, data)
    return data


def crop_cover(row: Outcome, recipe: Recipe) -> float:
    """Share of the fault's area inside the crop, 0 when there was none."""
    return Region(*row["crop"]).covers(recipe.region) if row["crop"] else 0.0


def grounding(rows: Mapping[str, Outcome], recipes: Mapping[str, Recipe], keys: Sequence[str]) -> dict[str, Any]:
    """How often there is a crop and it holds the fault; no crop counts as a miss."""
    covers = np.array([crop_cover(rows[key], recipes[key]) for key in keys])
    crops = [Region(*rows[key]["crop"]) for key in keys if rows[key]["crop"]]
    ious = [Region(*rows[key]["crop"]).iou(recipes[key].region) for key in keys if rows[key]["crop"]]
    return {
        "crops": metrics.share([rows[key]["crop"] is not None for key in keys]),
        "half of the fault inside": metrics.share(covers >= 0.5),
        "area of the crop": float(np.mean([crop.area for crop in crops])) if crops else float("nan"),
        "IoU": float(np.mean(ious)) if ious else float("nan"),
    }


def grounding_table(data: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    head = ["pictures", "way", "crops", ">= 50 % of the fault inside", "mean area", "mean IoU"]
    cells = [
        [name, mode, percent(row["crops"]), percent(row["half of the fault inside"]),
         number(row["area of the crop"]), number(row["IoU"])]
        for name, modes in data.items()
        for mode, row in modes.items()
    ]  # fmt: skip
    return table(head, cells)


def worst(issues: Sequence[Sequence[Any]]) -> int:
    """The highest severity named, 0 for none."""
    return max((int(severity) for _, severity, _ in issues), default=0)


def of_true_kind(issues: Sequence[Sequence[Any]], recipe: Recipe) -> list[Sequence[Any]]:
    """Those issues that are of the kind that was applied."""
    return [issue for issue in issues if issue[0] == recipe.kind]


def named(issues: Sequence[Sequence[Any]], recipe: Recipe) -> bool:
    """Whether an issue of the true kind is among them."""
    return bool(of_true_kind(issues, recipe))


def naming(
    rows: Mapping[str, Outcome],
    recipes: Mapping[str, Recipe],
    sets: Mapping[str, Sequence[str]],
    clean: Sequence[str],
) -> dict[str, Any]:
    """Kinds, severities and boxes of the final issues against the truth, and alarms on clean pictures.

    A reply without a score has no issues: it misses every fault, and raises no alarm. `severity, all levels` ranks the
    highest severity named (0 for none) against the level; `..., right kind named` that of the issue of the true kind.
    """
    data: dict[str, Any] = {}
    for name, keys in sets.items():
        data[f"right kind named, {name}"] = metrics.share([named(rows[key]["issues"], recipes[key]) for key in keys])
        first = [named(rows[key]["first_issues"], recipes[key]) for key in keys]
        data[f"right kind named in the first round, {name}"] = metrics.share(first)
        boxes = [
            max(Region(*box).iou(recipes[key].region) for _, _, box in of_true_kind(rows[key]["issues"], recipes[key]))
            for key in keys
            if named(rows[key]["issues"], recipes[key])
        ]
        data[f"IoU of its box, {name}"] = float(np.mean(boxes)) if boxes else float("nan")
        data[f"issues per picture, {name}"] = float(np.mean([len(rows[key]["issues"]) for key in keys] or [0]))
    faulty = [key for keys in sets.values() for key in keys]
    right = [key for key in faulty if named(rows[key]["issues"], recipes[key])]
    level = {key: recipes[key].level for key in faulty}
    same_kind = [worst(of_true_kind(rows[key]["issues"], recipes[key])) for key in right]
    data["severity, all levels, SRCC"] = metrics.bootstrap_interval(
        metrics.srcc, [worst(rows[key]["issues"]) for key in faulty], [level[key] for key in faulty], seed=SEED
    )
    data["severity, right kind named, SRCC"] = metrics.bootstrap_interval(
        metrics.srcc, same_kind, [level[key] for key in right], seed=SEED
    )
    data["clean, false alarm"] = metrics.share([bool(rows[key]["issues"]) for key in clean])
    data["clean, false alarm of severity 2 or more"] = metrics.share([worst(rows[key]["issues"]) >= 2 for key in clean])
    data["clean, asked for a crop"] = metrics.share([rows[key]["crop"] is not None for key in clean])
    return data


def naming_table(data: Mapping[str, Any]) -> str:
    def cell(name: str, value: Any) -> str:
        if not isinstance(value, tuple):
            return number(value)
        return spread(value) if "SRCC" in name else percent(value)

    return table(["what", "value"], [[name, cell(name, value)] for name, value in data.items()])


def kinds(rows: Mapping[str, Outcome], recipes: Mapping[str, Recipe], keys: Sequence[str]) -> list[list[object]]:
    """For each kind: how many pictures, how often it was named."""
    table_rows: list[list[object]] = []
    for kind in sorted({str(recipes[key].kind) for key in keys}):
        those = [key for key in keys if recipes[key].kind == kind]
        right = [named(rows[key]["issues"], recipes[key]) for key in those]
        table_rows.append([kind, len(those), percent(float(np.mean(right)))])
    return table_rows
