"""Tables of an analysed study: raw and clean answers, pictures, raters, and what evaluate and data read."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from snellen.data.sample import Sample, write_manifest
from snellen.output import replacing
from snellen.region import FULL, Region
from snellen.study.analysis import Analysis
from snellen.study.opinions import mean_opinions
from snellen.table import valid_text

Row = Mapping[str, Any]


def write_results(analysis: Analysis, out: Path) -> dict[str, str]:
    """Write the tables into a folder; return what each file is, by name. Raises OutputError."""
    answers = answer_rows(analysis)
    clean = [row for row in answers if row["counts"]]
    written = {}
    for name, rows, what in (
        ("answers", answers, "every answer, with times, window and whether it counts"),
        ("clean", clean, "the answers that count"),
    ):
        write_csv(rows, out / f"{name}.csv")
        write_parquet(rows, out / f"{name}.parquet")
        written[f"{name}.csv, {name}.parquet"] = what
    write_csv(rater_rows(analysis), out / "raters.csv")
    written["raters.csv"] = "each rater: bias, inconsistency, agreement, reasons for leaving out"
    if analysis.scale is not None:
        write_csv(scale_rows(analysis), out / "scale.csv")
        write_csv(pair_rows(analysis), out / "pairs.csv")
        written["scale.csv"] = "quality of each picture, JOD, with intervals"
        written["pairs.csv"] = "snellen evaluate --data pairs.csv"
        return written
    write_csv(picture_rows(analysis), out / "pictures.csv")
    write_csv(mos_rows(analysis), out / "mos.csv")
    write_manifest(samples(analysis), out / "manifest.jsonl", root=out)
    written["pictures.csv"] = "each picture: MOS, interval, quality of the rater model, other questions"
    written["mos.csv"] = "snellen evaluate --data mos.csv"
    written["manifest.jsonl"] = "snellen data build manifest.jsonl; snellen evaluate --data manifest.jsonl"
    if analysis.faults is not None:
        with replacing(out / "faults.jsonl") as unfinished:
            unfinished.write_text("".join(json.dumps(row) + "\n" for row in fault_labels(analysis)), encoding="utf-8")
        written["faults.jsonl"] = "fault labels: snellen data build --teacher labels:faults.jsonl"
    return written


def answer_rows(analysis: Analysis) -> Sequence[Row]:
    """Return a row for each answer but those of training, which never count."""
    kept = {rater.code: bool(keep) for rater, keep in zip(analysis.raters, analysis.kept, strict=True)}
    questions = [question.name for question in analysis.plan.rubric.questions] or ["preferred"]
    rows = []
    for answer in analysis.answers:
        picture = analysis.plan.by_key[answer.task.picture]
        other = analysis.plan.by_key[answer.task.other].path if answer.task.other else ""
        rows.append({
            "rater": answer.rater, "position": answer.position, "block": answer.task.block, "item": answer.task.kind,
            "image": picture.path, "other": other, **{name: answer.answers.get(name) for name in questions},
            "boxes": json.dumps(answer.boxes), "seconds": round(answer.seconds, 3), "shown": answer.shown,
            "answered": answer.answered, "received": answer.received, "view": json.dumps(answer.view),
            "counts": answer.task.kind == "rated" and kept.get(answer.rater, False),
        })  # fmt: skip
    return rows


def picture_rows(analysis: Analysis) -> Sequence[Row]:
    """Return a row for each picture. dmos: mean difference rating, with hidden references."""
    assert analysis.model is not None
    found, model = analysis.opinions, analysis.model
    others = {name: mean_opinions(table[:, analysis.kept]).mos for name, table in analysis.questions.items()}
    rows = []
    for at, picture in enumerate(analysis.plan.rated):
        row = {
            "image": picture.path, "mos": found.mos[at], "low": found.low[at], "high": found.high[at],
            "std": found.std[at], "n": int(found.n[at]), "quality": model.quality[at], "quality_low": model.low[at],
            "quality_high": model.high[at], "mos_of_all_raters": analysis.everybody.mos[at],
        }  # fmt: skip
        if analysis.differences is not None:
            row |= {name: getattr(analysis.differences, of)[at]
                    for name, of in (("dmos", "mos"), ("dmos_low", "low"), ("dmos_high", "high"))}  # fmt: skip
        rows.append(row | {name: mos[at] for name, mos in others.items()})
    return rows


def samples(analysis: Analysis) -> list[Sample]:
    """Return the rated pictures as samples: MOS clipped to 1..5, which rounding alone could leave."""
    found = analysis.opinions
    references = {picture.key: picture.path for picture in analysis.plan.pictures}
    return [
        Sample(
            picture.path, float(np.clip(found.mos[at], 1, 5)),
            None if math.isnan(found.std[at]) else float(found.std[at]), int(found.n[at]), "train",
            picture.group, references.get(picture.reference),
        )
        for at, picture in enumerate(analysis.plan.rated)
        if found.n[at] > 0
    ]  # fmt: skip


def mos_rows(analysis: Analysis) -> Sequence[Row]:
    """Return the rows of the table that `snellen evaluate --data` reads."""
    return [
        {"image": s.path, "mos": s.mos, "std": s.std, "n": s.n, "group": s.group, "reference": s.reference}
        for s in samples(analysis)
    ]


def rater_rows(analysis: Analysis) -> Sequence[Row]:
    """Return a row for each rater."""
    return [
        {**rater.__dict__, "reasons": "; ".join(rater.reasons), "counts": bool(keep)}
        for rater, keep in zip(analysis.raters, analysis.kept, strict=True)
    ]


def scale_rows(analysis: Analysis) -> Sequence[Row]:
    """Return a row for each picture of a pair study, quality in JOD."""
    scale = analysis.scale
    assert scale is not None
    compared = analysis.wins.sum(axis=1) + analysis.wins.sum(axis=0)
    return [
        {"image": picture.path, "jod": scale.quality[at], "low": scale.low[at], "high": scale.high[at],
         "comparisons": compared[at]}
        for at, picture in enumerate(analysis.plan.rated)
    ]  # fmt: skip


def pair_rows(analysis: Analysis) -> Sequence[Row]:
    """Return the pairs that `snellen evaluate --data` reads: share of people who preferred the first."""
    paths = [picture.path for picture in analysis.plan.rated]
    wins = analysis.wins
    return [
        {"first": paths[i], "second": paths[j], "preferred": wins[i, j] / (wins[i, j] + wins[j, i])}
        for i in range(len(paths))
        for j in range(i + 1, len(paths))
        if wins[i, j] + wins[j, i] > 0
    ]


def fault_labels(analysis: Analysis) -> Sequence[Row]:
    """Return the boxes as fault labels, one row for each rater who counts and picture, worst three faults first."""
    number = {rater.code: at for at, rater in enumerate(analysis.raters) if analysis.kept[at]}
    rows = []
    for answer in analysis.answers:
        if answer.task.kind != "rated" or answer.rater not in number:
            continue
        worst = sorted(answer.boxes, key=lambda box: -int(box["severity"]))[:3]
        places = ["whole" if Region(*b["box"]) == FULL else b["box"] for b in worst]
        rows.append({
            "picture": analysis.plan.by_key[answer.task.picture].path, "rater": number[answer.rater], "part": "train",
            "overall": answer.answers["overall"],
            "faults": [
                {"kind": b["kind"], "severity": b["severity"], "box": place}
                for b, place in zip(worst, places, strict=True)
            ],
            "ok": [], "why": str(answer.answers.get("comment", "")),
        })  # fmt: skip
    return rows


def write_csv(rows: Sequence[Row], path: Path) -> None:
    """Write rows with the keys of the first as header; None and NaN become empty cells."""
    with (
        replacing(path) as unfinished,
        unfinished.open("w", encoding="utf-8", errors="surrogateescape", newline="") as f,
    ):
        table = csv.writer(f)
        table.writerow(rows[0] if rows else ())
        table.writerows([_cell(value) for value in row.values()] for row in rows)


def _cell(value: Any) -> Any:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.6g}" if isinstance(value, float) and abs(value) < 1e6 else value


def write_parquet(rows: Sequence[Row], path: Path) -> None:
    """Write rows as Parquet, a column for each key of the first."""
    import pyarrow as pa
    import pyarrow.parquet

    columns = {name: _column(row[name] for row in rows) for name in rows[0]} if rows else {}
    with replacing(path) as unfinished:
        pyarrow.parquet.write_table(pa.table(columns), unfinished)


def _column(values: Iterable[Any]) -> list[Any]:
    return [valid_text(v) if isinstance(v, str) else v for v in values]
