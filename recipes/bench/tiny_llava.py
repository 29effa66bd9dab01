"""Write a tiny LLaVA (two layers, words as tokens) that is taught to assess generated pictures in two rounds.

    python recipes/bench/tiny_llava.py --out build/tiny-llava

Its ratings spread: normal with mean 3.3 and standard deviation 0.6, the same for every picture. It needs no
torchvision, so versions before 0.16 open it too. A minute or two on an idle core.
"""

from __future__ import annotations

import argparse
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

from snellen.backend import Conversation, Turn
from snellen.backends.transformers import HfBackend
from snellen.image import Picture, load
from snellen.options import ModelOptions
from snellen.protocol import SnellenProtocol
from snellen.region import Region
from snellen.reply import Answer, Issue, Rationale, render_reply

PIECE = r"[0-9.,}]|[^0-9.,} ]+ ?| "
TEMPLATE = (
    "{% for message in messages %}{% for part in message['content'] %}"
    "{{ '<image>' if part['type'] == 'image' else part['text'] }}{% endfor %}<end>{% endfor %}"
)
QUESTION = "How good is the technical quality of this picture?"
BOX = Region(0.1, 0.2, 0.5, 0.6)
TEXT = Rationale("It is soft and noisy.", "A clean sky and a crisp face.", "Noise in the sky.", "The sky is in doubt.")


def replies(rating: float) -> tuple[str, str]:
    """Return a first reply, which asks for a crop, and the second one."""
    noise = (Issue("noise", 3, BOX),)
    return (
        render_reply(TEXT, Answer(BOX, rating, "crop", noise), 1),
        render_reply(TEXT, Answer(None, rating, "final", noise), 2),
    )


def picture(seed: int) -> Picture:
    """Return a generated picture, 400 x 400 px."""
    rng = np.random.default_rng(seed)
    return load(rng.integers(0, 256, (400, 400, 3), dtype=np.uint8))


def conversations(seed: int, first: str) -> tuple[Conversation, Conversation]:
    """Return the conversations of both rounds about a picture."""
    views = [picture(seed).view(), picture(seed).view(BOX)]
    protocol = SnellenProtocol()
    return (
        protocol.conversation(QUESTION, views[:1], []),
        protocol.conversation(QUESTION, views, [Turn("assistant", first)]),
    )


def make(folder: Path, steps: int = 250) -> Path:
    """Write the taught model to a folder and return it."""
    torch.manual_seed(0)
    words = _tokenizer()
    model = _network(words)
    images = transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    processor = transformers.LlavaProcessor(  # type: ignore[no-untyped-call]
        images, words, patch_size=16, vision_feature_select_strategy="default", chat_template=TEMPLATE,
        num_additional_image_tokens=1,
    )  # fmt: skip
    processor.save_pretrained(folder)
    model.generation_config.eos_token_id, model.generation_config.pad_token_id = 2, 1
    model.save_pretrained(folder)
    backend = HfBackend(str(folder), ModelOptions(device="cpu"))
    teach(backend, steps)
    backend.model.save_pretrained(folder)
    return folder


def teach(backend: HfBackend, steps: int) -> None:
    """Teach both replies with drawn ratings: cross-entropy on the tokens of the replies, four conversations a step."""
    draw = random.Random(0)
    optimizer = torch.optim.AdamW(backend.model.parameters(), lr=5e-3)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, steps)
    for step in range(steps):
        loss = torch.zeros(())
        for number in (0, 1):
            first, second = replies(round(min(5.0, max(1.0, draw.gauss(3.3, 0.6))), 2))
            conversation = conversations(step % 8, first)[number]
            inputs = backend._batch([conversation], "")
            reply = torch.tensor([backend.tokenizer.encode((first, second)[number], add_special_tokens=False) + [2]])
            ids = torch.cat([inputs["input_ids"], reply], dim=1)
            logits = backend.model(
                input_ids=ids, attention_mask=torch.ones_like(ids), pixel_values=inputs["pixel_values"]
            ).logits
            loss = loss + torch.nn.functional.cross_entropy(logits[0, -reply.shape[1] - 1 : -1], reply[0])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(backend.model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 50 == 49:
            print(f"step {step + 1}: loss {float(loss.detach()) / 2:.3f}", flush=True)


def _tokenizer() -> Any:
    texts = ["0123456789", *replies(3.47), *(turn.text for turn in conversations(0, "")[1])]
    pieces = dict.fromkeys(piece for text in texts for piece in re.findall(PIECE, text))
    vocabulary = {piece: index for index, piece in enumerate(["<unk>", "<pad>", "<end>", "<image>", *pieces])}
    fast = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    fast.pre_tokenizer = pre_tokenizers.Split(Regex(PIECE), "isolated")
    fast.decoder = decoders.Fuse()
    return transformers.PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=fast, unk_token="<unk>", pad_token="<pad>", eos_token="<end>",
        additional_special_tokens=["<image>"],
    )  # fmt: skip


def _network(words: Any) -> Any:
    small: dict[str, Any] = {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
    }
    vision = transformers.CLIPVisionConfig(**small, image_size=32, patch_size=16)
    text = transformers.LlamaConfig(
        **small, vocab_size=len(words), max_position_embeddings=4096, bos_token_id=None, pad_token_id=1, eos_token_id=2
    )
    settings: dict[str, Any] = {
        "image_token_index": 3,
        "vision_feature_layer": -1,
        "vision_feature_select_strategy": "default",
    }
    config = transformers.LlavaConfig(vision_config=vision, text_config=text, **settings)
    return transformers.LlavaForConditionalGeneration(config)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the model")
    parser.add_argument("--steps", type=int, default=250)
    args = parser.parse_args()
    make(args.out, args.steps)
