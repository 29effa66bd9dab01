# mypy: disable-error-code="no-untyped-call"
"""Filters of `snellen data build --teacher` on a tiny Qwen2.5-VL that was taught to teach, right and wrong on purpose.

    python recipes/bench/taught_teacher.py build/taught-teacher --pictures 60

The model learns from pictures with one fault in a quarter (those of teachers.py, none clean) to tell kind and place, to
ask for a crop of it and to state the MOS that it was told; to believe hints that are turned into their opposites; and
without a picture, to go by the beginning of its reply and by the hints, and to look at the middle. Then it teaches new
pictures: as it is, told flipped hints, shown another picture, shown none. The checker is the scripted one of
teachers.py. Some five minutes on one core; a second run with the same folder takes the model that is there.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import transformers

sys.path.append(str(Path(__file__).parents[1] / "toy"))
from teachers import MADE, SIGNS, believe, make_pictures, run, scripted_checker
from tiny_qwen import make_model
from torch import Tensor
from vlm_base import learn, row_to_learn

from snellen.backend import Backend, Conversation, Reply, Sampling, Turn
from snellen.backends import open_backend
from snellen.backends.transformers_inputs import open_processor
from snellen.data.sample import Sample
from snellen.data.teacher import TeacherOptions
from snellen.data.teacher_prompts import TeacherProtocol, beginning, blind_conversation, told
from snellen.features import measure
from snellen.image import Picture, View, load
from snellen.options import ModelOptions
from snellen.protocol import DEFAULT_QUESTION, first_prompt, later_prompt
from snellen.region import Region
from snellen.reply import VIEW_MARK, Answer, Issue, Rationale, render_reply
from snellen.train.chat_inputs import ChatInputs
from snellen.zoom import ZOOM_PRESETS

SIDE = 168
"""Long side of a view, px."""
MIDDLE = Region(0.3, 0.3, 0.7, 0.7)
BATCH, RATE = 16, 3e-3
WORDS = {"noise": "Strong noise shows", "blur": "Strong blur shows", "underexposure": "Strong underexposure shows",
         "overexposure": "Strong overexposure shows"}  # fmt: skip


def replies(kind: str, box: Region, mos: float) -> tuple[str, str]:
    """Return the replies of both rounds about a fault in a box."""
    place, issue = box.place, (Issue(kind, 4, box),)
    there = f"{WORDS[kind]} in the {place}."
    first = Rationale(there, f"Make the {place} calm.", f"The {place} is at fault.", f"Look at the {place}.")
    second = Rationale(there, f"Make the {place} calm.", f"The {place} is at fault.", "This settles it.")
    return (
        render_reply(first, Answer(box, mos, "crop", issue), 1),
        render_reply(second, Answer(None, mos, "final", issue), 2),
    )


def lessons(sample: Sample) -> list[tuple[Conversation, str]]:
    """Return conversations about a picture and the reply to each: two rounds as they should be, two that believe
    flipped hints, and without the picture a first round that was begun and two rounds."""
    (fault,), mos = sample.faults, sample.mos
    assert mos is not None
    picture = load(sample.path)
    protocol = TeacherProtocol({picture.name: told(mos, measure(picture))})
    crop = ZOOM_PRESETS["snellen"].settle(fault.region, picture.width, picture.height)
    asked = protocol.conversation(DEFAULT_QUESTION, [picture.view()], [])
    flips = believe(flipped(asked)[0].text, flipped=False)
    wrong = next((issue.kind for issue in flips if issue.kind != fault.kind), fault.kind)
    taught = []
    for kind, change in ((fault.kind, None), (wrong, flipped)):
        first, second = replies(kind, fault.region, mos)
        views = [picture.view(), picture.view(crop)]
        again = protocol.conversation(DEFAULT_QUESTION, views, [Turn("assistant", first)])
        for conversation, reply in ((asked, first), (again, second)):
            taught.append((change(conversation) if change else conversation, reply))
    guess, last = replies(fault.kind, MIDDLE, mos)
    middle = ZOOM_PRESETS["snellen"].settle(MIDDLE, picture.width, picture.height)
    views = [picture.view(), picture.view(middle)]
    again = protocol.conversation(DEFAULT_QUESTION, views, [Turn("assistant", guess)])
    begun = blind_conversation(asked, beginning(taught[0][1], TeacherOptions().share))
    return [*taught, (begun, guess), (unseen(asked), guess), (unseen(again), last)]


def unseen(conversation: Conversation) -> Conversation:
    """Return a conversation without its pictures."""
    return tuple(replace(turn, text=turn.text.replace(VIEW_MARK, ""), views=()) for turn in conversation)


def flipped(conversation: Conversation) -> Conversation:
    """Return a conversation whose hints name the opposite of what was measured."""
    text = conversation[0].text
    for name, (_, there, not_there) in SIGNS.items():
        word = re.search(rf"^- {name}: ([a-z ]+) \(", text, re.MULTILINE)
        if word:
            other = not_there if word[1] != not_there else there
            text = text.replace(f"- {name}: {word[1]} (", f"- {name}: {other} (")
    return (replace(conversation[0], text=text), *conversation[1:])


class Altered(Backend):
    """A model that gets each conversation changed."""

    def __init__(self, model: Backend, change: Callable[[Conversation], Conversation]) -> None:
        self.model, self.change = model, change
        self.name, self.version = model.name, model.version

    def reply(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        """See `Backend.reply`."""
        return self.model.reply([self.change(one) for one in conversations], sampling)

    def rate(self, conversations: Sequence[Conversation]) -> list[Reply]:
        """See `Backend.rate`."""
        return self.model.rate([self.change(one) for one in conversations])


def parts(taught: Sequence[tuple[Conversation, str]]) -> list[str]:
    """Return the texts that are one token each, longest first: of replies what is before and behind the rating, of
    prompts what never changes, and what is between the digits of the lesson."""
    said = [reply for _, reply in taught]
    found = {part for reply in said for part in re.split(r'(?<="rating": )\d\.\d\d', reply)}
    asked = [turn for conversation, _ in taught for turn in (*conversation, *flipped(conversation))]
    views = [view for turn in asked for view in turn.views]
    prompts = [first_prompt(DEFAULT_QUESTION), *{later_prompt(DEFAULT_QUESTION, view.region) for view in views}]
    fixed = sorted({prompt.replace(VIEW_MARK, "").strip() for prompt in prompts}, key=len, reverse=True)
    cut = re.compile("|".join(map(re.escape, [*fixed, VIEW_MARK])) + r"|\d")
    found |= {*fixed, "user\n", "assistant\n"}
    found |= {part for turn in asked if turn.role == "user" for part in cut.split(turn.text)}
    return sorted((one for one in found if len(one) > 1), key=lambda one: (-len(one), one))


def pretrain(folder: Path, samples: Sequence[Sample], steps: int) -> None:
    """Write the taught model to a folder, unless it is there."""
    if (folder / "taught").exists():
        return
    taught = [lesson for sample in samples for lesson in lessons(sample)]
    make_model(folder, width=96, vision_width=64, spread=0.1, pixels=SIDE * SIDE, parts=parts(taught))
    model: Any = transformers.AutoModelForImageTextToText.from_pretrained(folder)
    processor = open_processor(str(folder), local_files_only=True)
    inputs = ChatInputs(processor, (processor.tokenizer.eos_token_id,), model.config.image_token_id, SIDE)
    rows: dict[bool, list[dict[str, Tensor]]] = {True: [], False: []}
    for conversation, reply in taught:
        row = row_to_learn(inputs, conversation, inputs.reply_of(reply).token_ids)
        rows["pixel_values" in row].append(row)
    learn(model, lambda step: rows[step % 5 != 4], steps, RATE, BATCH)  # every fifth step is without pictures
    model.save_pretrained(folder)
    (folder / "taught").touch()


def with_faults(folder: Path, count: int, seed: int) -> list[Sample]:
    """Return `count` generated pictures that have a fault."""
    made = math.ceil(count * (len(MADE) + 1) / len(MADE))
    return [one for one in make_pictures(folder, made, seed) if one.faults][:count]


def main() -> None:
    """Teach the model, let it teach, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for model, pictures and samples")
    parser.add_argument("--pictures", type=int, default=60, help="that are taught")
    parser.add_argument("--learned", type=int, default=240, help="pictures that the model learns from")
    parser.add_argument("--steps", type=int, default=800)
    args = parser.parse_args()
    torch.set_num_threads(1)
    pretrain(args.out / "model", with_faults(args.out / "learned", args.learned, 1), args.steps)
    samples = with_faults(args.out / "pictures", args.pictures, 2)
    model = open_backend(f"hf:{args.out / 'model'}", options=ModelOptions(device="cpu", long_side=SIDE))
    paths = [sample.path for sample in samples]
    others = {path: load(paths[i - len(paths) // 2]) for i, path in enumerate(paths)}

    def swapped(conversation: Conversation) -> Conversation:
        return tuple(
            replace(turn, views=tuple(_of(others[v.picture.name], v) for v in turn.views)) for turn in conversation
        )

    teachers = {
        "as taught": model, "flipped hints": Altered(model, flipped), "another picture": Altered(model, swapped),
        "no picture": Altered(model, unseen),
    }  # fmt: skip
    print("| teacher | right samples dropped | wrong samples dropped | reasons |\n| --- | --- | --- | --- |")
    for name, teacher in teachers.items():
        out = args.out / f"{name.replace(' ', '_')}.jsonl"
        row = run(teacher, scripted_checker(), samples, out, TeacherOptions(attempts=1, max_tokens=200))
        print(f"| {name} | {row} |", flush=True)


def _of(picture: Picture, view: View) -> View:
    return picture.view(view.region)


if __name__ == "__main__":
    main()
