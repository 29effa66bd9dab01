"""What a run leaves to look at: a line of numbers per step, TensorBoard where it is installed, and replies to read."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from snellen.assessment import Assessment
from snellen.train.rewards import Truth

FIFTHS = 5
"""Bias is told apart by fifths of the training pictures' MOS: annotation bias shows at both ends."""


@dataclass(frozen=True, eq=False)
class Rollout:
    """One rollout and what became of it. parts: every reward by name, NaN where it does not apply. reward: their
    weighted sum. advantage: by channel, see `snellen.train.grpo.advantages`."""

    truth: Truth
    assessment: Assessment
    parts: Mapping[str, float]
    reward: float
    advantage: Mapping[str, float]


class RunLog:
    """log.jsonl in `folder`, tensorboard/ beside it when TensorBoard is installed, and replies-STEP.html.

    first: steps that are done; lines of later ones, which a killed run wrote after its last checkpoint, are dropped.
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
        """One step; what is not a number (nothing of the kind in this step) is written as null."""
        plain = {name: None if math.isnan(value) else round(value, 5) for name, value in row.items()}
        with self.file.open("a", encoding="utf8") as out:
            out.write(json.dumps(plain) + "\n")
        if self._board is not None:
            for name, value in row.items():
                if not math.isnan(value):
                    self._board.add_scalar(name, value, int(row["step"]))
            self._board.flush()

    def replies(self, step: int, rollouts: Sequence[Rollout]) -> None:
        """A page with some rollouts: pictures, replies round by round, rewards."""
        page = "".join(_rollout_html(one) for one in rollouts)
        (self.folder / f"replies-{step:06d}.html").write_text(
            f'<!doctype html><meta charset="utf-8"><title>Step {step}</title><h1>Step {step}</h1>{page}',
            encoding="utf8",
            errors="backslashreplace",
        )


def _rollout_html(one: Rollout) -> str:
    faults = one.truth.faults
    known = "not known" if faults is None else "none"
    if faults:
        known = "; ".join(f"{f.kind}, severity {f.severity:.1f}, {f.region.to_list()}" for f in faults)
    parts = ", ".join(f"{name} {value:.2f}" for name, value in one.parts.items() if not math.isnan(value))
    advantage = ", ".join(f"{name} {value:+.2f}" for name, value in one.advantage.items())
    facts = f"MOS {one.truth.mos:.2f}; faults: {known}. Reward {one.reward:.3f}: {parts}. Advantage: {advantage}."
    return f"<hr><p>{escape(facts)}</p>{one.assessment._repr_html_()}"


def mos_edges(mos: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The four inner edges of the fifths of (N,) MOS."""
    out: npt.NDArray[np.float64] = np.quantile(np.asarray(mos, np.float64), np.arange(1, FIFTHS) / FIFTHS)
    return out


def bias_by_fifth(rating: npt.ArrayLike, mos: npt.ArrayLike, edges: npt.ArrayLike) -> list[float]:
    """Mean of rating - MOS in each fifth, lowest first; NaN ratings are left out, NaN for a fifth without any."""
    off = np.asarray(rating, np.float64) - np.asarray(mos, np.float64)
    where = np.searchsorted(edges, np.asarray(mos, np.float64), side="right")
    there = ~np.isnan(off)
    return [
        float(off[there & (where == i)].mean()) if (there & (where == i)).any() else math.nan for i in range(FIFTHS)
    ]


def distinct_2(texts: Sequence[str]) -> float:
    """Distinct pairs of neighbouring words / all pairs, 0..1 (Li et al. 2016, arXiv 1510.03055); numbers left out. NaN
    without any pair. It falls with the number of texts, so compare equal numbers of them."""
    pairs = []
    for text in texts:
        words = re.findall(r"[^\W\d_]+", text.lower())
        pairs += list(zip(words, words[1:], strict=False))
    return len(set(pairs)) / len(pairs) if pairs else math.nan


def think_texts(assessments: Sequence[Assessment]) -> list[str]:
    """The words of every readable round."""
    steps = [step for assessment in assessments for step in assessment.steps]
    rationales = [step.parsed.rationale for step in steps if step.parsed is not None]
    return [" ".join(rationale.sections) for rationale in rationales if rationale is not None]
