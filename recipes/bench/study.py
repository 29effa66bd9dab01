r"""Check each estimator of `snellen study` on simulated raters whose bias, noise and cheating are known.

    python recipes/bench/study.py > docs/results/study.md       # or the names of some checks

With sureal, krippendorff, pingouin and choix installed it also prints how far they differ (pip install sureal
krippendorff pingouin choix). A few minutes on one core.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import math
from collections.abc import Callable, Sequence
from importlib import metadata

import numpy as np
import numpy.typing as npt

from snellen.study.opinions import mean_opinions, raters_needed
from snellen.study.order_effects import Course, order_effects
from snellen.study.pair_choice import next_pairs
from snellen.study.pair_scale import UNIT, fit_pairs
from snellen.study.rater_agreement import Level, intraclass_correlation, krippendorff_alpha
from snellen.study.rater_model import fit_rater_model
from snellen.study.raters import Extras, report_raters
from snellen.study.screening import bt500_screening
from snellen.study.simulated import CHEATS, SimulatedRater, draw_raters, rate_all

Floats = npt.NDArray[np.float64]
STUDIES = 40
"""Simulated studies of each row."""


def table(title: str, note: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table in Markdown."""
    print(f"\n## {title}\n\n{note}\n")
    for row in (head, ["---"] * len(head), *rows):
        print("| " + " | ".join(row) + " |")


def rms(values: npt.ArrayLike) -> float:
    """Root mean square, NaN left out."""
    return float(np.sqrt(np.nanmean(np.asarray(values, float) ** 2)))


def coverage_of_mos() -> None:
    """Coverage of the interval of the MOS, with Student's quantile and with 1.96."""
    rows = []
    for count in (3, 5, 10, 20):
        inside: dict[str, list[float]] = {"t": [], "normal": []}
        for seed in range(STUDIES):
            rng = np.random.default_rng(seed)
            crowd = draw_raters(2000, rng)
            quality = rng.uniform(1.5, 4.5, 30)
            truth = rate_all(quality, crowd, rng).mean(axis=1)
            found = mean_opinions(rate_all(quality, crowd[:count], rng))
            inside["t"].append(float(np.mean((found.low <= truth) & (truth <= found.high))))
            half = 1.96 * found.std / math.sqrt(count)
            inside["normal"].append(float(np.mean(np.abs(found.mos - truth) <= half)))
        rows.append([str(count), *(f"{100 * np.mean(inside[name]):.1f} %" for name in ("t", "normal"))])
    note = "Share of pictures whose interval holds the mean opinion of 2,000 raters; 95 % is wanted."
    table("Interval of the MOS", note, ["raters", "Student's t (ours)", "1.96"], rows)


def rater_model() -> None:
    """Errors of the rater model against the truth, without and with careless raters."""
    rows = []
    for count, careless in ((8, 0), (20, 0), (20, 4)):
        found: dict[str, list[float]] = {name: [] for name in ("mos", "model", "bias", "noise", "inside")}
        for seed in range(STUDIES):
            rng = np.random.default_rng(seed)
            raters = [SimulatedRater(float(rng.normal(0, 0.35)), float(0.6 * np.exp(rng.normal(0, 0.25))))
                      for _ in range(count)]  # fmt: skip
            raters[:careless] = [SimulatedRater(r.bias, 2.0) for r in raters[:careless]]
            quality = rng.uniform(1.5, 4.5, 60)
            bias, noise = np.array([r.bias for r in raters]), np.array([r.noise for r in raters])
            ratings = quality[:, None] + bias + noise * rng.standard_normal((60, count))
            model = fit_rater_model(ratings)
            shown = quality + bias.mean()  # only differences of bias can be known
            found["mos"].append(rms(ratings.mean(axis=1) - shown))
            found["model"].append(rms(model.quality - shown))
            found["bias"].append(rms(model.bias - (bias - bias.mean())))
            found["noise"].append(rms(model.inconsistency / noise - 1))
            found["inside"].append(float(np.mean((model.low <= shown) & (shown <= model.high))))
        mean = {name: float(np.mean(values)) for name, values in found.items()}
        rows.append([
            f"{count}, {careless} of them careless", f"{mean['mos']:.3f}", f"{mean['model']:.3f}",
            f"{mean['bias']:.3f}", f"{100 * mean['noise']:.0f} %", f"{100 * mean['inside']:.1f} %",
        ])  # fmt: skip
    note = "60 pictures; root mean square errors in steps. Careless: noise of 2, where others have 0.6. 95 % is wanted."
    head = ["raters", "MOS", "quality", "bias", "inconsistency", "coverage of the quality's interval"]
    table("Rater model (P.910 annex E)", note, head, rows)


