"""Ten minutes on a GPU: speed of rollouts and updates of a random Qwen2.5-VL of 100 million weights, and its memory.

    python recipes/qwen-vl/gpu_check.py                # needs a GPU
    python recipes/qwen-vl/gpu_check.py --device cpu --width 48 --layers 2 --vision-width 32 --steps 1   # that it runs

Nothing is downloaded: bf16, gradient checkpointing, LoRA; the memory that PyTorch counts stands beside the arithmetic.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.append(str(Path(__file__).parents[1] / "toy"))
from tiny_qwen import make_model

from snellen.backend import Round, Sampling
from snellen.image import Picture
from snellen.protocol import DEFAULT_QUESTION, SnellenProtocol
from snellen.train.lora import LoraOptions, LoraPolicy


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Return the measured numbers, by name."""
    with tempfile.TemporaryDirectory() as folder:
        kind = torch.bfloat16 if args.device == "cuda" else torch.float32
        shape = {"layers": args.layers, "vision_width": args.vision_width, "pixels": 10**7}
        path = make_model(Path(folder), width=args.width, dtype=kind, **shape)
        options = LoraOptions(rank=16, alpha=32, long_side=args.long_side, checkpointing=True, sample_batch=args.batch)
        policy = LoraPolicy(str(path), options)
    weights = sum(one.numel() for one in policy.model.parameters())
    pixels = np.random.default_rng(0).integers(0, 256, (768, 1024, 3), np.uint8)
    conversation = SnellenProtocol().conversation(DEFAULT_QUESTION, [Picture(pixels, "noise").view()], [])
    optimizer = torch.optim.AdamW(policy.parameters(), lr=1e-5)
    numbers: dict[str, Any] = {"device": _device(args.device), "weights": weights}
    numbers["weights_gb"] = sum(one.numel() * one.element_size() for one in policy.model.parameters()) / 1e9
    for step in range(args.steps):
        _reset(args.device)
        began = time.perf_counter()
        replies = policy.sample([conversation] * args.batch, Sampling(1.0, max_tokens=args.tokens, seed=step))
        _wait(args.device)
        seconds = time.perf_counter() - began
        drawn = sum(len(one.token_ids) for one in replies)
        numbers |= {"rollout_tokens_per_second": drawn / seconds, "rollout_peak_gb": _peak(args.device)}
        _reset(args.device)
        began = time.perf_counter()
        rounds = [Round(conversation, reply) for reply in replies[: args.microbatch]]
        found = policy.logprobs(rounds)
        (-found.policy.mean() + found.kl.mean()).backward()  # type: ignore[union-attr]
        optimizer.step()
        optimizer.zero_grad()
        _wait(args.device)
        seconds = time.perf_counter() - began
        trained = sum(len(one.reply.token_ids) for one in rounds)
        numbers |= {"update_tokens_per_second": trained / seconds, "update_peak_gb": _peak(args.device)}
        sampled = torch.tensor([value for one in rounds for value in one.reply.logprobs])
        numbers["gap"] = float((found.policy.detach().cpu() - sampled).abs().mean())
    text = policy.base.config.get_text_config()
    length = int(policy.encode(conversation)["input_ids"].shape[1]) + args.tokens
    numbers["kept_gb"] = text.num_hidden_layers * text.hidden_size * 2 * length * args.microbatch / 1e9
    numbers["logits_gb"] = 6 * 256 * text.vocab_size * 4 / 1e9
    return numbers


def _device(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else "cpu"


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _reset(device: str) -> None:
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()


def _peak(device: str) -> float | None:
    return torch.cuda.max_memory_allocated() / 1e9 if device == "cuda" else None


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    for name, number in {
        "width": 864, "layers": 10, "vision-width": 384, "long-side": 768, "batch": 32, "microbatch": 4, "tokens": 256,
        "steps": 5,
    }.items():  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=number)
    args = parser.parse_args(arguments)
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.exit(
            1, "no GPU is visible to PyTorch; run it where there is one, or try --device cpu with small sizes\n"
        )
    numbers = measure(args)
    print(json.dumps(numbers, indent=1))
    return numbers


if __name__ == "__main__":
    main()
