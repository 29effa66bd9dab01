"""Make a tiny Qwen2.5-VL that replies in form: python scripts/taught_qwen.py FOLDER [STEPS]. Some minutes on one core.

It is taught on generated pictures: the first reply asks for a crop, the second is final, and the rating is the
picture's brightness. Of ten conversations two are in JSON, so that it can be held to a schema, one is an answer alone,
as in score-only mode, and one is in the words of the protocol `levels`. Servers are proved with it; it judges nothing.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import GenerationConfig, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

sys.path.insert(0, str(Path(__file__).parents[1] / "recipes" / "toy"))
from tiny_qwen import SPECIAL, bpe_tokenizer, marks_of, write_processor

from snellen.backend import Turn
from snellen.backends.completion import ANSWER_KEYS
from snellen.image import Picture, View
from snellen.protocol import LevelsProtocol, first_prompt, later_prompt, open_protocol
from snellen.region import Region
from snellen.reply import FIRST_LABELS, LATER_LABELS, Answer, Issue, Rationale, parse_reply, render_reply

QUESTION = "How good is the technical quality of this picture?"
BOX = Region(0.1, 0.2, 0.6, 0.7)
WORDS = Rationale("It is noisy.", "A clean sky.", "Noise.", "Look closer.")
SPREAD = 0.06
"""Standard deviation of the random weights: with the classes' own, 0.02, so small a model hardly learns to see."""
SIDE = 112
"""Pictures are shown at this long side at most: 16 tokens."""


def replies(rating: float) -> tuple[str, str]:
    """Return the two replies to a picture of this rating."""
    noise = (Issue("noise", 3, BOX),)
    first = render_reply(WORDS, Answer(BOX, rating, "crop", noise), 1)
    return first, render_reply(WORDS, Answer(None, rating, "final", noise), 2)


def as_json(reply: str, number: int) -> str:
    """Return a reply of round `number` in the form of the schema that servers are asked to hold it to."""
    parsed = parse_reply(reply, number)
    assert parsed.rationale is not None
    labels = FIRST_LABELS if number == 1 else LATER_LABELS
    answer = json.loads(reply[reply.index("<answer>") + len("<answer>") : reply.index("</answer>")])
    sections = dict(zip(labels, parsed.rationale.sections, strict=True))
    # without white space: servers are told to permit none, since a small model may write nothing else
    return json.dumps(sections | {key: answer[key] for key in ANSWER_KEYS}, separators=(",", ":"))


def in_levels(rating: float) -> str:
    """Return the reply of the protocol `levels`: the word that is nearest to the rating."""
    levels = LevelsProtocol.levels
    assert levels is not None
    word = min(levels.ratings, key=lambda one: abs(levels.ratings[one] - rating))
    return f"{levels.stem} {word}."


def picture(rng: np.random.Generator) -> tuple[Picture, float]:
    """Return a noisy picture and its rating: 1 where it is black, 5 where it is white."""
    brightness = rng.uniform(0.1, 0.9)
    pixels = (255 * brightness + rng.normal(0.0, 20.0, (330, 440, 3))).clip(0, 255).astype(np.uint8)
    return Picture(pixels, "generated"), round(1.0 + 4.0 * brightness, 2)


def tokenizer() -> Any:
    """Return a tokenizer of single digits, as Qwen's, trained on the prompts and replies."""
    ratings = [reply for rating in (1.23, 2.34, 3.45, 4.56, 3.07, 2.98) for reply in replies(rating)]
    forms = [as_json(reply, 1 + number % 2) for number, reply in enumerate(ratings)]
    levels = [*LevelsProtocol.questions, *map(in_levels, (1, 2, 3, 4, 5))]
    corpus = [first_prompt(QUESTION), later_prompt(QUESTION, BOX), *ratings, *forms, *levels]
    return bpe_tokenizer(corpus, 1000)


