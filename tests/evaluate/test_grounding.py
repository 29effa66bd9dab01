# mypy: disable-error-code="comparison-overlap"
from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from evaluate_rows import pristine_set, reply, row

from snellen.backends.scripted import ScriptedBackend
from snellen.data.sample import Fault, Sample
from snellen.data.synthesize import Recipe, write_recipes
from snellen.evaluate.datasets import DataSet
from snellen.evaluate.predict import Options, predict
from snellen.evaluate.report.tables import Table
from snellen.evaluate.stats import correlation as metrics
from snellen.evaluate.suites import grounding, local_faults
from snellen.region import FULL, Region
from snellen.reply import Issue
from snellen.usage import UsageError

CORNER = Region(0.0, 0.0, 0.5, 0.5)
OTHER = Region(0.5, 0.5, 1.0, 1.0)


def faulty(**faults: Fault | None) -> DataSet:
    samples = {name: Sample(f"/{name}.png", 3.0, faults=(fault,) if fault else ()) for name, fault in faults.items()}
    return DataSet("made", {f"made/{name}.png": sample for name, sample in samples.items()})


def blur(level: int, region: Region = CORNER) -> Fault:
    return Fault("gaussian_blur", "blur", level, region)


def test_crops_and_controls_by_hand() -> None:
    sets = [faulty(a=blur(4), b=blur(5))]
    rows = [
        row("grounding", "made/a.png", 3.0, first=3.5, crop=CORNER),
        row("grounding", "made/b.png", 3.0),  # it did not look: it holds nothing
    ]
    found = grounding.summarise(rows, sets)["crops"]["level 3-5"]
    assert found["crop rate"][0] == 0.5
    predicted = found["localisation"]["predicted"]
    assert predicted == {"coverage": 0.5, "half covered": 0.5, "IoU": 0.5, "centre inside": 0.5}
    # a central box of half the sides covers a fourth of the corner, and its middle is the fault's (open) end
    assert found["localisation"]["centre"]["coverage"] == pytest.approx(0.125)
    assert found["localisation"]["centre"]["centre inside"] == 0.0
    assert found["localisation"]["whole picture"]["coverage"] == 0.5
    assert found["localisation"]["whole picture"]["IoU"] == pytest.approx(0.125)
    assert math.isnan(grounding.summarise(rows, sets)["crops"]["level 1-2"]["localisation"]["predicted"]["IoU"])


def test_issue_boxes_and_kinds_by_hand() -> None:
    sets = [faulty(a=blur(4), b=blur(2), c=None)]
    rows = [
        row("grounding", "made/a.png", 3.0, issues=[Issue("blur", 4, CORNER), Issue("noise", 1, OTHER)]),
        row("grounding", "made/b.png", 3.0, issues=[Issue("noise", 3, OTHER)]),
        row("grounding", "made/c.png", 4.0, issues=[Issue("noise", 1, FULL)]),
    ]
    found = grounding.summarise(rows, sets)
    assert found["issue boxes"]["level 3-5"]["issues per picture"] == 2.0
    assert found["issue boxes"]["level 3-5"]["right kind"]["predicted"]["IoU"] == 1.0
    assert found["issue boxes"]["level 1-2"]["all issues"]["predicted"]["coverage"] == 0.0
    assert found["kinds"]["all"] == {"pictures": 2, "precision": 0.25, "recall": 0.5, "F1": pytest.approx(1 / 3)}
    assert found["kinds"]["by kind"]["noise"]["precision"] == 0.0
    assert found["clean pictures"]["false-alarm rate"][0] == 1.0
    assert found["clean pictures"]["false-alarm rate, severity 2 or more"][0] == 0.0
    assert found["severity"]["pictures, right kind"] == 1
    assert found["severity"]["all, level"][0] == pytest.approx(1.0)