def cheaters() -> None:
    """Precision and recall of leaving out, by kind of cheating, and of BT.500 alone."""
    for pictures, repeats in ((40, 8), (100, 12)):
        caught: dict[str, list[bool]] = {name: [] for name in CHEATS}
        by_bt500: dict[str, list[bool]] = {name: [] for name in CHEATS}
        wrongly, wrongly_bt500 = [], []
        for seed in range(STUDIES):
            rng = np.random.default_rng(seed)
            raters = draw_raters(25, rng, cheaters=5)
            quality = rng.uniform(1.3, 4.7, pictures)
            ratings = rate_all(quality, raters, rng)
            extras = [
                Extras(math.nan, 0, np.array([(row, r.rate(q, 0.9, rng)) for row, q in zip(own, quality, strict=True)]
                                             )[:repeats], np.full(pictures, 3.0))
                for r, own in zip(raters, ratings.T, strict=True)
            ]  # fmt: skip
            report = report_raters([str(n) for n in range(25)], ratings, extras)
            screened = bt500_screening(ratings).rejected
            for at, rater in enumerate(raters):
                if rater.cheat:
                    caught[rater.cheat].append(not report[at].kept)
                    by_bt500[rater.cheat].append(bool(screened[at]))
                else:
                    wrongly.append(not report[at].kept)
                    wrongly_bt500.append(bool(screened[at]))
        rows = [[f"recall, {kind}", f"{100 * np.mean(caught[kind]):.0f} %", f"{100 * np.mean(by_bt500[kind]):.0f} %"]
                for kind in CHEATS]  # fmt: skip
        for name in ("recall, all", "precision"):
            cells = []
            for found, wrong in ((caught, wrongly), (by_bt500, wrongly_bt500)):
                hits = sum(map(sum, found.values()))
                whole = sum(map(len, found.values())) if name != "precision" else hits + sum(wrong)
                cells.append(f"{100 * hits / whole:.0f} %" if whole else "-")
            rows.append([name, *cells])
        rows.append(
            ["honest raters left out", f"{100 * np.mean(wrongly):.1f} %", f"{100 * np.mean(wrongly_bt500):.1f} %"]
        )
        note = (
            f"{STUDIES} studies of 25 raters, 5 of whom cheat, one in each way; {pictures} pictures, {repeats} "
            "repeats, no golden items, honest times."
        )
        table(f"Cheaters, {pictures} pictures", note, ["", "all rules", "BT.500 alone"], rows)


