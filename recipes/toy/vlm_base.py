"""Pretraining of the toy run's model: all weights of a random one learn to reply in form and to rate what a view shows.

It stands in for the pretrained model that users begin with.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import transformers
from tiny_qwen import SIDES, make_model
from torch import Tensor

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
    rows = []
    for one in Demonstrations(lines, inputs.reply_of):
        row = inputs.encode(one.conversation, one.reply.token_ids)
        rows.append(row | {"labels": _labels(row["input_ids"], len(one.reply.token_ids))})
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.98))
    rng = np.random.default_rng(0)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = RATE * min(1.0, (step + 1) / WARMUP) * (1.0 - step / steps)
        batch = padded([rows[int(i)] for i in rng.choice(len(rows), BATCH)], 0, "right")
        batch["labels"] = torch.where(batch["attention_mask"] == 1, batch["labels"], -100)
        loss = model(**batch, use_cache=False).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if (step + 1) % 100 == 0:
            print(f"pretraining: step {step + 1}, loss {float(loss.detach()):.3f} nats a token", flush=True)
    model.save_pretrained(folder)
    (folder / "taught").touch()


def _labels(ids: Tensor, reply: int) -> Tensor:
    """Return the tokens (1, T) to learn: the last `reply` of them; -100 marks the others."""
    labels = torch.full_like(ids, -100)
    labels[:, -reply:] = ids[:, -reply:]
    return labels
