"""From manifests to a file of grounded rationales (`snellen data build`), and a page to read some (`data show`).

One JSON object per line, one picture per line, for people to read:

    {"path": ..., "split": ..., "real": true, "mos": 3.2, "first": 3.6, "first_std": 0.4, "size": [512, 512],
     "faults": [...], "rounds": [{"region": [0, 0, 1, 1], "rating": 3.6, "issues": 1, "reply": "<think>..."}]}
"""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw

from snellen.data.known import Known, conversation, quick_answer
from snellen.data.sample import ManifestError, Sample, fault_to_row, read_manifest
from snellen.features import Features, features
from snellen.image import load
from snellen.region import FULL, Region
from snellen.reply import RATING_PREFIX, parse_reply, render_reply

if TYPE_CHECKING:
    from numpy.typing import NDArray

FOLDS = 5
_SHRINK = 30.0  # of the ridge regression, in pictures
_THUMBNAIL = 420


def build(
    manifests: Sequence[Path],
    out: Path,
    *,
    seed: int = 0,
    first: Path | None = None,
    quick_share: float = 0.25,
    limit: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write a conversation for every picture of the manifests to `out`; returns how many lines.

    Every picture needs a MOS. first: JSON lines `{"path", "rating", "std"}` with what a first look gave, predicted by
    a model that did not learn from the picture; without it `first_looks` makes them from measured features. A share of
    `quick_share` of the pictures also gets a line with an answer without text. limit: the first so many pictures
    only. on_progress(done, total) is called after each picture. The same seed writes the same file.

    Raises ManifestError for a picture without MOS or without a first look, ImageError for one that cannot be read.
    """
    samples = [sample for manifest in manifests for sample in read_manifest(manifest)][:limit]
    for sample in samples:
        if sample.mos is None:
            raise ManifestError(f"{sample.path}: no mos; a rationale needs to know how good the picture is")
    measured, sizes = [], []
    for done, sample in enumerate(samples, 1):
        picture = load(sample.path)
        measured.append(features(picture))
        sizes.append((picture.width, picture.height))
        if on_progress is not None:
            on_progress(done, len(samples))
    if first is not None:
        table = _read_first(first)
        missing = [sample.path for sample in samples if sample.path not in table]
        if missing:
            raise ManifestError(f"{missing[0]}: no first look in {first}; predict it, or leave the file out")
        ratings = [table[sample.path] for sample in samples]
    else:
        mos = np.array([sample.mos for sample in samples], dtype=np.float64)
        ratings = first_looks(measured, mos, [sample.group or sample.path for sample in samples], seed)
    out.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with out.open("w", encoding="utf-8") as file:
        for number, sample in enumerate(samples):
            for row in rows(sample, measured[number], sizes[number], ratings[number], seed + number, quick_share):
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
                count += 1
    return count


def rows(
    sample: Sample,
    measured: Features,
    size: tuple[int, int],
    first: tuple[float, float],
    seed: int,
    quick_share: float = 0.25,
) -> list[dict[str, Any]]:
    """The lines of one picture of known MOS: its conversation, and sometimes a quick answer. first: rating, std."""
    if sample.mos is None:
        raise ManifestError(f"{sample.path}: no mos; a rationale needs to know how good the picture is")
    rng = np.random.default_rng(seed)
    real = not sample.faults and sample.reference is None
    known = Known(sample.mos, first[0], measured, first[1], sample.faults, real)
    about = {
        "path": sample.path,
        "split": sample.split,
        "real": real,
        "mos": round(sample.mos, 4),
        "first": round(first[0], 4),
        "first_std": round(first[1], 4),
        "size": list(size),
        "faults": [fault_to_row(fault) for fault in sample.faults],
    }
    region, rounds = FULL, []
    for number, (rationale, answer) in enumerate(conversation(known, rng), 1):
        reply = render_reply(rationale, answer, number)
        rounds.append(_round(region, answer.rating, len(answer.issues), reply))
        region = answer.region or FULL
    lines = [{**about, "rounds": rounds}]
    if rng.random() < quick_share:
        answer = quick_answer(known)
        reply = render_reply(None, answer, 1)
        if not reply.startswith(RATING_PREFIX):
            raise ValueError(f"a quick reply does not begin as it is forced to: {reply}")
        lines.append({**about, "rounds": [_round(FULL, answer.rating, len(answer.issues), reply)]})
    return lines


def _round(region: Region, rating: float, issues: int, reply: str) -> dict[str, Any]:
    return {"region": region.to_list(), "rating": round(rating, 4), "issues": issues, "reply": reply}


def _read_first(path: Path) -> dict[str, tuple[float, float]]:
    table = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
            table[str(row["path"])] = (float(row["rating"]), float(row["std"]))
        except (ValueError, TypeError, KeyError) as error:
            raise ManifestError(f"{path}: line {number}: needs path, rating and std ({error})") from error
    return table


def first_looks(
    measured: Sequence[Features], mos: NDArray[np.float64], groups: Sequence[str], seed: int = 0
) -> list[tuple[float, float]]:
    """Out-of-fold predictions of (N,) MOS from measured features: (rating 1..5, standard deviation) for each picture.

    Ridge regression on value, mean, spread and tenths of each map, standardised; pictures of one group are in one
    fold. The deviation is that of the errors in the picture's own fold. Raises ValueError for fewer than two groups.
    """
    names = sorted(set(groups))
    if len(names) < 2:
        raise ValueError("predicting first looks needs pictures of at least two groups; give a file of first looks")
    table = np.array([_vector(one) for one in measured])
    fold_of = dict(zip(names, np.random.default_rng(seed).permutation(len(names)) % FOLDS, strict=True))
    folds = np.array([fold_of[group] for group in groups])
    predicted = np.clip(out_of_fold(table, mos, folds, _SHRINK), 1.0, 5.0)
    deviation = np.empty(len(mos))
    for fold in np.unique(folds):
        held = folds == fold
        deviation[held] = np.sqrt(np.mean((predicted[held] - mos[held]) ** 2))
    return list(zip(predicted.tolist(), deviation.tolist(), strict=True))


def out_of_fold(
    table: NDArray[np.float64], wanted: NDArray[np.float64], folds: NDArray[np.int64], shrink: float
) -> NDArray[np.float64]:
    """Ridge predictions (N,) of `wanted` (N,) from `table` (N, D), each by a fit on the other folds (N,).

    Columns are standardised on the fit's own rows. shrink: the penalty on squared weights, in rows.
    """
    predicted = np.empty(len(wanted))
    for fold in np.unique(folds):
        held = folds == fold
        middle, scale = table[~held].mean(axis=0), table[~held].std(axis=0) + 1e-9
        x, centre = (table - middle) / scale, wanted[~held].mean()
        gram = x[~held].T @ x[~held] + shrink * np.eye(x.shape[1])
        weights = np.linalg.solve(gram, x[~held].T @ (wanted[~held] - centre))
        predicted[held] = centre + x[held] @ weights
    return predicted


def _vector(one: Features) -> list[float]:
    numbers: list[float] = []
    for name, feature in one.values.items():
        cells = np.sign(one.maps[name]) * np.log1p(np.abs(one.maps[name]))
        numbers += [float(np.log1p(abs(feature.value))), float(cells.mean()), float(cells.std())]
        numbers += np.percentile(cells, (10, 90)).tolist()
    return numbers


def show(rationales: Path, count: int, out: Path, seed: int = 0) -> int:
    """Render `count` lines of a rationale file, drawn at random, to one self-contained HTML page; returns how many."""
    lines = rationales.read_text(encoding="utf-8").splitlines()
    chosen = np.random.default_rng(seed).permutation(len(lines))[:count]
    articles = [_article(json.loads(lines[i])) for i in sorted(chosen.tolist())]
    page = (
        "<!doctype html><meta charset='utf-8'><title>Rationales</title><style>"
        "body{font:15px/1.45 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#222}"
        "article{border-top:1px solid #bbb;padding:1rem 0}section{display:flex;gap:1.2rem;margin:.8rem 0}"
        "img{width:21rem;height:auto;align-self:start}b{font-weight:600}p{margin:.2rem 0}code{color:#555}</style>"
        f"<h1>{len(articles)} of {len(lines)} rationales</h1>{''.join(articles)}"
    )
    out.write_text(page, encoding="utf-8")
    return len(articles)


def _article(row: dict[str, Any]) -> str:
    faults = ", ".join(f"{fault['distortion']} {fault['level']}" for fault in row["faults"]) or "no fault applied"
    known = f"MOS {row['mos']:.2f}, first look {row['first']:.2f} ± {row['first_std']:.2f}, {faults}"
    parts = [f"<article><h2>{html.escape(Path(row['path']).name)}</h2><p><code>{html.escape(known)}</code></p>"]
    pixels = Image.fromarray(load(row["path"]).pixels)
    for number, one in enumerate(row["rounds"], 1):
        region = Region(*one["region"])
        parsed = parse_reply(one["reply"], number)
        boxes = [issue.region for issue in parsed.answer.issues]
        text = one["reply"].removeprefix("<think>").split("</think>")
        paragraphs = "".join(f"<p>{_bold(line)}</p>" for line in text[0].split("\n") if line)
        answer = html.escape(text[1].removeprefix("<answer>").removesuffix("</answer>"))
        picture = _data_uri(pixels, region, boxes, parsed.answer.region)
        parts.append(f"<section><img alt='round {number}' src='{picture}'><div>{paragraphs}")
        parts.append(f"<p><code>{answer}</code></p></div></section>")
    return "".join(parts) + "</article>"


def _bold(line: str) -> str:
    label, _, rest = line.partition(":")
    return f"<b>{html.escape(label)}:</b>{html.escape(rest)}"


def _data_uri(pixels: Image.Image, region: Region, issues: Sequence[Region], asked: Region | None) -> str:
    """The part of the picture in `region` as a JPEG data URI, issues boxed in red, what is asked for next in white."""
    small = pixels.crop(region.to_pixels(pixels.width, pixels.height))
    small.thumbnail((_THUMBNAIL, _THUMBNAIL))
    pen = ImageDraw.Draw(small)
    boxes = [(box, "red") for box in issues] + ([(asked, "white")] if asked else [])
    for box, colour in boxes:
        seen = box.relative_to(region)
        if seen is not None:
            left, top, right, bottom = seen.to_pixels(small.width, small.height)
            pen.rectangle((left, top, right - 1, bottom - 1), outline=colour, width=2)
    data = io.BytesIO()
    small.save(data, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(data.getvalue()).decode("ascii")
