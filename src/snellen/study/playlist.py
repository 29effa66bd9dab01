"""Order in which one rater gets training, rated, repeated and golden items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from snellen.study.pair_choice import next_pairs
from snellen.study.pair_scale import Floats
from snellen.study.plan import Plan
from snellen.study.rubric import Known


@dataclass(frozen=True)
class Task:
    """One item of a rater. kind: "training", "rated", "repeat" or "golden". picture: key. other: key of the second of a
    pair, of the reference in DCR, else "". block: number of the block, 0 for training."""

    kind: str
    picture: str
    other: str = ""
    block: int = 0


def first_tasks(plan: Plan, rng: np.random.Generator, counts: Mapping[str, int]) -> list[Task]:
    """Return a rater's items; with pairs the training only, `pair_block` adds the others block by block.

    counts: how often each picture has been assigned so far. Pictures with the fewest go first into a rater's share, so
    that all get equally many ratings. Golden items lie at random places of the session, a repeat at least a third of
    the session after its first. Two pictures of one scene follow each other only where nothing else is left.
    """
    training = [_known("training", one, plan, rng) for one in plan.rubric.training]
    if plan.rubric.is_pairs:
        return training
    pictures = list(plan.rated)
    share = min(plan.rubric.items or len(pictures), len(pictures))
    fewest = sorted(range(len(pictures)), key=lambda at: (counts.get(pictures[at].key, 0), rng.random()))
    chosen = [pictures[at] for at in fewest[:share]]
    order = [chosen[at] for at in rng.permutation(share)]
    groups = {picture.key: picture.group or picture.key for picture in pictures}
    tasks = apart([Task("rated", one.key, _reference(plan, one.key)) for one in order], groups)
    tasks = _with_repeats(tasks, plan.rubric.repeats, rng)
    for one in plan.rubric.golden:
        tasks.insert(int(rng.integers(1, len(tasks) + 1)), _known("golden", one, plan, rng))
    size = plan.rubric.block
    return training + [Task(t.kind, t.picture, t.other, 1 + at // size) for at, t in enumerate(tasks)]


def _with_repeats(tasks: list[Task], number: int, rng: np.random.Generator) -> list[Task]:
    early = tasks[: max(1, 2 * len(tasks) // 3)]
    repeated = sorted(rng.permutation(len(early))[: min(number, len(early))].tolist())
    found = list(tasks)
    for at in reversed(repeated):
        again = Task("repeat", early[at].picture, early[at].other)
        found.insert(int(rng.integers(min(at + len(tasks) // 3 + 1, len(found)), len(found) + 1)), again)
    return found


def apart(tasks: list[Task], groups: Mapping[str, str]) -> list[Task]:
    """Return the tasks in an order where two of one group follow each other only if nothing else is left."""
    left = list(tasks)
    found: list[Task] = []
    while left:
        last = groups.get(found[-1].picture) if found else None
        at = next((n for n, task in enumerate(left) if groups.get(task.picture) != last), 0)
        found.append(left.pop(at))
    return found


def pair_block(plan: Plan, had: list[Task], wins: Floats, rng: np.random.Generator) -> list[Task]:
    """Return a rater's next block of pairs, the most informative ones; [] where the rater has had all.

    had: the rater's items so far. wins: (P, P) choices of all raters, in the order of `plan.rated`. Known pairs lie at
    random places of the first block; repeats, sides swapped, at the end of the last.
    """
    row, keys = plan.rows, list(plan.rows)
    real = [task for task in had if task.kind == "rated"]
    wanted = plan.pairs_of_rater
    if len(real) >= wanted:
        return []
    seen = np.zeros((len(keys), len(keys)), bool)
    for task in real:
        seen[row[task.picture], row[task.other]] = True
    number = min(plan.rubric.block, wanted - len(real))
    block = 1 + max((task.block for task in had), default=0)
    tasks = [Task("rated", keys[i], keys[j], block) for i, j in next_pairs(wins, number, rng, seen)]
    early = real or tasks[: len(tasks) // 2]
    if not real:
        for one in plan.rubric.golden:
            task = _known("golden", one, plan, rng)
            tasks.insert(int(rng.integers(0, len(tasks) + 1)), Task(task.kind, task.picture, task.other, block))
    if len(real) + number >= wanted:
        for at in rng.permutation(len(early))[: plan.rubric.repeats]:
            tasks.append(Task("repeat", early[at].other, early[at].picture, block))
    return tasks


def _known(kind: str, known: Known, plan: Plan, rng: np.random.Generator) -> Task:
    if known.worse:
        pair = (known.image, known.worse) if rng.random() < 0.5 else (known.worse, known.image)
        return Task(kind, *pair)
    return Task(kind, known.image, _reference(plan, known.image))


def _reference(plan: Plan, key: str) -> str:
    return plan.by_key[key].reference if plan.rubric.method == "dcr" else ""
