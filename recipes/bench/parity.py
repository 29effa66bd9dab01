"""Compare protocol zoom-iqa with the Zoom-IQA authors' code on generated cases, and record what theirs does.

    python recipes/bench/parity.py --out tests/unit/golden/parity.json

needs their package (pip install --no-deps git+https://github.com/EthanLiang99/Zoom-IQA) and dirtyjson. The record
holds numbers and hashes of their results, by blocks of cases; `tests/unit/test_parity.py` compares ours with it, and
with their package where it is installed.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from snellen.image import Picture, View
from snellen.protocol import Turn, ZoomIqaProtocol
from snellen.region import Region
from snellen.reply import ReplyError
from snellen.zoom import ZOOM_PRESETS
from snellen.zoomiqa_reply import asked_region, parse_zoomiqa

BLOCK = 250
"""Cases for each hash of the record."""
STAND_IN = ZoomIqaProtocol("Rate: {{json}}. {question}\n", "Look again: {{json}}. {question}\n", ("How good is it?",))
"""Prompts that both are given where the layout of a conversation is compared without the authors' prompts."""
ZOOM = ZOOM_PRESETS["zoom-iqa"]
Case = tuple[Any, ...]
Run = Callable[[Case], Any]


@dataclass(frozen=True)
class Part:
    """One kind of case: its generator, and what each side makes of a case (a JSON-able value)."""

    name: str
    cases: Callable[[], Iterator[Case]]
    ours: Run
    theirs: Callable[[Any, Case], Any]


# replies

RATINGS = (
    "3.47", "3", "1", "5.0", '"3.47"', '" 4.2 "', '"bad"', '"7.5"', '"1e0"', '"4_2"', "7", "0.2", "-3", "null", "true",
    "NaN", "Infinity", "-Infinity", "[3]", "{}", "1e400", "1" + "0" * 400, "03.5", ".5", "3.", "3,5", '"3.5/5"', '""',
)  # fmt: skip
BOXES = (
    "[0, 0, 0, 0]", "[0.0, 0.0, 0.0, 0.0]", "[]", "{}", '""', '"none"', "null", "7", "[0.1, 0.2, 0.6]",
    "[0.1, 0.2, 0.6, 0.8, 1]", '["0.1", "0.2", "0.6", "0.8"]', '["0", "0", "0", "0"]', '["a", 0, 1, 1]',
    "[[0.1, 0.2], [0.6, 0.8]]", "[true, false, true, true]", "[false, 0, 0, 0]", "[0.5, NaN, 1, 1]",
    "[NaN, NaN, NaN, NaN]", "[0, 0, Infinity, 1]", "[-Infinity, 0, 1, 1]", "[0, 0, 1" + "0" * 400 + ", 1]",
    "[0.1 0.2 0.6 0.8]", "(0.1, 0.2, 0.6, 0.8)", '{"x": 0.1}', "[0.1, 0.2, 0.6, 0.8,]", "[.1, .2, .6, .8]",
)  # fmt: skip
TOOLS = ('"crop"', '"crop"', '"crop"', '"final"', '"final"', '"zoom"', '"Final"', "null", "3", '""', "crop", "'crop'")
THINKS = (
    "", "<think></think>", "<think>It is soft.</think>\n", "Sure! ", "<think>cut off ", "</think>", "```\n",
    "<think>1) Image Quality Summary: Soft.\n2) Directions for Improvement: Crisp.\n3) Issues to Avoid: Blur.\n"
    "4) Decision & Rationale: Zoom.</think>", "<answer>", '<answer>{"rating": 2.5}</answer> ', "<answer>none</answer> ",
    "{", "Rating: 3.5 ", "<think><answer>{}</answer></think>",
)  # fmt: skip
DRESSES = (
    "<answer>{}</answer>", "<answer>{}</answer>", "<answer>{}</answer>", "<answer>\n {} \n</answer>",
    "<answer>{}", "{}", "{}</answer>", "<ANSWER>{}</ANSWER>", "<answer>```json\n{}\n```</answer>",
    "<answer>[{}]</answer>", "<answer>{} done</answer>", "<answer>so {}</answer>", "<answer>{}</answer></answer>",
    "<answer>{}</answer> Thank you.", "<answer>{}}}</answer>", "<answer>{{}}{}</answer>", "<answer>{}{}</answer>",
)  # fmt: skip