def test_boxes_by_look_by_hand() -> None:
    """Of what both looks name: half of the corner by the first, all of it by the last."""
    half = Region(CORNER.x0, CORNER.y0, CORNER.x1, (CORNER.y0 + CORNER.y1) / 2)
    seen, late, gone = (
        row("grounding", f"made/{name}.png", 3.0, first=3.2, crop=CORNER, issues=[Issue("blur", 4, CORNER)])
        for name in "abc"
    )
    saw = replace(seen.rounds[0], issues=(Issue("blur", 3, half), Issue("noise", 1, CORNER)))
    seen = replace(seen, rounds=(saw, seen.rounds[1]))
    gone = replace(gone, rounds=(saw, replace(gone.rounds[1], issues=())))
    found = grounding.summarise([seen, late, gone], [faulty(a=blur(4), b=blur(4), c=blur(4))])["IoU by round"]
    assert found == {"pictures": 1, "first": 0.5, "last": 1.0, "last minus first": (0.5, 0.5, 0.5)}
    nothing = grounding.summarise([late], [faulty(b=blur(4))])["IoU by round"]
    assert nothing["pictures"] == 0 and math.isnan(nothing["last minus first"][0])


def test_severity_by_hand() -> None:
    said = {"a": (3, 2), "b": (4, 4), "c": (5, 4), "d": (5, 5), "e": (5, None)}  # level, severity; e: another kind
    sets = [faulty(**{name: blur(level) for name, (level, _) in said.items()})]
    rows = [
        row("grounding", f"made/{name}.png", 3.0, issues=[Issue("blur" if mild else "noise", mild or 5, CORNER)])
        for name, (_, mild) in said.items()
    ]
    found = grounding.summarise(rows, sets)["severity"]
    assert found["pictures, right kind"] == 4
    assert found["right kind, level"][0] == pytest.approx(metrics.srcc([2, 4, 4, 5], [3, 4, 5, 5]))
    assert found["all, level"][0] == pytest.approx(metrics.srcc([2, 4, 4, 5, 5], [3, 4, 5, 5, 5]))


def test_severity_as_people_mind_it_by_hand() -> None:
    # people mind blur of level 4 (4.13) more than noise of level 5 (3.70), and both more than blur of level 2 (1.62)
    faults = {"a": blur(2), "b": blur(4), "c": Fault("white_noise", "noise", 5, CORNER)}
    sets, said = [faulty(**faults)], {"a": 1, "b": 4, "c": 3}
    rows = [
        row("grounding", f"made/{name}.png", 3.0, issues=[Issue(fault.kind, said[name], CORNER)])
        for name, fault in faults.items()
    ]
    found = grounding.summarise(rows, sets)["severity"]
    assert found["right kind, level"][0] == pytest.approx(0.5)
    assert found["right kind, opinion"][0] == pytest.approx(1.0)


def test_agreement_by_mode() -> None:
    sets = [
        DataSet("made", {f"made/{mos}": Sample(f"/{mos}.png", float(mos), faults=(blur(3),)) for mos in (1, 2, 3, 4)})
    ]
    rows = [row("grounding", f"made/{mos}", mos + 0.5, mode="two rounds") for mos in (1, 2, 3, 4)]
    rows += [
        row("grounding", f"made/{mos}", said, mode="piqe") for mos, said in {1: 10.0, 2: 30.0, 3: 20.0, 4: 40.0}.items()
    ]
    found = grounding.agreement(rows, sets)
    assert found["two rounds"]["srcc"][0] == pytest.approx(1.0)
    assert found["two rounds"]["rmse"] == pytest.approx(0.5)
    assert found["piqe"]["srcc"][0] == pytest.approx(0.8)  # one swap: 1 - 6 * 2 / (4 * 15)
    assert found["piqe"]["srcc, two rounds minus this"][0] == pytest.approx(0.2)
    assert math.isnan(found["piqe"]["rmse"])  # another unit


def test_a_reply_without_a_score_names_nothing() -> None:
    found = grounding.summarise([row("grounding", "made/a.png", None)], [faulty(a=blur(4))])
    assert found["without a score"] == 1
    assert found["kinds"]["all"]["recall"] == 0.0
    assert found["agreement"] == {}


def test_variants_say_what_was_done() -> None:
    recipe = Recipe("/p.png", Region(0.1, 0.0, 0.7, 0.9), 4.55, "jpeg", 4, Region(1 / 3, 0.2, 0.6, 0.5), 77)
    assert local_faults.recipe_of(local_faults.variant_of(recipe), "/p.png") == recipe


