"""Filters of `snellen data build --teacher` on teachers that are wrong on purpose.

    python recipes/bench/teachers.py build/teachers --pictures 40

Generated pictures with one fault in a part, or none. A scripted teacher looks at them (at their measured maps) and
writes what it sees. Three more are wrong: one believes hints that are turned into their opposites, one is shown another
picture, one is shown none. A scripted checker reads the hints of its prompt. A sample is wrong if one of its lists of
issues is not the fault that was made: kinds equal, boxes overlapping by an IoU of 0.3. Nothing here says how real
models do.
"""

from __future__ import annotations

import argparse
import re
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from snellen.backend import Backend, Conversation
from snellen.backends.scripted import ScriptedBackend
from snellen.data.distort import distort
from snellen.data.known import informative_region
from snellen.data.sample import Fault, Sample
from snellen.data.teacher import Teacher, TeacherOptions, dropped_file, teach
from snellen.data.teacher_labels import unmeasured
from snellen.data.teacher_prompts import told
from snellen.features import Features, measure
from snellen.image import Picture, View, load
from snellen.rationale import Facts, compose
from snellen.rationale.lexicon import places_in
from snellen.region import FULL, Region
from snellen.reply import Answer, Issue, parse_reply, render_reply
from snellen.vocabulary import NAMES

MADE = {"noise": "white_noise", "blur": "lens_blur", "underexposure": "darken", "overexposure": "brighten"}
"""Kinds of fault in the pictures, and the distortion that makes each."""
SIGNS = {
    "sharpness": ("blur", "soft", "sharp"),
    "noise": ("noise", "strong", "hardly any"),
    "clipped highlights": ("overexposure", "much", "hardly any"),
    "luminance": ("underexposure", "very dark", "balanced"),
}
"""Name of a hint -> kind of fault, the word that says it is there, and the word that says it is not."""
_HINT = re.compile(r"^- ([a-z ]+): ([a-z ,]+) \([\d.]+\)(?:; .* in \[([\d., ]+)\])?$", re.MULTILINE)
_SENTENCE = re.compile(r"^\d+\. \(([^)]+)\) (.*)$", re.MULTILINE)
_CLEAN = re.compile(r"\b(no (single )?fault|nothing wrong)\b", re.IGNORECASE)
_NEGATED = re.compile(r"\b(no|not|without|nothing|confirmed|outside)\b")


def make_pictures(folder: Path, count: int, seed: int = 0) -> list[Sample]:
    """Write pictures of overlapping rectangles, one in five clean, the others with a fault in a quarter."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    samples = []
    for number in range(count):
        kind = ["", *MADE][number % (len(MADE) + 1)]
        pixels = _leaves(rng, dark=kind == "underexposure")
        x, y = (float(rng.choice([0.0, 0.5])) for _ in range(2))
        box = Region(x, y, x + 0.5, y + 0.5)
        faults: tuple[Fault, ...] = ()
        if kind:
            pixels = distort(pixels, MADE[kind], 5, rng, box, feather=0.0)
            faults = (Fault(MADE[kind], kind, 5, box),)
        file = folder / f"{number:03d}.png"
        Image.fromarray(pixels).save(file)
        mos = round(float(rng.uniform(1.5, 3.2) if kind else rng.uniform(3.8, 4.8)), 2)
        samples.append(Sample(str(file), mos=mos, group=file.name, faults=faults))
    return samples


def _leaves(rng: np.random.Generator, dark: bool) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return 384 x 480 px of overlapping rectangles in middling colours: sharp, calm, evenly lit."""
    low, high = (55, 150) if dark else (75, 190)
    canvas = Image.new("RGB", (480, 384), (128, 128, 128))
    pen = ImageDraw.Draw(canvas)
    for _ in range(1200):
        x, y, w, h = rng.integers(-10, 480), rng.integers(-10, 384), rng.integers(8, 40), rng.integers(8, 40)
        pen.rectangle((int(x), int(y), int(x + w), int(y + h)), fill=tuple(int(v) for v in rng.integers(low, high, 3)))
    return np.asarray(canvas)


