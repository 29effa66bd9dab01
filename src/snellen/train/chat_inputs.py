"""Conversations as a model's inputs: chat template, pictures and the token ids of replies, as they were sampled.

Text that is decoded and encoded again does not give the same tokens, so the reply of an earlier round goes into the
next round's input as its own token ids.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from PIL import Image
from torch import Tensor, nn

from snellen.backend import Conversation, Reply, Turn
from snellen.image import View

MARK = "\x00"
"""Placeholder of an assistant's turn while the chat template is rendered; no template or prompt contains it."""
KEPT_BYTES = 2**28
"""Encoded turns that are kept: the rollouts of a group, and their log-probabilities, show the same views."""
VISION_TOKENS = (
    "image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id", "image_token_index",
    "video_token_index",
)  # fmt: skip
"""Fields of a model's configuration that name tokens which stand for pictures; a reply never holds one."""

Inputs = dict[str, Tensor]


@dataclass
class ChatInputs:
    """Encodes conversations for one model.

    processor: of transformers, with a chat template. ends: token ids that end a reply. image_token: id of the token
    that stands for a picture's features, None where unknown. long_side: of a view, px.
    """

    processor: Any
    ends: tuple[int, ...]
    image_token: int | None
    long_side: int
    _kept: OrderedDict[tuple[object, ...], tuple[tuple[View, ...], Inputs]] = field(default_factory=OrderedDict)
    _bytes: int = 0

    @property
    def tokenizer(self) -> Any:
        """The processor's tokenizer."""
        return self.processor.tokenizer

    def encode(self, conversation: Conversation, reply: Sequence[int] = ()) -> Inputs:
        """Return the inputs, batch size 1, of one conversation and the token ids of the reply to it.

        The chat template is rendered with a placeholder for each assistant's turn; the text between placeholders is
        tokenised, with its pictures, and the turns' own token ids go in between. Raises ValueError where tokens that
        stand for pictures and picture features differ in number.
        """
        messages = [{"role": turn.role, "content": _content(turn)} for turn in conversation]
        text = self.processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        replies = [self.reply_ids(turn) for turn in conversation if turn.role == "assistant"]
        shown = [turn.views for turn in conversation if turn.role == "user"]
        parts: list[Inputs] = []
        for piece, views, ids in zip(text.split(MARK), shown, [*replies, tuple(reply)], strict=True):
            encoded = self._piece(piece, views)
            ended = bool(parts) and int(encoded["input_ids"][0, 0]) == int(parts[-1]["input_ids"][0, -1])
            if ended and int(encoded["input_ids"][0, 0]) in self.ends:  # the reply brought its end token
                encoded = {
                    name: value[:, 1:] if value.shape == encoded["input_ids"].shape else value
                    for name, value in encoded.items()
                }
            parts += [encoded, _text_inputs(ids, encoded)]
        inputs = _joined(parts)
        self._check(inputs, conversation)
        return inputs

    def reply_ids(self, turn: Turn) -> tuple[int, ...]:
        """Return the token ids that an assistant's turn was sampled as, or those of its text."""
        return turn.token_ids or self.reply_of(turn.text).token_ids

    def reply_of(self, text: str) -> Reply:
        """Return a text as a reply to learn from: its tokens and an end token, all of them actions."""
        ids = tuple(self.tokenizer.encode(text, add_special_tokens=False))
        return Reply(text, (*ids, self.tokenizer.eos_token_id))

    def _piece(self, text: str, views: tuple[View, ...]) -> Inputs:
        key = (text, *((id(view.picture), view.region, view.fit) for view in views))
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key][1]
        pictures = [Image.fromarray(view.shown(self.long_side)) for view in views]
        encoded = dict(self.processor(text=[text], images=pictures or None, return_tensors="pt"))
        self._kept[key] = (views, encoded)  # the views too: an id is only unique while its picture lives
        self._bytes += _bytes(encoded)
        while self._bytes > KEPT_BYTES:
            self._bytes -= _bytes(self._kept.popitem(last=False)[1][1])
        return encoded

    def _check(self, inputs: Inputs, conversation: Conversation) -> None:
        grid = inputs.get("image_grid_thw")
        if grid is None or self.image_token is None:
            return  # other models count for themselves, and raise
        merged = int(getattr(self.processor.image_processor, "merge_size", 1)) ** 2
        features = int(grid.prod(dim=1).sum()) // merged
        tokens = int((inputs["input_ids"] == self.image_token).sum())
        if tokens != features:
            name = next((view.picture.name for turn in conversation for view in turn.views), "the picture")
            problem = f"{name}: the input has {tokens} picture tokens for {features} picture features"
            raise ValueError(f"{problem}; a reply holds such tokens, or the processor does not fit the model")


def vision_tokens(config: Any) -> tuple[int, ...]:
    """Return the ids of the tokens that stand for pictures and videos in a model's configuration."""
    found = {getattr(config, name, None) for name in VISION_TOKENS}
    return tuple(sorted(token for token in found if isinstance(token, int)))


def padded(rows: Sequence[Inputs], pad: int, side: Literal["left", "right"]) -> Inputs:
    """Pad rows to one length and stack them; padding is masked, so it changes no row. Generation pads on the left."""
    length = max(row["input_ids"].shape[1] for row in rows)
    batch = {}
    for name, first in rows[0].items():
        if first.shape != rows[0]["input_ids"].shape:
            batch[name] = torch.cat([row[name] for row in rows])
            continue
        fill = pad if name == "input_ids" else 0
        missing = [length - row[name].shape[1] for row in rows]
        pads = [(n, 0) if side == "left" else (0, n) for n in missing]
        batch[name] = torch.cat(
            [nn.functional.pad(row[name], p, value=fill) for row, p in zip(rows, pads, strict=True)]
        )
    return batch


def _bytes(inputs: Inputs) -> int:
    return sum(value.numel() * value.element_size() for value in inputs.values())


def _content(turn: Turn) -> list[dict[str, str]]:
    if turn.role == "assistant":
        return [{"type": "text", "text": MARK}]
    return [{"type": "image"} if isinstance(one, View) else {"type": "text", "text": one} for one in turn.parts()]


def _text_inputs(ids: Sequence[int], like: Inputs) -> Inputs:
    """Token ids of a reply as inputs, with every per-token input that `like` has; they are text, so the rest is 0."""
    tokens = torch.tensor([list(ids)], dtype=torch.long)
    per_token = {name for name, value in like.items() if value.shape == like["input_ids"].shape}
    inputs = {name: torch.zeros_like(tokens) for name in per_token}
    return inputs | {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}


def _joined(parts: Sequence[Inputs]) -> Inputs:
    """Join inputs one after the other: those with a number per token along the tokens, pictures along the pictures."""
    per_token = {name for name, value in parts[-1].items() if value.shape == parts[-1]["input_ids"].shape}
    return {
        name: torch.cat([part[name] for part in parts if name in part], dim=1 if name in per_token else 0)
        for name in dict.fromkeys(name for part in parts for name in part)
    }