def test_from_recipes_to_tables(tmp_path: Path) -> None:
    sets = [pristine_set(tmp_path / "clean")]
    paths = [sample.path for sample in sets[0].samples.values()]
    spoilt = [Recipe(path, FULL, 4.55, "gaussian_blur", level, CORNER, 1) for path in paths for level in (1, 2, 5)]
    listed = [recipe for recipe in spoilt if recipe.kind] + [Recipe(paths[0], FULL, 4.55, None, 1, FULL, 2)]
    write_recipes(listed, tmp_path / "grounding-recipes.jsonl")

    issue = Issue("blur", 3, CORNER)
    backend = ScriptedBackend([reply(3.0, CORNER, [issue]), reply(2.5, None, [issue], number=2)])
    jobs = local_faults.jobs(sets, ("two rounds", "plain head"), tmp_path)
    assert [job.key for job in jobs] == ["pristine/0.png"] * 2 + ["pristine/1.png"] * 2 + ["pristine/0.png"]
    rows = predict(jobs, Options(backend), tmp_path / "out")
    summary = grounding.summarise(rows, sets)
    assert summary["pictures"] == {"level 3-5": 2, "level 1-2": 2, "clean": 1}
    assert summary["kinds"]["all"]["recall"] == 1.0
    assert summary["clean pictures"]["false-alarm rate"][0] == 1.0
    assert math.isnan(summary["agreement"]["two rounds"]["srcc"][0])  # it says the same of everything
    json.dumps(summary)
    tables = grounding.show(summary, rows, sets)
    assert all(len(line) == len(table.head) for table in tables if isinstance(table, Table) for line in table.rows)


def test_recipes_of_other_photographs_are_refused(tmp_path: Path) -> None:
    write_recipes([Recipe("/elsewhere.png", FULL, 4.5, None, 1, FULL, 0)], tmp_path / "grounding-recipes.jsonl")
    with pytest.raises(UsageError, match="elsewhere.png"):
        local_faults.jobs([pristine_set(tmp_path / "clean")], ("two rounds",), tmp_path)


def test_nothing_to_do(tmp_path: Path) -> None:
    small = [pristine_set(tmp_path / "clean")]
    assert local_faults.jobs(small, ("two rounds",), tmp_path) == []  # under 4 megapixels
    assert local_faults.jobs([faulty(a=blur(3))], ("score only",), tmp_path) == []  # no words, no crops


def noisy_and_clean(level: int = 5) -> tuple[str, str, float]:
    """Variants of a recipe with noise in a corner and of one without, and the expected drop of the noise."""
    noisy = Recipe("/p.png", FULL, 4.5, "white_noise", level, CORNER, 1)
    clean = Recipe("/p.png", FULL, 4.5, None, 1, FULL, 1)
    return local_faults.variant_of(noisy), local_faults.variant_of(clean), noisy.base - noisy.mos


def test_score_drops_by_round() -> None:
    noisy, clean, expected = noisy_and_clean()
    known: list[tuple[str, str, Sequence[float | None]]] = [
        ("p/a", clean, [3.9, 3.7]),
        ("p/a", clean, [4.1]),  # a clean picture may have one round: 4.1 in both
        ("p/a", noisy, [3.5, 2.9]),
        ("p/a", noisy, [3.0]),  # a fault without a second round
        ("p/a", noisy, [3.0, None]),
        ("p/b", noisy, [3.0, 2.0]),  # a photograph without a clean picture
        ("p/a", "", [3.0, 2.0]),  # not of the local-fault set
    ]
    drops = local_faults.drops_by_round(known)
    assert [drop is None for drop in drops] == [True, True, False, True, True, True, True]
    assert drops[2] == (expected, pytest.approx(4.0 - 3.5), pytest.approx(3.9 - 2.9))


def test_the_share_of_drops_that_the_last_round_improves() -> None:
    noisy, clean, expected = noisy_and_clean()
    rows = [row("grounding", "p/a", 4.5, variant=clean)]
    rows += [
        row("grounding", "p/a", 4.5 - last * expected, first=4.5 - first * expected, crop=CORNER, variant=noisy)
        for first, last in ((0.4, 0.9), (0.9, 0.4), (0.9, 1.3))
    ]
    found = grounding.drop_summary(rows)
    assert found["pictures"] == 3 and found["expected"] == pytest.approx(expected)
    assert found["first round"] == pytest.approx(expected * (0.4 + 0.9 + 0.9) / 3)
    assert found["error, last round"] == pytest.approx(expected * (0.1 + 0.6 + 0.3) / 3)
    assert found["last round closer"].value == pytest.approx(1 / 3), "a drop beyond the expected one is an error too"
