"""Memory of one GPU while a vision-language model is trained with a LoRA adapter, from the model's configuration.

    python recipes/qwen-vl/memory.py        # the table of README.md

The numbers of the configurations are those that the models' authors publish (models.json). All is arithmetic; a test
compares the parameters with those of transformers' own classes. What is not counted: the allocator's rounding and the
CUDA context, about 1 to 2 GB.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
GB = 1e9
NF4 = 0.5 + 8.0 / 64 / 8 + 4.0 / 64 / 256
"""Bytes of a weight in NF4 with double quantisation: 4 bits, an 8-bit scale for 64 weights, a float for 256 scales
(Dettmers et al. 2023, arXiv 2305.14314, section 3)."""
CHUNK = 256
"""Actions whose logits exist at one time: `snellen.train.action_head.CHUNK`."""


@dataclass(frozen=True)
class Setting:
    """A run on one kind of card. model: a key of models.json. card: GB. rank: of the adapter. view: tokens of a view.
    text: tokens of prompts and replies of a conversation of two rounds. rows: conversations in a pass (microbatch).
    sampled: conversations sampled together. nf4: base model in 4 bits. processes: among which weights are sharded."""

    name: str
    model: str
    card: int
    rank: int
    view: int
    text: int
    rows: int
    sampled: int
    nf4: bool = False
    processes: int = 1


SETTINGS = (
    Setting("8 x 80 GB, 7B, whole weights on each", "Qwen2.5-VL-7B", 80, 64, 748, 2000, 8, 64),
    Setting("8 x 80 GB, 7B, sharded (FSDP2)", "Qwen2.5-VL-7B", 80, 64, 748, 2000, 8, 64, processes=8),
    Setting("1 x 80 GB, 7B", "Qwen2.5-VL-7B", 80, 32, 748, 2000, 4, 32),
    Setting("1 x 24 GB, 3B", "Qwen2.5-VL-3B", 24, 16, 567, 2000, 2, 16),
    Setting("1 x 24 GB, 4B", "Qwen3-VL-4B", 24, 16, 432, 2000, 2, 8),
    Setting("1 x 24 GB, 7B in 4 bits (QLoRA)", "Qwen2.5-VL-7B", 24, 16, 567, 2000, 1, 8, nf4=True),
)


def configuration(model: str) -> dict[str, Any]:
    """Return the published configuration of a model of models.json."""
    found: dict[str, Any] = json.loads((HERE / "models.json").read_text(encoding="utf8"))[model]
    return found


def text_layer(text: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """Return (inputs, outputs) of each matrix of a decoder layer: attention, then feed-forward."""
    width, inner = text["hidden_size"], text["intermediate_size"]
    head = text.get("head_dim", width // text["num_attention_heads"])
    q, kv = head * text["num_attention_heads"], head * text["num_key_value_heads"]
    return {
        "q": (width, q), "k": (width, kv), "v": (width, kv), "o": (q, width),
        "gate": (width, inner), "up": (width, inner), "down": (inner, width),
    }  # fmt: skip


def language_parameters(model: str) -> tuple[int, int]:
    """Return the numbers of weights of the language model: (in the layers' matrices, in all else)."""
    config = configuration(model)
    text = config["text_config"]
    layers, width = text["num_hidden_layers"], text["hidden_size"]
    matrices = layers * sum(a * b for a, b in text_layer(text).values())
    one = text_layer(text)
    if config["family"] == "qwen2_5_vl":  # biases of q, k, v
        small = layers * (2 * width + one["q"][1] + 2 * one["k"][1])
    else:  # norms of q and k
        small = layers * (2 * width + 2 * text["head_dim"])
    embeddings = text["vocab_size"] * width * (1 if text["tie_word_embeddings"] else 2)
    return matrices, small + width + embeddings


def vision_parameters(model: str) -> int:
    """Return the number of weights of the vision tower and its merger."""
    config = configuration(model)
    vision = config["vision_config"]
    width, inner, out = vision["hidden_size"], vision["intermediate_size"], vision["out_hidden_size"]
    patch = 3 * vision["temporal_patch_size"] * vision["patch_size"] ** 2 * width
    attention = 4 * width * width + 4 * width
    merged = width * vision["spatial_merge_size"] ** 2
    if config["family"] == "qwen2_5_vl":  # gated feed-forward, RMS norms; no bias of the patch projection
        block = attention + 3 * width * inner + 2 * inner + width + 2 * width
        return int(patch + vision["depth"] * block + width + merged * merged + merged + merged * out + out)
    block = attention + 2 * width * inner + inner + width + 4 * width
    merger = merged * merged + merged + merged * out + out
    deep = len(vision["deepstack_visual_indexes"]) * (merger + 2 * merged)  # their norm comes after merging
    positions = vision["num_position_embeddings"] * width
    return int(patch + width + positions + vision["depth"] * block + merger + 2 * width + deep)


def parameters(model: str) -> int:
    """Return the number of all weights."""
    return sum(language_parameters(model)) + vision_parameters(model)


def adapter_parameters(model: str, rank: int) -> int:
    """Return the number of weights of a LoRA adapter on all matrices of the language model's layers."""
    text = configuration(model)["text_config"]
    return int(text["num_hidden_layers"] * sum(rank * (a + b) for a, b in text_layer(text).values()))


def memory(setting: Setting) -> dict[str, float]:
    """Return the memory of one GPU by use, GB; "rollouts" and "update" are the sums at these times."""
    config = configuration(setting.model)
    text = config["text_config"]
    layers, width = text["num_hidden_layers"], text["hidden_size"]
    matrices, rest = language_parameters(setting.model)
    base = (matrices * (NF4 if setting.nf4 else 2.0) + (rest + vision_parameters(setting.model)) * 2.0) / GB
    adapter = adapter_parameters(setting.model, setting.rank) * 16.0 / GB  # weight, gradient, two moments, float32
    tokens = 2 * setting.view + setting.text
    one = text_layer(text)
    cache = layers * 2 * one["k"][1] * 2.0 * tokens * setting.sampled / GB
    kept = layers * width * 2.0 * tokens * setting.rows / GB  # a layer's input is kept, all else computed again
    inside = 2.0 * (4 * width + 2 * one["q"][1] + 2 * one["k"][1] + 4 * text["intermediate_size"])
    layer = inside * tokens * setting.rows / GB
    logits = 6.0 * CHUNK * text["vocab_size"] * 4.0 / GB  # logits, log p and p, of policy and reference
    held, share = base / setting.processes, adapter / setting.processes
    whole = 0.0 if setting.processes == 1 else base / layers  # one layer at a time is put together
    return {
        "weights": held, "adapter": share, "cache": cache, "kept": kept, "layer": layer, "logits": logits,
        "rollouts": base + share + cache, "update": held + share + whole + kept + layer + logits,
    }  # fmt: skip


def table() -> str:
    """Return the table of README.md."""
    names = ("weights", "adapter", "cache", "kept", "layer", "logits", "rollouts", "update")
    heads = "| setting | parameters, 10^9 | " + " | ".join(names) + " | card |"
    lines = [heads, "| --- " * (len(names) + 3) + "|"]
    for setting in SETTINGS:
        numbers = memory(setting)
        cells = " | ".join(f"{numbers[name]:.1f}" for name in names)
        lines.append(f"| {setting.name} | {parameters(setting.model) / 1e9:.3f} | {cells} | {setting.card} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
