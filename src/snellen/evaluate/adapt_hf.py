"""A LoRA adapter of a vision-language model from an owner's ratings: what `snellen adapt --model hf:FOLDER` does.

A fifth of the scenes is held out. Of the others, supervised fine-tuning (`snellen train sft`) learns the tokens of the
rating alone, in replies without text. On the held-out pictures the scores of the model and of the adapted one are
compared; where the interval of the gain does not lie above zero, the adapter is taken away again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from snellen.assessor import Assessor
from snellen.data.build import round_of
from snellen.data.sample import Sample
from snellen.data.sets.duplicates import hash_of, near_duplicate_groups
from snellen.evaluate.adapt import readable, signed
from snellen.evaluate.datasets import DataSet
from snellen.evaluate.stats.arrays import Floats
from snellen.evaluate.stats.bootstrap import bootstrap_difference, mean_interval
from snellen.evaluate.stats.correlation import rmse, srcc
from snellen.region import FULL
from snellen.reply import Answer, render_reply
from snellen.train.adapt import FOLDS, folds_of
from snellen.usage import UsageError

BATCH, EPOCHS, RATE = 16, 5, 1e-4
"""Settings of the training, unless `snellen adapt --set` names others: demonstrations of a step, times that each comes,
and learning rate. Not tuned on a large model."""
FEWEST_HELD_OUT = 10
CONVERSATIONS, ADAPTER = "conversations.jsonl", "adapter_config.json"


def adapt_hf(
    model: str, rated: DataSet, out: Path, settings: Sequence[str], max_megapixels: float, quiet: bool
) -> tuple[bool, int, list[str]]:
    """Train, compare and keep the adapter in `out` only where it helped.

    model: "hf:FOLDER". settings: lines of TOML for `SftConfig`, "options.steps = 200". Returns whether it helped, the
    number of pictures that cannot be read, and lines to print. A killed run goes on from its last checkpoint.
    """
    from snellen.train.config import SftConfig, read_config, run_sft

    if rated.pairs:
        raise UsageError("choices adapt snellen-1 only; give ratings for an hf: model")
    samples, failed = split_samples(list(rated.samples.values()), max_megapixels, quiet)
    learned, held = ([one for one in samples if one.split == split] for split in ("train", "val"))
    if len(held) < FEWEST_HELD_OUT:
        raise UsageError(f"only {len(held)} pictures to compare on after the split; rate more scenes")
    out.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(conversation(one), ensure_ascii=False) for one in samples]
    (out / CONVERSATIONS).write_text("\n".join(lines) + "\n", encoding="utf-8")
    steps = math.ceil(EPOCHS * len(learned) / BATCH)
    defaults = [f"options.steps={steps}", f"options.batch={BATCH}", "options.microbatch=1", f"options.rate={RATE}",
                f"options.warmup={max(1, steps // 10)}"]  # fmt: skip
    given = {"model": model, "out": str(out), "conversations": str(out / CONVERSATIONS), "learn": "rating"}
    config = read_config(None, SftConfig, given, [*defaults, *settings])
    before = scores(model, held)
    run_sft(config)
    helped, lines = compared(held, before, scores(f"hf:{out}", held))
    if not helped:
        (out / ADAPTER).unlink()
    about = (
        f"{len(learned)} pictures learned from in {config.options.steps} steps, {len(held)} of other scenes held out"
    )
    return helped, failed, [about, *lines]


def split_samples(samples: Sequence[Sample], max_megapixels: float, quiet: bool) -> tuple[list[Sample], int]:
    """Return the pictures that can be read, a fifth of their scenes in the split "val" and the others in "train"; and
    the number of those that cannot, which are reported."""
    kept, hashes = list[Sample](), list[int]()
    for sample, view in readable(samples, max_megapixels, quiet):
        kept.append(sample)
        hashes.append(hash_of(Image.fromarray(view.overview)))
    group = near_duplicate_groups(np.array(hashes, np.uint64))
    held = folds_of(group, FOLDS) == 0
    return [
        replace(one, split="val" if out else "train", group=f"g{number}")
        for one, out, number in zip(kept, held.tolist(), group.tolist(), strict=True)
    ], len(samples) - len(kept)


def conversation(sample: Sample) -> dict[str, object]:
    """Return a picture's line for `snellen train sft`: one round, answered by its rating without text."""
    answer = Answer(None, float(sample.mos or math.nan), "final")
    return {
        "path": sample.path,
        "split": sample.split,
        "rounds": [round_of(FULL, answer, render_reply(None, answer, 1))],
    }


def scores(model: str, samples: Sequence[Sample]) -> Floats:
    """Return the scores (N,) of a model, without text; NaN where it gave none."""
    found = Assessor(model, score_only=True).assess([sample.path for sample in samples])
    return np.array([math.nan if one.score is None else one.score for one in found])


def compared(samples: Sequence[Sample], before: Floats, after: Floats) -> tuple[bool, list[str]]:
    """Return whether the adapted scores are nearer to the ratings, and no picture lost its score; and lines about it.

    before, after: (N,), NaN where there is no score. Pictures that both scored are compared.
    """
    mos = np.array([sample.mos for sample in samples], np.float64)
    both = np.isfinite(before) & np.isfinite(after)
    lines = [
        f"  {name} gave no score to {np.isnan(found).sum()} of {len(found)}"
        for name, found in (("the model", before), ("the adapted one", after))
        if np.isnan(found).any()
    ]
    if both.sum() < FEWEST_HELD_OUT:
        return False, [*lines, f"  only {both.sum()} pictures have both scores, too few to compare"]
    a, b, y = before[both], after[both], mos[both]
    gain = mean_interval(list((a - y) ** 2 - (b - y) ** 2))
    rank = bootstrap_difference(srcc, b, a, y)
    lines += [
        f"  model    SRCC {srcc(a, y):.3f}  root mean square error {rmse(a, y):.3f}",
        f"  adapted  SRCC {srcc(b, y):.3f}  root mean square error {rmse(b, y):.3f}",
        f"  gain     SRCC {signed(rank)}  squared error {signed(gain)}",
    ]
    return bool(gain.low > 0 and np.isnan(after).sum() <= np.isnan(before).sum()), lines
