"""Log of a reinforcement run: numbers per step, TensorBoard where it is installed, and pages of rollouts to read."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from snellen.assessment import Assessment
from snellen.train.rewards import Floats, Outcome, Truth, last_ratings
from snellen.train.rollout import Rollout

FIFTHS = 5
"""Bias is logged by fifths of the training pictures' MOS: annotation bias shows at both ends."""


class RunLog:
    """Writes log.jsonl in `folder`, tensorboard/ beside it where TensorBoard is installed, and replies-STEP.html.

    first: number of steps done. Lines of later steps, which a killed run wrote after its last checkpoint, are removed.
    """

    def __init__(self, folder: Path, first: int) -> None:
        self.folder, self.file = folder, folder / "log.jsonl"
        lines = self.file.read_text(encoding="utf8").splitlines() if self.file.exists() else []
        kept = [line for line in lines if line.endswith("}") and json.loads(line)["step"] <= first]
        self.file.write_text("".join(f"{line}\n" for line in kept), encoding="utf8")
        self._board: Any = None
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            return
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=first + 1)

    def write(self, row: Mapping[str, float]) -> None:
        """Append the numbers of one step, by name; "step" among them. NaN is written as null."""
        plain = {name: None if math.isnan(value) else round(value, 5) for name, value in row.items()}
        with self.file.open("a", encoding="utf8") as out:
            out.write(json.dumps(plain) + "\n")
        if self._board is not None:
            for name, value in row.items():
                if not math.isnan(value):
                    self._board.add_scalar(name, value, int(row["step"]))
            self._board.flush()

    def replies(self, step: int, rollouts: Sequence[Rollout]) -> None:
        """Write a page of rollouts: pictures, replies round by round, rewards."""
        page = "".join(_rollout_html(one) for one in rollouts)
        (self.folder / f"replies-{step:06d}.html").write_text(
            f'<!doctype html><meta charset="utf-8"><title>Step {step}</title><h1>Step {step}</h1>{page}',
            encoding="utf8",
            errors="backslashreplace",
        )


def open_log(out: Path, first: int, options: Any) -> RunLog:
    """Return the log of a run in folder `out`, made where it is missing, after `first` steps; the options, a dataclass,
    are written beside it."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "options.json").write_text(json.dumps(asdict(options), indent=1) + "\n", encoding="utf8")
    return RunLog(out, first)


def _rollout_html(one: Rollout) -> str:
    faults = one.truth.faults
    known = "unknown" if faults is None else "none"
    if faults:
        known = "; ".join(f"{f.kind}, severity {f.severity:.1f}, {f.region.to_list()}" for f in faults)
    rewards = ", ".join(f"{name} {value:.2f}" for name, value in one.rewards.items() if not math.isnan(value))
    advantage = ", ".join(f"{name} {value:+.2f}" for name, value in one.advantage.items())
    facts = f"MOS {one.truth.mos:.2f}; faults: {known}. Reward {one.reward:.3f}: {rewards}. Advantage: {advantage}."
    return f"<hr><p>{escape(facts)}</p>{one.assessment._repr_html_()}"


def sample_of(rollouts: Sequence[Rollout], size: int) -> list[Rollout]:
    """Return the first two rollouts of the first three and of the last three groups of `size`."""
    groups = [rollouts[begin : begin + 2] for begin in range(0, len(rollouts), size)]
    return [one for i in sorted({*range(len(groups))[:3], *range(len(groups))[-3:]}) for one in groups[i]]


def summary(
    rewards: Mapping[str, Floats],
    reward: Floats,
    outcomes: Sequence[Sequence[Outcome]],
    truths: Sequence[Truth],
    edges: npt.ArrayLike,
) -> dict[str, float]:
    """Return the numbers of one step's rollouts, by name. rewards and reward (P, G); edges: see `mos_edges`."""
    ratings = last_ratings(outcomes)
    everyone = [one for group in outcomes for one in group]
    real = np.array([truth.real for truth in truths])
    mos = np.repeat(np.array([truth.mos for truth in truths])[:, None], ratings.shape[1], axis=1)
    bias = bias_by_fifth(ratings[real].ravel(), mos[real].ravel(), edges)
    rated = ratings[~np.isnan(ratings)]
    return {
        "reward": float(reward.mean()),
        **{f"reward_{name}": _mean(values) for name, values in rewards.items()},
        "error": _mean(np.abs(ratings - mos)),
        "distinct_ratings": len(np.unique(rated.round(2))) / len(rated) if len(rated) else np.nan,
        "disagreement": _mean(np.array([np.nanstd(row) for row in ratings if not np.isnan(row).all()])),
        "crop_rate": float(np.mean([len(one.crops) > 0 for one in everyone])),
        **{f"bias_{number}": value for number, value in enumerate(bias, 1)},
    }


def _mean(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else np.nan


def mos_edges(mos: npt.ArrayLike) -> Floats:
    """Return the four inner edges of the fifths of (N,) MOS."""
    out: Floats = np.quantile(np.asarray(mos, np.float64), np.arange(1, FIFTHS) / FIFTHS)
    return out


def bias_by_fifth(rating: npt.ArrayLike, mos: npt.ArrayLike, edges: npt.ArrayLike) -> list[float]:
    """Return the mean of rating - MOS in each fifth, lowest first; NaN ratings are left out, NaN for an empty fifth."""
    error = np.asarray(rating, np.float64) - np.asarray(mos, np.float64)
    fifth = np.searchsorted(edges, np.asarray(mos, np.float64), side="right")
    rated = ~np.isnan(error)
    return [
        float(error[rated & (fifth == i)].mean()) if (rated & (fifth == i)).any() else math.nan for i in range(FIFTHS)
    ]


def distinct_2(texts: Sequence[str]) -> float:
    """Return distinct / all pairs of neighbouring words, 0..1 (Li et al. 2016, arXiv 1510.03055), without numbers; NaN
    without any pair. It falls with the number of texts: compare equal numbers of them."""
    pairs = []
    for text in texts:
        words = re.findall(r"[^\W\d_]+", text.lower())
        pairs += list(zip(words, words[1:], strict=False))
    return len(set(pairs)) / len(pairs) if pairs else math.nan


def think_texts(assessments: Sequence[Assessment]) -> list[str]:
    """Return the rationale text of every readable round."""
    steps = [step for assessment in assessments for step in assessment.steps]
    rationales = [step.parsed.rationale for step in steps if step.parsed is not None]
    return [" ".join(rationale.sections) for rationale in rationales if rationale is not None]
