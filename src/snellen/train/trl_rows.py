"""Rollouts as rows of TRL's GRPO trainer: tensors only, TRL is not needed here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from snellen.train.chat_inputs import padded
from snellen.train.grpo import Actions, RlOptions, actions_of
from snellen.train.lora import LoraPolicy
from snellen.train.rollout import Rollout


def rows_of(policy: LoraPolicy, rollouts: Sequence[Rollout], options: RlOptions) -> dict[str, Any]:
    """Return rollouts as a batch of TRL, a row each: first prompt (padded on the left), completion (on the right) with
    the replies and crops of all rounds, and of each completion token whether it is an action, its log-probability when
    it was sampled, advantage, and whether KL-Coverage covers it.

    Raises ValueError where a later round does not continue the first one, as in protocol zoom-iqa.
    """
    rows, prompts, numbers = [], [], []
    for rollout, actions in zip(rollouts, _actions(policy, rollouts, options), strict=True):
        first, last = rollout.rounds[0], rollout.rounds[-1]
        prompt = policy.inputs.encode(first.conversation)["input_ids"]
        row = policy.inputs.encode(last.conversation, last.reply.token_ids)
        length = prompt.shape[1]
        if not torch.equal(row["input_ids"][:, :length], prompt):
            raise ValueError(
                f"{rollout.assessment.name}: a later round does not continue the first; use protocol snellen"
            )
        rows.append(row)
        prompts.append(length)
        numbers.append(_numbers(policy, actions, row["input_ids"].shape[1])[:, length:])
    per_token = {name for name, value in rows[0].items() if value.shape == rows[0]["input_ids"].shape}
    pad = int(policy.tokenizer.pad_token_id or 0)
    before = [{name: row[name][:, :n] for name in per_token} for row, n in zip(rows, prompts, strict=True)]
    after = [{name: row[name][:, n:] for name in per_token} for row, n in zip(rows, prompts, strict=True)]
    prompt_part, completion = padded(before, pad, "left"), padded(after, pad, "right")
    width = completion["input_ids"].shape[1]
    columns = [nn.functional.pad(one, (0, width - one.shape[1])) for one in numbers]
    mask, sampled, advantage, covered = torch.stack(columns, dim=1)
    batch: dict[str, Any] = {
        "prompt_ids": prompt_part["input_ids"],
        "prompt_mask": prompt_part["attention_mask"],
        "completion_ids": completion["input_ids"],
        "completion_mask": completion["attention_mask"],
        "tool_mask": mask.long(),
        "old_per_token_logps": sampled,
        "advantages": advantage,
        "covered": covered,
        "num_images": [sum(len(turn.views) for turn in one.rounds[-1].conversation) for one in rollouts],
    }
    for name in per_token - {"input_ids", "attention_mask"}:  # such as mm_token_type_ids, padded as the tokens are
        batch[name] = torch.cat([prompt_part[name], completion[name]], dim=1)
    return batch | {name: torch.cat([row[name] for row in rows]) for name in rows[0] if name not in per_token}


def _actions(policy: LoraPolicy, rollouts: Sequence[Rollout], options: RlOptions) -> list[list[Actions]]:
    """Return the actions of each rollout by round; which ones are covered is chosen over all rollouts."""
    by_round = iter(actions_of(policy, rollouts, replace(options, microbatch=1)))
    cut = options.mask_truncated
    return [[next(by_round) for one in a.rounds if not (cut and one.reply.finish == "length")] for a in rollouts]


def _numbers(policy: LoraPolicy, actions: Sequence[Actions], length: int) -> Tensor:
    """Return mask, sampled log-probability, advantage and covered of each token of a row, (4, length)."""
    numbers = torch.zeros(4, length)
    for batch in actions:
        (one,) = batch.rounds
        begin = policy.inputs.encode(one.conversation)["input_ids"].shape[1]
        at = torch.tensor([begin + i for i in one.reply.action_indices], dtype=torch.long)
        columns = (batch.sampled, batch.advantage, batch.covered.float())
        numbers[:, at] = torch.stack([torch.ones(len(at)), *(column.cpu() for column in columns)])
    return numbers
