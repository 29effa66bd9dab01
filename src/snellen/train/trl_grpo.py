"""GRPO by TRL's trainer, for its launchers (DeepSpeed ZeRO, FSDP): our rollouts, rewards, advantages and KL-Coverage.

TRL's `environment_factory` would need a chat template with tool calls, which Qwen2.5-VL has not, and its `rollout_func`
cannot add the pixels of a crop; so the rows are made in `trl_rows`, and TRL's own making of picture inputs is passed
by, faults included (docs/train.md lists them). Loss, clipping, optimiser and logs are TRL's.

Differences from `snellen.train.grpo`: TRL's sampler draws the pictures (no progressive re-sampling), and the KL of
KL-Coverage is the k3 estimate, because TRL computes log-probabilities of sampled tokens only. Needs the extra `trl`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import gather_object
from datasets import Dataset
from torch import Tensor, nn
from trl import GRPOConfig, GRPOTrainer

from snellen.data.sample import Sample
from snellen.train.action_head import NEVER
from snellen.train.advantage import advantages
from snellen.train.grpo import RlOptions
from snellen.train.lora import LoraPolicy
from snellen.train.regularizers import k3
from snellen.train.rewards import outcome_of, rewards_of, total, truth_of
from snellen.train.rollout import Rollout, roll_out_each
from snellen.train.trl_rows import rows_of

PICTURES = ("pixel_values", "image_grid_thw", "num_images", "mm_token_type_ids", "pixel_attention_mask")


def trl_config(options: RlOptions, out: Path, **more: Any) -> Any:
    """Return TRL's configuration for `options`: a loss per token over all actions, no KL of its own.
    more: further fields, such as deepspeed or bf16."""
    given: dict[str, Any] = {
        "output_dir": str(out), "num_generations": options.rollouts, "max_completion_length": options.max_tokens,
        "per_device_train_batch_size": options.rollouts, "max_steps": options.steps, "learning_rate": options.rate,
        "warmup_steps": options.warmup - 1, "lr_scheduler_type": "constant_with_warmup",
        "num_iterations": options.updates, "adam_beta2": 0.98, "max_grad_norm": 1.0, "seed": options.seed,
        "temperature": 1.0, "beta": 0.0,
        "epsilon": options.clip_low, "epsilon_high": options.clip_high, "loss_type": "dapo", "report_to": "none",
        "save_steps": options.checkpoint_every, "logging_steps": 1, "gradient_checkpointing": False, "bf16": False,
    }  # fmt: skip
    return GRPOConfig(**{**given, **more})


class TrlTrainer(GRPOTrainer):  # type: ignore[misc]
    """TRL's trainer over our rollouts of `samples` with `policy`. args: of `trl_config`. options: rollouts, rewards and
    KL-Coverage. real: True where the MOS of the samples is a human one."""

    def __init__(
        self, policy: LoraPolicy, samples: Sequence[Sample], options: RlOptions, args: Any, *, real: bool = True
    ) -> None:
        self.policy, self.samples, self.options, self.real = policy, samples, options, real
        layer = policy.base.get_output_embeddings()
        if layer.bias is None and policy.suppressed:  # TRL cannot suppress tokens, but its output layer may have a bias
            bias = torch.zeros(layer.weight.shape[0], dtype=layer.weight.dtype, device=layer.weight.device)
            never = bias.index_fill(0, torch.tensor(policy.suppressed, device=bias.device), NEVER)
            layer.bias = nn.Parameter(never, requires_grad=False)
        prompt = [{"role": "user", "content": ""}]  # the rows that are trained on come from the rollouts
        rows = Dataset.from_list([{"prompt": prompt, "sample": i} for i in range(len(samples))])
        processor = policy.inputs.processor
        super().__init__(policy.model, reward_funcs=_given, args=args, train_dataset=rows, processing_class=processor)
        self._logps: Tensor | None = None

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        """Roll out, reward and encode the rows of this process; the rows of one picture, in all processes, are a
        group."""
        process = self.accelerator.process_index
        seed = (self.args.seed * 1_000_003 + self.state.global_step) * 1_009 + process
        mine = [self.samples[row["sample"]] for row in inputs]
        with torch.no_grad(), self.policy.rolling_out():
            runs = roll_out_each(self.policy, mine, self.options.rounds, self.options.max_tokens, seed)
        outcomes = gather_object([outcome_of(one) for one, _ in runs])
        chosen = gather_object([row["sample"] for row in inputs])
        size = self.num_generations
        groups = [outcomes[i : i + size] for i in range(0, len(outcomes), size)]
        truths = [truth_of(self.samples[i], self.real) for i in chosen[::size]]
        rewards = rewards_of(groups, truths, self.options.width)
        reward = total(rewards, self.options.rewards)
        advantage = advantages(rewards, self.options.rewards, self.options.noise, self.options.credit)
        for name, values in {"reward": reward, **{f"rewards/{name}": one for name, one in rewards.items()}}.items():
            self._metrics["train"][name].append(float(np.nanmean(values)) if not np.isnan(values).all() else np.nan)
        places = range(process * len(mine), (process + 1) * len(mine))
        rollouts = [
            Rollout(
                truths[i // size], *run, {}, float(reward.flat[i]), {k: float(a.flat[i]) for k, a in advantage.items()}
            )
            for i, run in zip(places, runs, strict=True)
        ]
        self.model.train()  # sampling has set it to evaluation
        return self.batch_of(rollouts)

    def batch_of(self, rollouts: Sequence[Rollout]) -> dict[str, Any]:
        """Return rollouts as the trainer's batch, with the log-probabilities of the reference policy."""
        batch = rows_of(self.policy, rollouts, self.options)
        batch = {n: v.to(self.accelerator.device) if isinstance(v, Tensor) else v for n, v in batch.items()}
        batch["num_items_in_batch"] = self.accelerator.gather(batch["tool_mask"].sum()).sum()
        ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1)
        mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1)
        shown = {name: batch[name] for name in PICTURES if name in batch}
        width = batch["completion_ids"].shape[1]
        with torch.no_grad(), self.policy.as_reference():
            batch["reference"] = self._get_per_token_logps_and_entropies(self.model, ids, mask, width, **shown)[0]
        return batch

    def _get_per_token_logps_and_entropies(self, *args: Any, **kwargs: Any) -> Any:
        found = super()._get_per_token_logps_and_entropies(*args, **kwargs)
        self._logps = found[0]
        return found

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        """TRL's loss and KL-Coverage, over the same number of actions."""
        loss = super()._compute_loss(model, inputs)
        assert self._logps is not None
        penalty = (k3(self._logps, inputs["reference"]) * inputs["covered"]).sum()
        share = self.current_gradient_accumulation_steps / self.args.steps_per_generation
        count = inputs["num_items_in_batch"].clamp(min=1.0) / self.accelerator.num_processes * share
        out: Tensor = loss + self.options.strength * penalty / count
        return out


def _given(completions: Sequence[object], **_: object) -> list[float]:
    raise AssertionError("rewards come with the rollouts")