def replies() -> Iterator[Case]:
    """Yield (text, round, size): answers of all forms that were seen of models, and worse."""
    rng = random.Random(1)
    for _ in range(5000):
        ordinary = rng.random() < 0.5
        keys = [
            ("bbox_2d", _ordinary_box(rng) if rng.random() < 0.6 else rng.choice(BOXES)),
            ("rating", f"{rng.uniform(1, 5):.2f}" if rng.random() < 0.6 else rng.choice(RATINGS)),
            ("tool", rng.choice(TOOLS[:5]) if ordinary else rng.choice(TOOLS)),
        ]
        if rng.random() < 0.15:
            keys.append(("issues", rng.choice(("[]", "null", '[{"kind": "blur"}]', '"a } b"', '"</answer>"'))))
        if not ordinary:
            rng.shuffle(keys)
            keys = keys[: rng.choice((1, 2, 3, 4, 4, 4))] + rng.choice(([], [], [], keys[:1]))
        payload = _object(rng, keys, ordinary)
        dress, think = (DRESSES[0], rng.choice(THINKS[:3])) if ordinary else (rng.choice(DRESSES), rng.choice(THINKS))
        size = (rng.randint(16, 2000), rng.randint(16, 2000))
        yield think + dress.replace("{}", payload).replace("{{", "{").replace("}}", "}"), rng.choice((1, 1, 2)), size


def _ordinary_box(rng: random.Random) -> str:
    unit = rng.choice((1, 1, 1, 1.3, 1000, 3000))
    sides = [round(rng.uniform(-0.1 * (unit > 1), 1) * unit, rng.choice((0, 1, 2, 2, 3, 6))) for _ in range(4)]
    if rng.random() < 0.1:
        sides[2] = sides[0]
    return json.dumps(sides)


def _object(rng: random.Random, keys: Sequence[tuple[str, str]], ordinary: bool) -> str:
    quote = '"' if ordinary else rng.choice(('"', '"', '"', "'", ""))
    colon = rng.choice((": ", ":", " : "))
    joint = ", " if ordinary else rng.choice((", ", ",\n", ", ", " // remark\n, ", " "))
    end = "" if ordinary else rng.choice(("", "", "", ",", " /* end */"))
    return "{" + joint.join(f"{quote}{key}{quote}{colon}{value}" for key, value in keys) + end + "}"


def parse_ours(case: Case) -> Any:
    """Return [error], [rating] of a final answer, or [pixel box, whether it is the central one, rating] of a crop."""
    text, number, size = case
    try:
        answer = parse_zoomiqa(text, number, size).answer
    except ReplyError:
        return ["error"]
    if answer.tool == "final":
        return [answer.rating]
    return [list(ZOOM.settle(answer.region, *size).to_pixels(*size)), answer.region is None, answer.rating]


def parse_theirs(module: Any, case: Case) -> Any:
    """Return the same of the authors' functions, called as their evaluation calls them."""
    text, number, size = case
    try:
        parsed = module.parse_answer(text) if number == 1 else None
    except module.AnswerParseError:
        parsed = None
    except (ValueError, OverflowError, RecursionError):  # ends their batch without a score
        return ["error"]
    try:
        rating = min(5.0, max(1.0, module.extract_rating(text)))
    except (ValueError, OverflowError, RecursionError):  # AnswerParseError is a ValueError
        rating = None
    if parsed is None or not parsed.requests_crop:
        return ["error"] if rating is None else [rating]
    try:
        box, central = module.crop_bbox_for_stage2(parsed.bbox, *size)
    except OverflowError:
        return ["error"]
    return [box, central, rating]