def is_right(row: Mapping[str, Any]) -> bool | None:
    """Return whether every round lists the fault that was made; None where one cannot be read."""
    try:
        lists = [parse_reply(one["reply"], number).answer.issues for number, one in enumerate(row["rounds"], 1)]
    except ValueError:
        return None
    made = [(one["kind"], Region(*one["region"])) for one in row["faults"]]

    def same(listed: Sequence[Issue]) -> bool:
        hits = [any(issue.kind == kind and issue.region.iou(box) >= 0.3 for issue in listed) for kind, box in made]
        return all(hits) and len(listed) == len(made)

    return all(map(same, lists)) if lists else None


@dataclass(frozen=True)
class Seen:
    """Belief of a scripted teacher about a picture: issues, and the part that it would look at."""

    issues: tuple[Issue, ...]
    crop: Region


def look(picture: Picture) -> tuple[Features, Seen]:
    """Return the measured features of a picture, and the worst fault that their maps show in a part of it."""
    measured = measure(picture)
    about = told(3.0, measured)
    issues = []
    for line, place in zip(about.hints, about.places, strict=True):
        found = re.search(r"\[([\d., ]+)\]", place)
        kind = SIGNS.get(line.partition(":")[0], ("", "", ""))[0]
        if found and kind:
            issues.append(Issue(kind, 4, Region(*map(float, found[1].split(",")))))
    crop = issues[0].region if issues else informative_region(measured, np.random.default_rng(0))
    return measured, Seen(tuple(issues[:1]), crop)


def believe(prompt: str, *, flipped: bool) -> tuple[Issue, ...]:
    """Return the faults that the hints of a prompt name, or with `flipped` those that their opposites would."""
    issues = []
    for name, word, _ in _HINT.findall(prompt):
        kind, there, not_there = SIGNS.get(name, ("", "", ""))
        if kind and word == (not_there if flipped else there):
            issues.append(Issue(kind, 3, FULL))
    return tuple(issues[:2])


Eyes = Callable[[View], Picture | None]


def scripted_teacher(eyes: Eyes, *, flipped: bool = False) -> ScriptedBackend:
    """Return a teacher that tells what it sees.

    eyes: the picture that it looks at in place of a view, None for none; without a picture it goes by the hints alone.
    """
    seen_in: dict[str, tuple[Features, Seen]] = {}

    def reply(conversation: Conversation) -> str:
        prompt = conversation[0].text
        mos = float(re.search(r"People rated this picture (\d\.\d\d)", prompt)[1])  # type: ignore[index]
        shown = conversation[0].views
        picture = eyes(shown[0]) if shown else None
        if picture is None:
            measured, seen = unmeasured(), Seen(believe(prompt, flipped=flipped), Region(0.3, 0.3, 0.7, 0.7))
        else:
            if picture.name not in seen_in:
                seen_in[picture.name] = look(picture)
            measured, seen = seen_in[picture.name]
            seen = replace(seen, issues=believe(prompt, flipped=True)) if flipped else seen
        if len(conversation) == 1:
            first = Answer(seen.crop, mos, "crop", seen.issues)
            rationale = compose(Facts(1, mos, first.issues, measured, crop=first.region))
            return render_reply(rationale, first, 1)
        before = parse_reply(conversation[-2].text, 1).answer
        last = Answer(None, mos, "final", seen.issues)
        facts = Facts(
            2, mos, last.issues, measured, before.region or FULL,
            earlier_rating=before.rating, earlier_issues=before.issues,
        )  # fmt: skip
        return render_reply(compose(facts), last, 2)

    return ScriptedBackend(reply)