def build(words: Any) -> Qwen2_5_VLForConditionalGeneration:
    """Return a model of random weights, large enough for the attention kernels of servers."""
    ids: dict[str, Any] = {name: words.convert_tokens_to_ids(name) for name in SPECIAL}
    text = {
        "vocab_size": len(words), "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 3,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 32768,
        "bos_token_id": ids["<|endoftext|>"], "eos_token_id": ids["<|im_end|>"], "pad_token_id": ids["<|endoftext|>"],
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [4, 6, 6]},
        "initializer_range": SPREAD,
    }  # fmt: skip
    vision = {
        "depth": 2, "hidden_size": 64, "intermediate_size": 128, "num_heads": 2, "out_hidden_size": 128,
        "patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2, "window_size": 112,
        "fullatt_block_indexes": [1], "initializer_range": SPREAD,
    }  # fmt: skip
    config = Qwen2_5_VLConfig(text_config=text, vision_config=vision, **marks_of(words))
    model = Qwen2_5_VLForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        eos_token_id=[ids["<|im_end|>"], ids["<|endoftext|>"]], pad_token_id=ids["<|endoftext|>"]
    )
    return model


def encode(words: Any, images: Any, conversation: tuple[Turn, ...]) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Return the model's inputs and a mask (1, N) of the assistant's tokens."""
    text, mask, shown = [], [], []
    for turn in conversation:
        said = ""
        for part in turn.parts():
            if isinstance(part, View):
                pixels = images(images=[Image.fromarray(part.shown(SIDE))], return_tensors="pt")
                shown.append(pixels)
                count = int(pixels["image_grid_thw"][0].prod()) // 4
                said += "<|vision_start|>" + "<|image_pad|>" * count + "<|vision_end|>"
            else:
                said += part
        for piece, ours in ((f"<|im_start|>{turn.role}\n", False), (f"{said}<|im_end|>", turn.role == "assistant"),
                            ("\n", False)):  # fmt: skip
            ids = words.encode(piece, add_special_tokens=False)
            text += ids
            mask += [ours] * len(ids)
    ids = torch.tensor([text])
    inputs = {
        "input_ids": ids, "attention_mask": torch.ones_like(ids),
        "mm_token_type_ids": (ids == words.convert_tokens_to_ids("<|image_pad|>")).int(),
        "pixel_values": torch.cat([one["pixel_values"] for one in shown]),
        "image_grid_thw": torch.cat([one["image_grid_thw"] for one in shown]),
    }  # fmt: skip
    return inputs, torch.tensor([mask])


def conversation(step: int, shown: Picture, rating: float) -> tuple[Turn, ...]:
    """Return what is taught in a step: two rounds in form or in JSON, an answer alone, or a level."""
    if step % 10 == 9:
        levels = LevelsProtocol()
        turns = levels.conversation(levels.questions[0], [shown.view()], [])
        return (*turns, Turn("assistant", in_levels(rating)))
    first, second = replies(rating)
    protocol = open_protocol("snellen")
    if step % 10 == 7:
        alone = render_reply(None, Answer(None, rating, "final", ()), 1)
        return (*protocol.conversation(QUESTION, [shown.view()], []), Turn("assistant", alone))
    if step % 10 == 3:
        return (*protocol.conversation(QUESTION, [shown.view()], []), Turn("assistant", as_json(first, 1)))
    views = [shown.view(), shown.view(BOX)]
    turns = protocol.conversation(QUESTION, views, [Turn("assistant", first)])
    return (*turns, Turn("assistant", as_json(second, 2) if step % 10 == 5 else second))


def teach(folder: Path, steps: int) -> None:
    """Train on conversations of generated pictures and write everything to the folder."""
    from transformers import Qwen2VLImageProcessor

    torch.set_num_threads(1)
    torch.manual_seed(0)
    random.seed(0)
    rng, words = np.random.default_rng(0), tokenizer()
    model = build(words)
    folder.mkdir(parents=True, exist_ok=True)
    words.save_pretrained(folder)
    write_processor(folder, "Qwen2_5_VLProcessor", 14, SIDE * SIDE)
    images = Qwen2VLImageProcessor.from_pretrained(folder)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    for step in range(1, steps + 1):
        inputs, mask = encode(words, images, conversation(step, *picture(rng)))
        logits = model(**inputs, use_cache=False).logits[:, :-1]
        each = torch.nn.functional.cross_entropy(logits.transpose(1, 2), inputs["input_ids"][:, 1:], reduction="none")
        loss = each[mask[:, 1:]].mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 50 == 0 or step == steps:
            print(f"step {step}: loss {loss.item():.3f}", flush=True)
    model.save_pretrained(folder)


if __name__ == "__main__":
    teach(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1000)