# boxes


def boxes() -> Iterator[Case]:
    """Yield (box, size): fractions, pixels, thousandths, reversed, flat, outside, of pictures of every shape."""
    rng = random.Random(2)
    for _ in range(4000):
        size = (rng.randint(16, 4000), rng.randint(16, 4000)) if rng.random() < 0.8 else (rng.randint(16, 40),) * 2
        unit = rng.choice(((1, 1), (1, 1), (1, 1), size, (1000, 1000)))
        at, reach = rng.uniform(-0.1, 1), rng.choice((0.001, 0.03, 0.2, 1))
        x = sorted((at * unit[0], (at + rng.uniform(0, reach)) * unit[0]))
        y = sorted((rng.uniform(-0.1, 1) * unit[1], rng.uniform(0, 1.1) * unit[1]))
        box = [round(side, rng.choice((0, 2, 3, 12))) for side in (x[0], y[0], x[1], y[1])]
        if rng.random() < 0.1:
            box = [box[2], box[3], box[0], box[1]]
        if rng.random() < 0.1:
            box[2] = box[0]
        yield box, size


def settle_ours(case: Case) -> Any:
    """Return the pixel box of a crop and whether it is the central one."""
    box, size = case
    region = asked_region(box, size)
    return [list(ZOOM.settle(region, *size).to_pixels(*size)), region is None]


def settle_theirs(module: Any, case: Case) -> Any:
    """Return the same of the authors' function."""
    box, size = case
    return list(module.crop_bbox_for_stage2(box, *size))


# crops


def crops() -> Iterator[Case]:
    """Yield (box, pixels): small pictures of random pixels."""
    rng = random.Random(3)
    for _ in range(500):
        width, height = rng.randint(16, 120), rng.randint(16, 120)
        pixels = np.frombuffer(rng.randbytes(width * height * 3), np.uint8).reshape(height, width, 3)
        box = [round(rng.uniform(0, 1), 2) for _ in range(4)] if rng.random() < 0.9 else [0.5, 0.5]
        yield box, pixels


def shown_ours(case: Case) -> Any:
    """Return size and hash of the pixels of both pictures of the second round."""
    box, pixels = case
    picture = Picture(pixels, "case")
    reply = f'<answer>{{"bbox_2d": {json.dumps(box)}, "rating": 3, "tool": "crop"}}</answer>'
    region = parse_zoomiqa(reply, 1, (picture.width, picture.height)).answer.region
    crop = ZOOM.settle(region, picture.width, picture.height)
    turns = STAND_IN.conversation("?", [picture.view(), picture.view(crop)], [Turn("assistant", reply)])
    return [_pixels(view.shown(1)) for view in turns[-1].views]


def shown_theirs(module: Any, case: Case) -> Any:
    """Return the same of the authors' function."""
    box, pixels = case
    image = Image.fromarray(pixels)
    return [_pixels(np.asarray(image)), _pixels(np.asarray(module.crop_for_stage2(image, box)[0]))]


def _pixels(array: np.ndarray[Any, Any]) -> list[Any]:
    return [*array.shape, hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]]


# layout of the conversations

WORDS = (
    "How",
    "good",
    "is",
    "{this}",
    "{question}",
    "picture?",
    "<|image|>",
    "\n",
    "Bild",
    "画質",
    "%s",
    "{}",
    "{{x}}",
    "\\n",
)


def questions() -> Iterator[Case]:
    """Yield (question, first reply)."""
    rng = random.Random(4)
    for _ in range(500):
        question = " ".join(rng.choice(WORDS) for _ in range(rng.randint(1, 9)))
        yield question, f"<think>{rng.choice(WORDS)}</think>" + '<answer>{"rating": 3}</answer>' * rng.randint(0, 1)