def scale_of_pairs() -> None:
    """Error of the scale by number of comparisons, adaptive against random pairs, and coverage of differences."""
    count, rows = 16, []
    for spread, number in ((0.7, 120), (1.5, 60), (1.5, 120), (1.5, 240), (3.0, 120), (3.0, 480)):
        errors: dict[str, list[float]] = {"adaptive": [], "random": []}
        inside: dict[str, list[float]] = {"adaptive": [], "random": []}
        for seed in range(STUDIES // 2):
            for how in errors:
                rng = np.random.default_rng(seed)
                truth = rng.normal(0, spread, count)
                wins, left = np.zeros((count, count)), number
                while left:
                    if how == "adaptive":
                        pairs = next_pairs(wins, min(left, count - 1), rng)
                    else:
                        drawn = [rng.choice(count, 2, replace=False) for _ in range(min(left, count - 1))]
                        pairs = [(int(i), int(j)) for i, j in drawn]
                    for i, j in pairs:
                        first = rng.standard_normal() < UNIT["thurstone"] * (truth[i] - truth[j])
                        wins[(i, j) if first else (j, i)] += 1
                    left -= len(pairs)
                found = fit_pairs(wins)
                errors[how].append(rms(found.quality - (truth - truth.mean())))
                off = (found.quality[:, None] - found.quality) - (truth[:, None] - truth)
                variance = np.diag(found.covariance)
                std = np.sqrt(np.maximum(variance[:, None] + variance - 2 * found.covariance, 0))
                inside[how].append(float(np.mean((np.abs(off) <= 1.96 * std)[np.triu_indices(count, 1)])))
        rows.append([f"{spread:g} JOD, {number} comparisons", *(f"{np.mean(errors[how]):.2f}" for how in errors),
                     *(f"{100 * np.mean(inside[how]):.1f} %" for how in inside)])  # fmt: skip
    note = (
        f"{STUDIES // 2} studies a row, 16 pictures, normal qualities; root mean square error in JOD. Coverage of "
        "differences: 95 % is wanted."
    )
    head = ["spread", "error, adaptive", "error, random pairs", "coverage, adaptive", "coverage, random"]
    table("Pairs (Thurstone, Case V)", note, head, rows)


def agreement() -> None:
    """Intraclass correlation and alpha against the variances they estimate."""
    rows = []
    for noise in (0.4, 0.8, 1.6):
        icc, alpha = [], []
        for seed in range(STUDIES):
            rng = np.random.default_rng(seed)
            ratings = rng.normal(3, 1, (80, 1)) + rng.normal(0, 0.4, 12) + rng.normal(0, noise, (80, 12))
            icc.append(intraclass_correlation(ratings).single)
            alpha.append(krippendorff_alpha(ratings))
        truth = 1 / (1 + 0.16 + noise**2)
        rows.append([f"{noise:g}", f"{truth:.3f}", *(f"{np.mean(v):.3f} ± {np.std(v):.3f}" for v in (icc, alpha))])
    note = "80 pictures of standard deviation 1, 12 raters with biases of 0.4; truth: variance of pictures over all."
    table("Agreement of raters", note, ["noise", "truth", "ICC(2,1)", "alpha"], rows)


def power() -> None:
    """Half width that the recommended number of raters reaches."""
    rows = []
    for wanted in (0.5, 0.25):
        reached, recommended = [], []
        for seed in range(STUDIES):
            rng = np.random.default_rng(seed)
            crowd = draw_raters(400, rng)
            quality = rng.uniform(1.5, 4.5, 30)
            pilot = mean_opinions(rate_all(quality, crowd[:15], rng))
            count = int(np.median(raters_needed(pilot.std, wanted)))
            found = mean_opinions(rate_all(quality, crowd[15 : 15 + count], rng))
            recommended.append(count)
            reached.append(float(np.median((found.high - found.low) / 2)))
        rows.append([f"{wanted:g}", f"{np.mean(recommended):.0f}", f"{np.mean(reached):.3f} ± {np.std(reached):.3f}"])
    note = "Recommended for half of the pictures after a pilot with 15 raters; reached by others (median of pictures)."
    table("How many raters", note, ["half width wanted", "raters recommended", "half width reached"], rows)


def order() -> None:
    """Drift that is found where it is made, and false alarms where there is none."""
    rows = []
    for drift in (0.0, -0.2, -0.4):
        values, alarms = [], []
        for seed in range(STUDIES):
            rng = np.random.default_rng(seed)
            courses = []
            for _ in range(20):
                place = np.linspace(0, 1, 60)
                left = 0.7 * rng.standard_normal(60) + drift * place
                courses.append(Course(left, rng.uniform(1, 5, 60), rng.lognormal(1, 0.4, 60)))
            found = order_effects(courses)
            values.append(found.drift.value)
            alarms.append(found.drift.excludes_zero)
        rows.append([f"{drift:g}", f"{np.mean(values):.3f} ± {np.std(values):.3f}", f"{100 * np.mean(alarms):.0f} %"])
    note = "20 raters, 60 pictures, noise 0.7. Intervals without 0 at a drift of 0 are false alarms: 5 % is wanted."
    table("Fatigue and order", note, ["drift made, steps", "drift found", "intervals without 0"], rows)


def second_opinions() -> None:
    """Largest differences from other packages on one study, where they are installed."""
    rng = np.random.default_rng(0)
    ratings = rate_all(rng.uniform(1.5, 4.5, 50), draw_raters(20, rng, cheaters=3), rng)
    wins = np.triu(rng.integers(1, 9, (8, 8)), 1) + np.tril(rng.integers(1, 9, (8, 8)), -1)
    rows = []
    for name, differ in (
        ("sureal", _sureal),
        ("krippendorff", _krippendorff),
        ("pingouin", _pingouin),
        ("choix", _choix),
    ):
        try:
            importlib.import_module(name)
        except ImportError:
            rows.append([name, "not installed", ""])
            continue
        with contextlib.redirect_stdout(io.StringIO()):
            what, apart = differ(wins.astype(float) if name == "choix" else ratings)
        rows.append([f"{name} {metadata.version(name)}", what, f"{apart:.1e}"])
    note = "Largest difference between ours and another package's; 50 pictures and 20 raters (choix: 8 pictures)."
    table("Second opinions", note, ["package", "compared", "difference"], rows)


def _sureal(ratings: Floats) -> tuple[str, float]:
    models = importlib.import_module("sureal.subjective_model")

    class Dataset:
        dataset_name = "simulated"
        ref_videos = [{"content_id": 0, "content_name": "0", "path": "0"}]
        dis_videos = [
            {"content_id": 0, "asset_id": n, "os": list(row), "path": str(n)} for n, row in enumerate(ratings)
        ]

    reader = importlib.import_module("sureal.dataset_reader").RawDatasetReader(Dataset)
    theirs = models.SubjectMLEModelProjectionSolver(reader).run_modeling()
    ours = fit_rater_model(ratings, least=1e-4)
    screened = models.SubjrejMosModel(reader).run_modeling()
    same = list(screened["observer_rejected"]) == bt500_screening(ratings).rejected.tolist()
    pairs = ((ours.quality, "quality_scores"), (ours.bias, "observer_bias"),
             (ours.inconsistency, "observer_inconsistency"),
             ((ours.high - ours.low) / 2, "quality_scores_ci95"))  # fmt: skip
    apart = [np.abs(np.asarray(mine) - np.asarray(theirs[name][0] if name.endswith("95") else theirs[name])).max()
             for mine, name in pairs]  # fmt: skip
    verdict = "the same raters" if same else "OTHER raters"
    return f"quality, its interval, bias, inconsistency; BT.500 rejects {verdict}", float(max(apart))


def _krippendorff(ratings: Floats) -> tuple[str, float]:
    krippendorff = importlib.import_module("krippendorff")
    holes = np.where(np.random.default_rng(1).random(ratings.shape) < 0.3, np.nan, ratings)
    levels: tuple[Level, ...] = ("nominal", "ordinal", "interval")
    apart = [abs(krippendorff_alpha(holes, level) - krippendorff.alpha(holes.T, level_of_measurement=level))
             for level in levels]  # fmt: skip
    return "alpha, nominal, ordinal, interval, 30 % missing", float(max(apart))


def _pingouin(ratings: Floats) -> tuple[str, float]:
    pandas, pingouin = (importlib.import_module(name) for name in ("pandas", "pingouin"))
    pictures, raters = np.indices(ratings.shape)
    frame = pandas.DataFrame({"picture": pictures.ravel(), "rater": raters.ravel(), "rating": ratings.ravel()})
    found = pingouin.intraclass_corr(frame, targets="picture", raters="rater", ratings="rating")
    ours = intraclass_correlation(ratings)
    values = found["ICC"].to_numpy(float)
    return "ICC(2,1), ICC(2,k)", max(float(np.abs(values - one).min()) for one in ours)


def _choix(wins: Floats) -> tuple[str, float]:
    choix = importlib.import_module("choix")
    data = [(i, j) for i in range(len(wins)) for j in range(len(wins)) for _ in range(int(wins[i, j]))]
    theirs = choix.opt_pairwise(len(wins), data, alpha=1 / (2.0 * math.log(3)) ** 2 / 2)
    ours = fit_pairs(wins, "bradley-terry", prior_std=2.0).quality * math.log(3)
    return "Bradley-Terry", float(np.abs(ours - (theirs - theirs.mean())).max())


CHECKS: tuple[Callable[[], None], ...] = (
    coverage_of_mos, rater_model, cheaters, scale_of_pairs, agreement, power, order, second_opinions,
)  # fmt: skip


def main() -> None:
    """Run the checks that the command line names, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [check.__name__ for check in CHECKS]
    parser.add_argument("checks", nargs="*", metavar="CHECK", choices=[*names, []], help=f"one of {', '.join(names)}")
    chosen = parser.parse_args().checks or names
    print("# Estimators of `snellen study` on simulated raters\n")
    print(f"Made by `python recipes/bench/study.py`. {STUDIES} simulated studies a row unless it says otherwise.")
    for check in CHECKS:
        if check.__name__ in chosen:
            check()


if __name__ == "__main__":
    main()
