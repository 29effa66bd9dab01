"""Training conversations by a teacher: a vision-language model given MOS and hints (`data build --teacher MODEL`).

    picture, MOS, hints ─▶ reply ─▶ rating = MOS? ─▶ other answer without the picture? ─▶ borne out? ─▶ kept
                             ▲            └──────────────── no: the reason is recorded ──┘
                             └── again, up to `attempts` times

Every attempt is a row of JSON lines as soon as it is judged, kept ones in one file and dropped ones in another, so that
a killed run goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from snellen.assessment import Assessment
from snellen.assessor import Assessor
from snellen.backend import Backend, Reply, Sampling
from snellen.data.build import round_of
from snellen.data.sample import ManifestError, Sample, fault_to_row
from snellen.data.teacher_filters import RelianceLimits, contradictions, counted, reliance
from snellen.data.teacher_prompts import (
    TeacherProtocol,
    Told,
    beginning,
    blind_conversation,
    check_conversation,
    read_verdicts,
    sentences,
    told,
)
from snellen.features import measure
from snellen.image import ImageError, Picture, load
from snellen.protocol import DEFAULT_QUESTION
from snellen.reply import render_reply
from snellen.usage import UsageError
from snellen.workers import cut_off_last_line


@dataclass(frozen=True)
class TeacherOptions:
    """Settings of a run.

    Attributes:
        attempts: the most replies for one picture.
        rounds: the most rounds of a reply.
        batch_size: pictures that are taught together.
        temperature: of the teacher's replies. The other replies, of filters, are greedy.
        max_tokens: the most tokens of a reply.
        seed: of the first attempt; each further one has the next.
        rating_slack: the last rating may miss the MOS by so much.
        share: of the first round's think text that is continued without the picture, 0..1.
        limits: differences that count; None leaves this filter out.
        contradicted: sentences of a sample that may be contradicted.
    """

    attempts: int = 3
    rounds: int = 2
    batch_size: int = 8
    temperature: float = 0.7
    max_tokens: int = 1024
    seed: int = 0
    rating_slack: float = 0.05
    share: float = 0.2
    limits: RelianceLimits | None = field(default_factory=RelianceLimits)
    contradicted: int = 0


@dataclass
class Counts:
    """Counts of a run so far.

    Attributes:
        kept, given_up: pictures.
        dropped: attempts, by reason.
        calls: replies that models wrote.
        prompt_tokens, reply_tokens: tokens of these calls, as far as models count them.
    """

    kept: int = 0
    given_up: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    calls: int = 0
    prompt_tokens: int = 0
    reply_tokens: int = 0

    def add(self, row: Mapping[str, Any], last: bool) -> None:
        """Count an attempt. last: there is no further one."""
        if "dropped" in row:
            self.dropped[row["dropped"]["reason"]] += 1
            self.given_up += last
        else:
            self.kept += 1
        tokens = row["teacher"]["tokens"]
        self.calls += tokens["calls"]
        self.prompt_tokens += tokens["prompt"]
        self.reply_tokens += tokens["reply"]

    def line(self, price: tuple[float, float] | None = None) -> str:
        """Return the counts in one line. price: of a million prompt and reply tokens."""
        reasons = ", ".join(f"{reason} {count}" for reason, count in self.dropped.most_common())
        text = (
            f"kept {self.kept}, given up {self.given_up}; dropped attempts: {reasons or 'none'}; {self.calls:,} calls, "
        )
        text += f"{self.prompt_tokens:,} prompt tokens, {self.reply_tokens:,} reply tokens"
        if price is None:
            return text
        return f"{text}, cost {(self.prompt_tokens * price[0] + self.reply_tokens * price[1]) / 1e6:.2f}"


@dataclass
class _Trial:
    """One attempt at one picture while it is judged."""

    sample: Sample
    picture: Picture
    told: Told
    attempt: int
    run: Assessment
    replies: list[Reply]
    found: dict[str, Any] = field(default_factory=dict)
    reason: str | None = None
    detail: str = ""

    def drop(self, reason: str, detail: str) -> None:
        self.reason, self.detail = reason, detail


class Teacher:
    """A model that teaches, a model that checks (None: no check), and the settings."""

    def __init__(self, model: Backend, checker: Backend | None, options: TeacherOptions) -> None:
        self.model, self.checker, self.options = model, checker, options
        names = [model.name, model.version, checker and [checker.name, checker.version], asdict(options)]
        self.settings = hashlib.sha256(json.dumps(names, sort_keys=True).encode()).hexdigest()[:12]

    def attempt(self, lessons: Sequence[tuple[Sample, Picture, Told]], number: int) -> list[dict[str, Any]]:
        """Return one row for each picture, kept or dropped. number: of the attempt, from 1."""
        options = self.options
        protocol = TeacherProtocol({picture.name: about for _, picture, about in lessons})
        sampling = Sampling(options.temperature, max_tokens=options.max_tokens, seed=options.seed + number - 1)
        assessor = Assessor(
            self.model, "snellen", options.rounds, options.batch_size, sampling=sampling, question=DEFAULT_QUESTION
        )
        assessor.protocol = protocol
        runs = assessor.assess([picture for _, picture, _ in lessons])
        trials = [
            _Trial(*lesson, number, run, [step.reply for step in run.steps])
            for lesson, run in zip(lessons, runs, strict=True)
        ]
        for trial in trials:
            self._read(trial)
        self._blind([one for one in trials if one.reason is None], protocol)
        self._check([one for one in trials if one.reason is None])
        return [self._row(trial) for trial in trials]

    def _read(self, trial: _Trial) -> None:
        """Drop a sample that has no complete, readable reply or another rating than people gave."""
        error, mos = trial.run.error, trial.told.mos
        if error is not None:
            trial.drop("no reply" if error.code == "no_reply" else "unreadable", error.problem)
        elif any(step.parsed is None or step.parsed.rationale is None for step in trial.run.steps):
            trial.drop("no text", "a round has no think text")
        elif (asked := trial.run.steps[-1].parsed) is not None and asked.answer.tool == "crop":
            trial.drop("unfinished", f"still asks for a crop: {trial.run.steps[-1].note}")
        elif (rating := trial.run.steps[-1].rating) is not None and abs(rating - mos) > self.options.rating_slack:
            trial.drop("rating", f"the last rating is {rating:.2f}, people gave {mos:.2f}")

    def _blind(self, trials: Sequence[_Trial], protocol: TeacherProtocol) -> None:
        """Drop the samples whose first answer is the same when the teacher continues it without the picture."""
        if self.options.limits is None or not trials:
            return
        questions = [protocol.conversation(DEFAULT_QUESTION, [one.run.steps[0].view], []) for one in trials]
        begun = [beginning(one.replies[0].text, self.options.share) for one in trials]
        asked = [blind_conversation(*pair) for pair in zip(questions, begun, strict=True)]
        blind = self.model.reply(asked, Sampling(max_tokens=self.options.max_tokens, seed=self.options.seed))
        for trial, start, reply in zip(trials, begun, blind, strict=True):
            parsed = trial.run.steps[0].parsed
            assert parsed is not None  # else it has been dropped
            trial.replies.append(reply)
            if reply.failure is not None:
                trial.drop("no reply", reply.failure)
                continue
            found = reliance(parsed.answer, trial.replies[0], reply, start, protocol)
            trial.found["reliance"] = found.to_dict()
            if not found.relies(self.options.limits):
                trial.drop("blind", "the same box, tool, rating and entropy without the picture")

    def _check(self, trials: Sequence[_Trial]) -> None:
        """Drop the samples of which the checker contradicts sentences."""
        if self.checker is None or not trials:
            return
        listed = [
            sentences([s.parsed.rationale for s in one.run.steps if s.parsed and s.parsed.rationale]) for one in trials
        ]
        asked = [
            check_conversation(one.told, [step.view for step in one.run.steps], written)
            for one, written in zip(trials, listed, strict=True)
        ]
        checks = self.checker.reply(asked, Sampling(max_tokens=self.options.max_tokens, seed=self.options.seed))
        for trial, written, reply in zip(trials, listed, checks, strict=True):
            trial.replies.append(reply)
            if reply.failure is not None:
                trial.drop("no reply", reply.failure)
                continue
            try:
                verdicts = read_verdicts(reply.text, len(written))
            except ValueError as error:
                trial.drop("checker", str(error))
                continue
            trial.found["verdicts"] = counted(verdicts)
            wrong = contradictions(verdicts, written)
            if len(wrong) > self.options.contradicted:
                trial.drop("contradicted", " | ".join(wrong))

    def _row(self, trial: _Trial) -> dict[str, Any]:
        steps = trial.run.steps
        rounds = [
            round_of(step.region, step.parsed.answer, render_reply(step.parsed.rationale, step.parsed.answer, number))
            if step.parsed
            else {"region": step.region.to_list(), "rating": None, "issues": None, "reply": step.reply.text}
            for number, step in enumerate(steps, 1)
        ]
        first = steps[0].distribution
        about = {
            "first": rounds[0]["rating"],
            "first_std": None if first is None else round(first.std, 4),
            "size": [trial.picture.width, trial.picture.height],
        }
        row = self.row(trial.sample, trial.attempt, rounds, trial.replies, **trial.found) | about
        return row if trial.reason is None else {**row, "dropped": {"reason": trial.reason, "detail": trial.detail}}

    def row(
        self, sample: Sample, attempt: int, rounds: Sequence[Any], replies: Sequence[Reply], **found: Any
    ) -> dict[str, Any]:
        """Return the JSON object of an attempt. found: what the filters found."""
        written = sum(one.reply_tokens or len(one.token_ids) or len(one.logprobs) for one in replies)
        return {
            "path": sample.path,
            "split": sample.split,
            "real": not sample.faults and sample.reference is None,
            "mos": sample.mos,
            "faults": [fault_to_row(fault) for fault in sample.faults],
            "rounds": list(rounds),
            "teacher": {
                "model": self.model.name,
                "version": self.model.version,
                "checker": self.checker.name if self.checker else None,
                "settings": self.settings,
                "attempt": attempt,
                "tokens": {
                    "calls": len(replies),
                    "prompt": sum(one.prompt_tokens for one in replies),
                    "reply": written,
                },
                **found,
            },
        }


def teach(
    samples: Iterable[Sample],
    teacher: Teacher,
    out: Path,
    *,
    resume: bool = False,
    on_picture: Callable[[Counts], None] | None = None,
) -> Counts:
    """Teach pictures and write kept samples to `out` and dropped ones beside it; see `dropped_file`.

    Args:
        samples: rated pictures. Those of the test split are left out: nothing is taught on them.
        out: JSON lines as `snellen.data.build.build` writes them, with "teacher".
        resume: continue the files of a run with the same settings; otherwise they are begun anew.
        on_picture: called with the counts after each picture that is finished.

    Raises:
        ManifestError: a picture has no MOS.
        UsageError: the files are of a run with other settings.
        BackendError: a model does not answer; the files can be continued.
    """
    options, counts = teacher.options, Counts()
    made: dict[str, int] = {}
    for file in (out, dropped_file(out)):
        for row in _rows_so_far(file, teacher.settings) if resume else []:
            attempt = row["teacher"]["attempt"] if "dropped" in row else options.attempts
            made[row["path"]] = max(made.get(row["path"], 0), attempt)
            counts.add(row, last=attempt == options.attempts)
    todo = [one for one in samples if one.split != "test" and made.get(one.path, 0) < options.attempts]
    for sample in todo:
        if sample.mos is None:
            raise ManifestError(f"{sample.path}: no mos; a teacher must know how good the picture is")
    mode = "a" if resume else "w"
    with out.open(mode, encoding="utf-8") as kept, dropped_file(out).open(mode, encoding="utf-8") as dropped:

        def record(row: Mapping[str, Any], number: int) -> None:
            file = dropped if "dropped" in row else kept
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            file.flush()
            made[row["path"]] = number if "dropped" in row else options.attempts
            counts.add(row, last=number == options.attempts)
            if made[row["path"]] == options.attempts and on_picture is not None:
                on_picture(counts)

        for start in range(0, len(todo), options.batch_size):
            lessons = []
            for sample in todo[start : start + options.batch_size]:
                try:
                    lessons.append(_lesson(sample))
                except ImageError as error:
                    problem = {"reason": "picture", "detail": str(error)}
                    record({**teacher.row(sample, options.attempts, [], []), "dropped": problem}, options.attempts)
            for number in range(1, options.attempts + 1):
                due = [one for one in lessons if made.get(one[0].path, 0) < number]
                for row in teacher.attempt(due, number) if due else []:
                    record(row, number)
    return counts


def dropped_file(out: Path) -> Path:
    """Return the file of dropped samples that belongs to a file of kept ones."""
    return out.with_name(f"{out.stem}.dropped{out.suffix}")


def _lesson(sample: Sample) -> tuple[Sample, Picture, Told]:
    picture = load(sample.path)
    assert sample.mos is not None  # checked before
    return sample, picture, told(sample.mos, measure(picture))


def _rows_so_far(file: Path, settings: str) -> list[dict[str, Any]]:
    """Return the rows of an earlier run; a last line that a kill cut off is removed from the file."""
    rows = [json.loads(line) for line in cut_off_last_line(file)] if file.exists() else []
    if any(row.get("teacher", {}).get("settings") != settings for row in rows):
        raise UsageError(f"{file} was made with another teacher or other settings; name another file, or --overwrite")
    return rows
