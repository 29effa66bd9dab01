"""Pretraining of the toy run's model: all weights of a random one learn to reply in form and to rate what a view shows.

It stands in for the pretrained model that users begin with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from tiny_qwen import SIDES, make_model
from torch import Tensor

from snellen.backend import Conversation
from snellen.backends.transformers_inputs import open_processor
from snellen.train.chat_inputs import ChatInputs, padded
from snellen.train.demonstrations import Demonstrations, read_conversations

BATCH, RATE, WARMUP = 24, 3e-3, 20


def pretrain(folder: Path, family: str, conversations: Path, steps: int) -> None:
    """Write a model of a family, pretrained on a file of conversations, to a folder, unless it is there."""
    if (folder / "taught").exists():
        return
    make_model(folder, family, spread=0.1)
    model = transformers.AutoModelForImageTextToText.from_pretrained(folder)
    processor = open_processor(str(folder), local_files_only=True)
    image_token = model.config.image_token_id
    inputs = ChatInputs(processor, (processor.tokenizer.eos_token_id,), image_token, SIDES[family])
    lines, _ = read_conversations(conversations)
    rows = [
        row_to_learn(inputs, one.conversation, one.reply.token_ids) for one in Demonstrations(lines, inputs.reply_of)
    ]
    learn(model, lambda step: rows, steps, RATE, BATCH)
    model.save_pretrained(folder)
    (folder / "taught").touch()


def row_to_learn(inputs: ChatInputs, conversation: Conversation, reply: Sequence[int]) -> dict[str, Tensor]:
    """Return the model's inputs for a conversation and the token ids of its reply, with labels (1, T): the reply's
    tokens, -100 for all others."""
    row = inputs.encode(conversation, reply)
    labels = torch.full_like(row["input_ids"], -100)
    labels[:, -len(reply) :] = row["input_ids"][:, -len(reply) :]
    return row | {"labels": labels}


def learn(
    model: Any, rows_of: Callable[[int], Sequence[dict[str, Tensor]]], steps: int, rate: float, batch_size: int
) -> None:
    """Train all weights of a model in place, each step on `batch_size` rows drawn from those that `rows_of` gives for
    it. The learning rate rises to `rate` in WARMUP steps and falls to 0 in a line."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.98))
    rng = np.random.default_rng(0)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = rate * min(1.0, (step + 1) / WARMUP) * (1.0 - step / steps)
        rows = rows_of(step)
        batch = padded([rows[int(i)] for i in rng.choice(len(rows), batch_size)], 0, "right")
        batch["labels"] = torch.where(batch["attention_mask"] == 1, batch["labels"], -100)
        loss = model(**batch, use_cache=False).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if (step + 1) % 100 == 0:
            print(f"pretraining: step {step + 1}, loss {float(loss.detach()):.3f} nats a token", flush=True)
