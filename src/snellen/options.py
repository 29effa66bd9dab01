"""Options of an assessment, most of them for vision-language models: how one is opened, shown views, and replies."""

from __future__ import annotations

import argparse
from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Any

from snellen.usage import (
    add_allow_damaged,
    add_batch_size,
    add_max_megapixels,
    add_max_rounds,
    add_model_options,
    add_score_only,
)


@dataclass(frozen=True)
class Sampling:
    """Decoding parameters.

    Attributes:
        temperature: 0 is greedy decoding, and `top_p`, `top_k` and `seed` then have no effect.
        top_p: nucleus sampling threshold, in (0, 1].
        max_tokens: the most tokens of one reply.
        seed: seed of the random generator.
        top_k: only the `top_k` most probable tokens are drawn from; 0 for all.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 512
    seed: int = 0
    top_k: int = 0

    def __post_init__(self) -> None:
        if not self.temperature >= 0.0:
            raise ValueError(f"temperature is 0 or more, not {self.temperature}")
        if not 0.0 < self.top_p <= 1.0:
            raise ValueError(f"top_p is above 0 and at most 1, not {self.top_p}")
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens is at least 1, not {self.max_tokens}")
        if self.top_k < 0:
            raise ValueError(f"top_k is 0 (all tokens) or more, not {self.top_k}")


@dataclass(frozen=True)
class ModelOptions:
    """Settings by which a vision-language model is opened and shown its views. None leaves the choice to the backend.

    Attributes:
        long_side: longest side of a view, px; views are cut from the picture's own pixels, never enlarged.
        min_pixels, max_pixels: limits of the model's own image processor, px of one view (Qwen-VL family).
        device: torch device, such as "cpu" or "cuda:1".
        device_map: placement of the layers over several devices, such as "auto" (needs accelerate).
        dtype: "float32", "bfloat16" or "float16".
        attention: implementation of attention: "sdpa", "eager", "flash_attention_2".
        revision: branch, tag or commit of a checkpoint.
        timeout: seconds for one request to a server, from first to last byte.
        concurrency: requests in flight at a time.
        structured: when a server is asked to hold a reply to a JSON schema: "retry" after one that cannot be read,
            "always" or "never".
    """

    long_side: int | None = None
    min_pixels: int | None = None
    max_pixels: int | None = None
    device: str | None = None
    device_map: str | None = None
    dtype: str | None = None
    attention: str | None = None
    revision: str | None = None
    timeout: float | None = None
    concurrency: int | None = None
    structured: str | None = None

    def __post_init__(self) -> None:
        for name in ("long_side", "min_pixels", "max_pixels", "timeout", "concurrency"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} is more than 0, not {value}")
        if self.min_pixels is not None and self.max_pixels is not None and self.min_pixels > self.max_pixels:
            raise ValueError(f"min_pixels ({self.min_pixels}) is at most max_pixels ({self.max_pixels})")
        if self.structured not in (None, "retry", "always", "never"):
            raise ValueError(f"structured is retry, always or never, not {self.structured!r}")
        if self.device is not None and self.device_map is not None:
            raise ValueError("give device or device_map, not both")

    def given(self) -> dict[str, Any]:
        """Return the options that are set, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}

    def require(self, taken: Collection[str], model: str) -> None:
        """Raise ValueError for a set option that is not in `taken`, the options that `model` has."""
        for name in self.given():
            if name not in taken:
                has = ", ".join(taken) or "none"
                raise ValueError(f"{model} has no option {name} (it has: {has}); leave {flag(name)} out")


SAMPLING_FLAGS = {
    "max_tokens": (int, "N", "most tokens of one reply"),
    "temperature": (float, "T", "sampling temperature; 0 is greedy decoding"),
    "top_p": (float, "P", "nucleus sampling: draw from the most probable tokens that together have probability P"),
    "top_k": (int, "K", "draw from the K most probable tokens; 0 for all"),
    "seed": (int, "N", "seed of the draws"),
}
MODEL_FLAGS = {
    "long_side": (int, "PX", "longest side of a view"),
    "min_pixels": (int, "N", "fewest pixels of a view, for the model's image processor (hf)"),
    "max_pixels": (int, "N", "most pixels of a view, for the model's image processor (hf)"),
    "device": (str, "NAME", "torch device: cpu, cuda, cuda:1 (hf)"),
    "device_map": (str, "NAME", "spread the layers over devices: auto (hf, needs accelerate)"),
    "dtype": (str, "NAME", "float32, bfloat16 or float16 (hf)"),
    "attention": (str, "NAME", "sdpa, eager or flash_attention_2 (hf)"),
    "revision": (str, "NAME", "branch, tag or commit of the checkpoint (hf)"),
    "timeout": (float, "S", "seconds for one request (openai)"),
    "concurrency": (int, "N", "requests in flight at a time (openai)"),
    "structured": (
        str,
        "WHEN",
        "ask for JSON of a schema: always, never, or retry: after a reply that cannot be read (openai)",
    ),
}


def flag(name: str) -> str:
    """Return the command line option of a field: `--max-tokens` for max_tokens."""
    return "--" + name.replace("_", "-")


def add_vlm_options(parser: argparse.ArgumentParser) -> None:
    """Add --question and the options of `Sampling` and `ModelOptions`, for vision-language models only."""
    group = parser.add_argument_group(
        "vision-language models (hf:, openai:)", "without an option, the setting of the protocol or of the model holds"
    )
    group.add_argument("--question", metavar="TEXT", help="question that the first prompt asks")
    for name, (kind, metavar, help_text) in (SAMPLING_FLAGS | MODEL_FLAGS).items():
        group.add_argument(flag(name), metavar=metavar, type=kind, help=help_text)


def assessor_options(args: argparse.Namespace) -> dict[str, Any]:
    """Return what `add_vlm_options` read, as arguments of `Assessor`: `question`, `sampling` and `options`.

    Raises:
        ValueError: a value is out of range.
    """
    sampling = {name: getattr(args, name) for name in SAMPLING_FLAGS if getattr(args, name) is not None}
    options = ModelOptions(**{name: getattr(args, name) for name in MODEL_FLAGS})
    return {"question": args.question, "sampling": sampling or None, "options": options}


def add_assessor_arguments(parser: argparse.ArgumentParser) -> None:
    """Add all options of an assessment: model and protocol, rounds, limits of the picture, and `add_vlm_options`."""
    add_model_options(parser)
    add_score_only(parser)
    add_batch_size(parser)
    add_max_rounds(parser)
    add_max_megapixels(parser)
    add_allow_damaged(parser)
    add_vlm_options(parser)


def assessor_arguments(args: argparse.Namespace) -> dict[str, Any]:
    """Return what `add_assessor_arguments` read, as arguments of `Assessor`: all but the first, the model.

    Raises:
        ValueError: a value is out of range.
    """
    names = ("protocol", "max_rounds", "batch_size", "score_only", "max_megapixels", "allow_damaged")
    return {name: getattr(args, name) for name in names} | assessor_options(args)
