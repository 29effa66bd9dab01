"""HTML report of a study: pictures, raters, agreement, effects of order, raters needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from snellen.evaluate.report.page import suite_html
from snellen.evaluate.report.plot import Axes, bars, scatter, span
from snellen.evaluate.report.tables import Figure, Table, estimate, number, percent
from snellen.report import header, page, resource, write_page
from snellen.study.analysis import Analysis
from snellen.study.opinions import mean_opinions, raters_needed
from snellen.study.results import write_results

MOST_ROWS, MOST_BARS = 300, 60
"""Pictures that the report lists, and bars that it draws; the tables have all."""

MEANING = (
    "MOS of the raters who count; quality without their bias, weighted by consistency. Intervals of few ratings are "
    "wide and may reach beyond 1 and 5; where all raters agree by chance, that of the MOS is 0 wide."
)


def write_analysis(analysis: Analysis, out: Path, half_width: float) -> list[str]:
    """Write report.html and the tables of a study; return a summary, one line each."""
    files = write_results(analysis, out)
    sections: dict[str, list[Table | Figure]] = {
        "overview": [_overview(analysis), *_power(analysis, half_width)],
        "pictures": _pictures(analysis),
        "raters": _raters(analysis),
        "agreement": _agreement(analysis),
        "order": _order(analysis),
        "files": [Table("Files", ["file", "what it holds"], list(files.items()))],
    }
    rubric = analysis.plan.rubric
    facts = [f"method {rubric.method}", f"{len(analysis.plan.rated)} pictures", f"{len(analysis.raters)} raters"]
    if analysis.simulated:
        facts.insert(0, "SIMULATED raters")
    body = header(rubric.title, facts, []) + "".join(suite_html(n, parts) for n, parts in sections.items() if parts)
    write_page(page(rubric.title, body, resource("evaluate/report/page.css")), out / "report.html")
    left_out = int((~analysis.kept).sum())
    lines = [f"{len(analysis.plan.rated)} pictures, {len(analysis.raters)} raters, {left_out} left out"]
    overview = _overview(analysis)
    lines += [f"{name}: {value}" for name, value in overview.rows]
    return [*lines, overview.note.strip()] if overview.note else lines


def _overview(analysis: Analysis) -> Table:
    counted = [a for a in analysis.answers if a.task.kind == "rated"]
    rows = [
        ["ratings" if analysis.scale is None else "choices", str(len(counted))],
        ["raters who count", f"{int(analysis.kept.sum())} of {len(analysis.raters)}"],
    ]
    if analysis.scale is None:
        half = (analysis.opinions.high - analysis.opinions.low) / 2
        each = analysis.opinions.n
        rows += [
            ["ratings of a picture, fewest to most", f"{each.min()} to {each.max()}"],
            ["mean half width of the 95 % intervals, steps", number(_mean(half), 2)],
            ["Krippendorff's alpha (interval)", estimate(analysis.alpha, 2)],
            ["ICC(2,1), one rater", number(analysis.icc.single, 2)],
            ["ICC(2,k), mean of the raters", number(analysis.icc.mean, 2)],
        ]
    else:
        half = analysis.scale.high - analysis.scale.quality
        rows.append(["mean half width of the 95 % intervals, JOD", number(_mean(half), 2)])
    note = "Raters were simulated: these are no opinions of people." if analysis.simulated else ""
    if analysis.scale is None and analysis.opinions.n.max() < 2:
        note += " No picture has two ratings, so there are no intervals and no agreement: invite more raters."
    return Table("Study", ["", ""], rows, note)


def _power(analysis: Analysis, half_width: float) -> list[Table]:
    """Return the table of the numbers of raters that make the intervals narrow enough."""
    if analysis.scale is not None:
        return []
    rows = []
    for wanted in sorted({half_width, 0.5, 0.25, 0.1}, reverse=True):
        needed = raters_needed(analysis.opinions.std, wanted)
        needed = needed[needed > 0]
        if len(needed):
            most, typical = int(np.quantile(needed, 0.95)), int(np.median(needed))
            now = int(np.median(analysis.opinions.n))
            rows.append([f"MOS ± {wanted:g}", str(typical), str(most), str(max(0, most - now))])
    note = "From the standard deviation between raters of each picture; Student's t. More: beyond the raters of now."
    head = ["interval wanted", "raters for half of the pictures", "for 95 % of them", "more than now, for 95 %"]
    return [Table("How many raters", head, rows, note)] if rows else []


def _mean(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    defined = values[np.isfinite(values)]
    return float(defined.mean()) if len(defined) else float("nan")


def _pictures(analysis: Analysis) -> list[Table | Figure]:
    names = [Path(picture.path).name for picture in analysis.plan.rated]
    if analysis.scale is not None:
        scale = analysis.scale
        order = np.argsort(-scale.quality)[:MOST_ROWS]
        rows = [[names[i], estimate((scale.quality[i], scale.low[i], scale.high[i]), 2)] for i in order]
        note = "JOD: of two pictures 1 JOD apart, 75 % of people choose the better. Thurstone, Case V."
        ends = {names[i]: tuple(np.maximum(0.0, (scale.quality[i], scale.low[i], scale.high[i]) - scale.quality.min()))
                for i in order[:MOST_BARS]}  # fmt: skip
        drawn = bars(ends, most=max(1.0, *(high for *_, high in ends.values())))
        return [Figure("JOD above the worst picture", drawn), Table("Quality", ["picture", "JOD"], rows, note)]
    found, model = analysis.opinions, analysis.model
    assert model is not None
    order = np.argsort(-np.nan_to_num(found.mos))[:MOST_ROWS]
    head = ["picture", "MOS", "quality (rater model)", "std", "ratings"]
    rows = [
        [names[i], estimate((found.mos[i], found.low[i], found.high[i]), 2),
         estimate((model.quality[i], model.low[i], model.high[i]), 2), number(found.std[i], 2), str(found.n[i])]
        for i in order
    ]  # fmt: skip
    if analysis.differences is not None:
        head.append("difference MOS")
        dmos = analysis.differences
        for row, i in zip(rows, order, strict=True):
            row.append(estimate((dmos.mos[i], dmos.low[i], dmos.high[i]), 2))
    for name, table in analysis.questions.items():
        head.append(name)
        means = mean_opinions(table[:, analysis.kept]).mos
        for row, i in zip(rows, order, strict=True):
            row.append(number(means[i], 2))
    there = np.isfinite(found.mos) & np.isfinite(found.std)
    axes = Axes((1, 5), span(found.std[there], (0.0, 1.5)), "MOS", "standard deviation between raters")
    both = Axes((1, 5), (1, 5), "MOS", "quality (rater model)")
    return [
        Figure("Spread", scatter(found.mos[there], found.std[there], axes, identity=False)),
        Figure("Rater model", scatter(found.mos[there], model.quality[there], both)),
        Table("Pictures", head, rows, MEANING),
    ]


def _raters(analysis: Analysis) -> list[Table | Figure]:
    pairs = analysis.scale is not None
    own = ["agreement"] if pairs else ["bias", "inconsistency", "correlation"]
    head = [
        "rater",
        "choices" if pairs else "ratings",
        "seconds, median",
        *own,
        "golden",
        "repeats",
        "left out because",
    ]
    rows = []
    for rater, keep in zip(analysis.raters, analysis.kept, strict=True):
        why = "; ".join(rater.reasons) or "-"
        rows.append([
            rater.code, str(rater.ratings), number(rater.median_seconds, 1),
            *([] if pairs else [number(rater.bias, 2), number(rater.inconsistency, 2)]),
            number(rater.correlation, 2), percent(rater.golden),
            number(rater.repeat, 2), f"(kept) {why}" if rater.reasons and keep else why,
        ])  # fmt: skip
    note = (
        "agreement: 1 full, 0 chance, on pairs of which the others are sure; - where there are fewer than 5." if pairs
        else
        "bias and inconsistency: steps. correlation: with the mean of the others. repeats: difference of two ratings "
        "of one picture over that of unrelated ones, 0 perfect, 1 not looking."
    )  # fmt: skip
    found: list[Table | Figure] = [Table("Raters", head, rows, note)]
    if not pairs:
        spread = {rater.code: rater.inconsistency for rater in analysis.raters[:MOST_BARS]}
        found.insert(0, Figure("Inconsistency, steps", bars(spread, most=max(2.0, *spread.values()))))
    return found


def _agreement(analysis: Analysis) -> list[Table | Figure]:
    faults = analysis.faults
    if faults is None:
        return []
    rows = [
        [kind, str(faults.marked[kind]), number(faults.kappa[kind], 2)] for kind in faults.kappa if faults.marked[kind]
    ]
    note = f"Mean IoU of boxes of one kind by two raters in one picture: {number(faults.iou, 2)}. Kappa: Light's."
    return [Table("Faults", ["kind", "boxes", "kappa"], rows, note)]


def _order(analysis: Analysis) -> list[Table | Figure]:
    effects = analysis.effects
    if effects is None:
        return []
    rows = [
        ["drift of ratings from first to last item, steps", estimate(effects.drift, 2)],
        ["change of |rating - expected| from first to last, steps", estimate(effects.fatigue, 2)],
        ["change of time from first to last, share of the median", estimate(effects.pace, 2)],
        ["change per step that the picture before was better", estimate(effects.carry_over, 3)],
    ]
    return [Table("Fatigue and order", ["effect", "slope [95 %]"], rows, "An interval without 0 shows an effect.")]