def layout_ours(case: Case, protocol: ZoomIqaProtocol = STAND_IN) -> Any:
    """Return the turns of both rounds: role and texts, with a mark for each picture, joined as chat templates do."""
    question, reply = case
    view = Picture(np.zeros((16, 16, 3), np.uint8), "case").view()
    crop = View(Region(0.25, 0.25, 0.75, 0.75), view.picture)
    first = protocol.conversation(question, [view], [])
    second = protocol.conversation(question, [view, crop], [Turn("assistant", reply)])
    marked = [[turn.role, *(p if isinstance(p, str) else "\0" for p in turn.parts())] for turn in (*first, *second)]
    return [[role, "".join(parts)] for role, *parts in marked]


def layout_theirs(module: Any, case: Case, protocol: ZoomIqaProtocol | None = STAND_IN) -> Any:
    """Return the same of the authors' functions; `protocol` replaces their prompts, None leaves them."""
    question, reply = case
    own = module.STAGE1_PROMPT, module.STAGE2_PROMPT
    if protocol is not None:
        module.STAGE1_PROMPT, module.STAGE2_PROMPT = protocol.first_prompt, protocol.later_prompt
    try:
        # their evaluation leaves the mark out of the first round's question
        first = module.build_stage1_message(question.replace("<|image|>", ""), "case.png")
        second = module.build_stage2_messages(question, reply)
    finally:
        module.STAGE1_PROMPT, module.STAGE2_PROMPT = own
    return [
        [turn["role"], "".join(part["text"] if part["type"] == "text" else "\0" for part in turn["content"])]
        for turn in (*first, *second)
    ]


PARTS = (
    Part("replies", replies, parse_ours, parse_theirs),
    Part("boxes", boxes, settle_ours, settle_theirs),
    Part("crops", crops, shown_ours, shown_theirs),
    Part("layout", questions, layout_ours, layout_theirs),
)


def hashes(results: Sequence[Any]) -> list[str]:
    """Return a hash for each block of results."""
    blocks = [results[at : at + BLOCK] for at in range(0, len(results), BLOCK)]
    return [hashlib.sha256(json.dumps(block).encode()).hexdigest()[:16] for block in blocks]


def authors_module() -> Any:
    """Return the authors' module of functions; ModuleNotFoundError without their package."""
    return importlib.import_module("zoomiqa.inference.protocol")


def facts(module: Any) -> dict[str, Any]:
    """Return the constants of the authors' code, prompts and questions as hashes."""
    drawn = module.GENERATION_CONFIG
    texts = (module.STAGE1_PROMPT, module.STAGE2_PROMPT, *module.RANDOM_QUESTIONS)
    return {
        "sampling": {key: drawn[key] for key in ("temperature", "top_p", "top_k", "max_new_tokens")},
        "rounds": module.MAX_ROUNDS,
        "questions": len(module.RANDOM_QUESTIONS),
        "texts": [hashlib.sha256(text.encode()).hexdigest()[:16] for text in texts],
    }


def main() -> None:
    """Compare all cases, print the counts, and write the record of the authors' results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", metavar="FILE", type=Path, help="write the record to FILE")
    out = parser.parse_args().out
    module = authors_module()
    record: dict[str, Any] = {"facts": facts(module), "parts": {}}
    for part in PARTS:
        cases = list(part.cases())
        theirs = [part.theirs(module, case) for case in cases]
        ours = [part.ours(case) for case in cases]
        different = [i for i, (a, b) in enumerate(zip(ours, theirs, strict=True)) if json.dumps(a) != json.dumps(b)]
        kinds = sorted({json.dumps(result) for result in theirs})
        print(f"{part.name}: {len(cases)} cases, {len(kinds)} different results, {len(different)} unequal to theirs")
        for i in different[:5]:
            print(f"  {cases[i]!r:.300}\n    ours   {ours[i]!r:.150}\n    theirs {theirs[i]!r:.150}")
        record["parts"][part.name] = {"cases": len(cases), "hashes": hashes(theirs)}
    if out is not None:
        out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
