"""One rater's way through a study: the next items, and checks of the answers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from snellen.region import Region
from snellen.study.pair_scale import Floats, count_wins
from snellen.study.plan import ANSWERS, Plan, order_seed, read_plan
from snellen.study.playlist import Task, first_tasks, pair_block
from snellen.study.rubric import Known, Question
from snellen.study.store import Store
from snellen.vocabulary import KINDS

AHEAD = 4
"""Items sent to a browser ahead, with the next one: it loads their pictures while the rater judges one."""
LONGEST_TEXT = 2000
CHOICES = {"first": 1.0, "tie": 0.5, "second": 0.0}
"""Answers about a pair, and their credit for the first."""


class AnswerError(ValueError):
    """An answer that cannot be taken; the text says why."""


class Study:
    """An open study. folder: made by `create_study`. Methods may be called from many threads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.plan: Plan = read_plan(folder)
        self.store = Store(folder / ANSWERS)
        self.store.check()

    def state(self, code: str) -> dict[str, Any]:
        """Return what a rater's page shows now: a stage (consent, screen, items or done), progress, the next items."""
        rater = self.store.rater(code)
        plan = self.plan
        if rater.consented is None:
            return {"stage": "consent", "title": plan.rubric.title, "consent": plan.rubric.consent}
        if rater.screen is None:
            return {"stage": "screen", "title": plan.rubric.title, "screen": asdict(plan.rubric.screen)}
        tasks, at = self._tasks(code), self.store.next_position(code)
        if at >= len(tasks):
            self.store.note(code, finished=True)
            return {"stage": "done", "title": plan.rubric.title}
        total = len(tasks)
        if plan.rubric.is_pairs:
            total += max(0, plan.pairs_of_rater - sum(task.kind == "rated" for task in tasks))
        return {
            "stage": "items", "title": plan.rubric.title, "position": at, "total": total,
            "after_break": at > 0 and tasks[at].block != tasks[at - 1].block,
            "after_training": at > 0 and tasks[at - 1].kind == "training" != tasks[at].kind,
            "items": [self._item(task) for task in tasks[at : at + AHEAD]],
        }  # fmt: skip

    def rubric(self) -> dict[str, Any]:
        """Return the parts of the rubric that the page shows; no known answers, no names of files."""
        rubric = self.plan.rubric
        return {
            "method": rubric.method, "questions": [asdict(question) for question in rubric.questions],
            "ties": rubric.ties, "boxes": rubric.boxes, "fit": rubric.fit, "kinds": list(KINDS),
        }  # fmt: skip

    def _item(self, task: Task) -> dict[str, Any]:
        pictures = [self.plan.by_key[key] for key in (task.picture, task.other) if key]
        return {
            "training": task.kind == "training",
            "block": task.block,
            "pictures": [{"key": one.key, "width": one.width, "height": one.height} for one in pictures],
        }

    def _tasks(self, code: str) -> list[Task]:
        tasks = self.store.tasks(code)
        if not tasks:
            made = first_tasks(self.plan, self._rng(code, 0), self.store.assigned())
            self.store.add_tasks(code, 0, made)
            tasks = self.store.tasks(code)
        if self.plan.rubric.is_pairs and self.store.next_position(code) >= len(tasks):
            more = pair_block(self.plan, tasks, self.wins(), self._rng(code, len(tasks)))
            if more:
                self.store.add_tasks(code, len(tasks), more)
                tasks = self.store.tasks(code)
        return tasks

    def _rng(self, code: str, at: int) -> np.random.Generator:
        return np.random.default_rng([order_seed(self.plan, code), at])

    def wins(self) -> Floats:
        """Return the choices of all raters so far (P, P), in the order of `plan.rated`."""
        row = self.plan.rows
        found = [(row[a], row[b], CHOICES[c]) for a, b, c in self.store.choices() if a in row and b in row]
        first, second, share = zip(*found, strict=True) if found else ((), (), ())
        return count_wins(first, second, share, len(row))

    def answer(self, code: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Store an answer from a page. Returns {"stored", "hint"}: stored is False for a second answer to an item.

        hint: after a training item whose answer lies outside the known range. Raises AnswerError.
        """
        tasks = self.store.tasks(code)
        position = body.get("position")
        if isinstance(position, bool) or not isinstance(position, int) or not 0 <= position < len(tasks):
            raise AnswerError("position is the number of an item")
        task = tasks[position]
        answers = self._answers(body.get("answers"))
        boxes = [_box(row) for row in _list(body.get("boxes", []), 50)] if self.plan.rubric.boxes else []
        seconds, shown, answered = (_number(body, name) for name in ("seconds", "shown", "answered"))
        view = body.get("view", {})
        if not isinstance(view, dict) or len(str(view)) > 500:
            raise AnswerError("view is a small object")
        try:
            stored = self.store.add_answer(code, position, answers, boxes, seconds, (shown, answered), view)
        except ValueError as error:
            raise AnswerError(str(error)) from error
        return {"stored": stored, "hint": self._hint(task, answers)}

    def _answers(self, given: Any) -> dict[str, Any]:
        if not isinstance(given, dict):
            raise AnswerError("answers is an object")
        if self.plan.rubric.is_pairs:
            if given.get("preferred") not in CHOICES or (given["preferred"] == "tie" and not self.plan.rubric.ties):
                raise AnswerError("preferred is first or second" + (" or tie" if self.plan.rubric.ties else ""))
            return {"preferred": given["preferred"]}
        unknown = set(given) - {question.name for question in self.plan.rubric.questions}
        if unknown:
            raise AnswerError(f"there is no question {sorted(unknown)[0]!r}")
        return {question.name: _answer(question, given.get(question.name)) for question in self.plan.rubric.questions}

    def _hint(self, task: Task, answers: Mapping[str, Any]) -> str:
        if task.kind != "training":
            return ""
        known = known_of(self.plan.rubric.training, task)
        if known is None or is_right(known, task, answers):
            return ""
        usual = "the other one" if known.worse else f"{known.low:g} to {known.high:g}"
        return known.hint or f"Most people answer {usual} here."


def known_of(known: tuple[Known, ...], task: Task) -> Known | None:
    """Return the known item that a task shows; None where there is none."""
    keys = {task.picture, task.other}
    pair = next((one for one in known if one.worse and {one.image, one.worse} == keys), None)
    return pair or next((one for one in known if not one.worse and one.image == task.picture), None)


def is_right(known: Known, task: Task, answers: Mapping[str, Any]) -> bool:
    """Return True where the answer to a known item is right."""
    if known.worse:
        return bool(answers["preferred"] == ("first" if task.picture == known.image else "second"))
    return bool(known.low <= answers["overall"] <= known.high)


def _answer(question: Question, given: Any) -> Any:
    if question.kind == "text":
        if given is not None and (not isinstance(given, str) or len(given) > LONGEST_TEXT):
            raise AnswerError(f"{question.name} is a text of at most {LONGEST_TEXT} characters")
        return given or ""
    if given is None:
        if not question.optional:
            raise AnswerError(f"{question.name} has no answer")
        return None
    if question.kind == "scale":
        if isinstance(given, bool) or given not in (1, 2, 3, 4, 5):
            raise AnswerError(f"{question.name} is 1, 2, 3, 4 or 5")
        return int(given)
    if given not in question.words:
        raise AnswerError(f"{question.name} is one of {', '.join(question.words)}")
    return given


def _box(row: Any) -> dict[str, Any]:
    if not isinstance(row, dict) or row.get("kind") not in KINDS:
        raise AnswerError(f"the kind of a box is one of {', '.join(KINDS)}")
    severity = row.get("severity")
    if isinstance(severity, bool) or severity not in (1, 2, 3, 4, 5):
        raise AnswerError("the severity of a box is 1, 2, 3, 4 or 5")
    try:
        region = Region(*(float(value) for value in _list(row.get("box"), 4)))
    except (TypeError, ValueError) as error:
        raise AnswerError(f"a box is x0, y0, x1, y1 in 0..1 ({error})") from error
    return {"kind": row["kind"], "severity": severity, "box": [region.x0, region.y0, region.x1, region.y1]}


def _list(value: Any, most: int) -> list[Any]:
    if not isinstance(value, list) or len(value) > most:
        raise AnswerError(f"a list of at most {most} is expected")
    return value


def _number(body: Mapping[str, Any], name: str) -> float:
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise AnswerError(f"{name} is a number of seconds")
    return float(value)