def scripted_checker(error: float = 0.0) -> ScriptedBackend:
    """Return a checker that compares the kinds and places that each sentence names with the hints of its prompt.

    error: share of the sentences on which it says the opposite, drawn by the sentence.
    """

    def reply(conversation: Conversation) -> str:
        prompt = conversation[0].text
        there = {
            SIGNS[name][0]: (word == SIGNS[name][1], box) for name, word, box in _HINT.findall(prompt) if name in SIGNS
        }
        verdicts = []
        for _, sentence in _SENTENCE.findall(prompt):
            verdict = _verdict(sentence, there)
            if zlib.crc32((sentence + prompt[:400]).encode()) % 10_000 < 10_000 * error:
                verdict = "supported" if verdict == "contradicted" else "contradicted"
            verdicts.append(f'"{verdict}"')
        return f"[{', '.join(verdicts)}]"

    return ScriptedBackend(reply)


def _verdict(sentence: str, there: Mapping[str, tuple[bool, str]]) -> str:
    """Return the verdict on a sentence. there: kind -> whether the whole picture has it, and the box where it is."""
    verdict = "unclear"
    if _CLEAN.search(sentence):
        at = [Region(*map(float, box.split(","))) for everywhere, box in there.values() if box and not everywhere]
        places = places_in(sentence)
        missed = any(everywhere for everywhere, _ in there.values()) or any(
            not places or places & box.places for box in at
        )
        return "contradicted" if missed else "supported"
    for kind, names in NAMES.items():
        if kind not in there or not any(re.search(rf"\b{name}\b", sentence, re.IGNORECASE) for name in names):
            continue
        if _NEGATED.search(sentence):
            continue
        everywhere, box = there[kind]
        if not everywhere and not box:
            return "contradicted"
        places = places_in(sentence)
        if not everywhere and places and not places & Region(*map(float, box.split(","))).places:
            return "contradicted"
        verdict = "supported"
    return verdict


def wrong_teachers(samples: Sequence[Sample]) -> dict[str, ScriptedBackend]:
    """Return the scripted teachers by name: one right, three wrong."""
    paths = [sample.path for sample in samples]
    other = {path: paths[(i + 1) % len(paths)] for i, path in enumerate(paths)}
    swapped: dict[str, Picture] = {}
    return {
        "right": scripted_teacher(lambda view: view.picture),
        "flipped hints": scripted_teacher(lambda view: view.picture, flipped=True),
        "swapped pictures": scripted_teacher(
            lambda view: swapped.setdefault(view.picture.name, load(other[view.picture.name]))
        ),
        "blind text": scripted_teacher(lambda view: None),
    }


def run(teacher: Backend, checker: Backend, samples: Sequence[Sample], out: Path, options: TeacherOptions) -> str:
    """Teach once and return a row of the table: how many of the right and the wrong samples are dropped, and why."""
    teach(samples, Teacher(teacher, checker, options), out)
    rows = [_row(line) for file in (out, dropped_file(out)) for line in file.read_text().splitlines()]
    counts = Counter((is_right(row), "dropped" in row) for row in rows)
    reasons = Counter(row["dropped"]["reason"] for row in rows if "dropped" in row)

    def share(right: bool) -> str:
        total = counts[right, True] + counts[right, False]
        return f"{counts[right, True]} of {total}" + (f" ({100 * counts[right, True] / total:.0f} %)" if total else "")

    why = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
    return f"{share(True)} | {share(False)} | {why}"


def _row(line: str) -> dict[str, Any]:
    import json

    row: dict[str, Any] = json.loads(line)
    return row


def main() -> None:
    """Run the scripted teachers with checkers that err more and more often, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for pictures and samples")
    parser.add_argument("--pictures", type=int, default=40)
    args = parser.parse_args()
    samples = make_pictures(args.out / "pictures", args.pictures)
    print("| checker errs | teacher | right samples dropped | wrong samples dropped | reasons |")
    print("| --- | --- | --- | --- | --- |")
    for error in (0.0, 0.01):
        for name, teacher in wrong_teachers(samples).items():
            out = args.out / f"{name.replace(' ', '_')}_{error}.jsonl"
            row = run(teacher, scripted_checker(error), samples, out, TeacherOptions(attempts=1))
            print(f"| {100 * error:.1f} % | {name} | {row} |", flush=True)


if __name__ == "__main__":
    main()
