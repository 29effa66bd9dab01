"""Backends: whatever can continue a conversation. One method, batched, and a visible choice of implementations."""

from __future__ import annotations

import typing
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from snellen.protocol import Conversation, Turn

__all__ = [
    "Backend",
    "BackendError",
    "Calibration",
    "Conversation",
    "RatingDistribution",
    "Reply",
    "Sampling",
    "Turn",
    "open_backend",
]

FloatArray = npt.NDArray[np.float64]


class BackendError(RuntimeError):
    """A model could not be opened or did not answer; the text says what happened and what to do."""


@dataclass(frozen=True)
class Sampling:
    """How to decode. `temperature` 0 is greedy, and `top_p` and `seed` then play no part.

    `prefix` is a forced beginning of the reply: the reply's text starts with it, and only what follows is generated,
    at most `max_tokens` tokens.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 512
    seed: int = 0
    prefix: str = ""

    def __post_init__(self) -> None:
        if not self.temperature >= 0.0:
            raise ValueError(f"temperature is 0 or more, not {self.temperature}")
        if not 0.0 < self.top_p <= 1.0:
            raise ValueError(f"top_p is above 0 and at most 1, not {self.top_p}")
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens is at least 1, not {self.max_tokens}")


@dataclass(frozen=True, eq=False)
class RatingDistribution:
    """The model's own distribution over ratings: `values` (N,) ascending in 1..5, `probs` (N,) that sum to 1."""

    values: FloatArray
    probs: FloatArray

    def __post_init__(self) -> None:
        values = np.array(self.values, dtype=np.float64)
        probs = np.array(self.probs, dtype=np.float64)
        if values.ndim != 1 or values.shape != probs.shape or values.size == 0:
            raise ValueError(f"values and probs are vectors of one length, not {values.shape} and {probs.shape}")
        if not (np.all(np.diff(values) > 0) and values[0] >= 1.0 and values[-1] <= 5.0):
            raise ValueError("values ascend from 1 or more to 5 or less")
        if not (np.all(probs >= 0.0) and abs(float(probs.sum()) - 1.0) < 1e-4):
            raise ValueError(f"probs are 0 or more and sum to 1, not {float(probs.sum())}")
        probs = probs / probs.sum()
        values.setflags(write=False)
        probs.setflags(write=False)
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "probs", probs)

    @property
    def mean(self) -> float:
        """The expected rating, 1..5."""
        return float(np.dot(self.values, self.probs))

    @property
    def std(self) -> float:
        """Standard deviation in rating points."""
        return float(np.sqrt(np.dot((self.values - self.mean) ** 2, self.probs)))

    @property
    def entropy(self) -> float:
        """Shannon entropy in nats, 0 to log N."""
        positive = self.probs[self.probs > 0.0]
        return max(0.0, float(-np.dot(positive, np.log(positive))))

    def quantile(self, q: float) -> float:
        """The smallest value with at least probability `q` (0..1) at or below it."""
        if not 0.0 <= q <= 1.0:
            raise ValueError(f"q is from 0 to 1, not {q}")
        # the tolerance keeps rounding in the sum (0.1 + 0.2 < 0.3 by an ulp) from skipping a value
        index = int(np.searchsorted(np.cumsum(self.probs), q - 1e-12))
        return float(self.values[min(index, len(self.values) - 1)])


@dataclass(frozen=True)
class Calibration:
    """A conformal interval, measured on held-out pictures: score +- `q` * max(std, `floor`), clipped to 1..5.

    `std` is that of the rating distribution; `floor` keeps a model that is too sure from an interval of no width.
    Source: split conformal prediction with a normalised residual (Lei et al., JASA 2018). `coverage` is what share of
    pictures has its MOS inside, for which `q` was chosen.
    """

    q: float
    floor: float
    coverage: float = 0.9

    def interval(self, score: float, std: float) -> tuple[float, float]:
        """Lower and upper end, 1..5."""
        half = self.q * max(std, self.floor)
        return max(1.0, score - half), min(5.0, score + half)


@dataclass(frozen=True)
class Reply:
    """What a backend wrote, `Sampling.prefix` included in `text` but not in the tokens.

    `token_ids` and `logprobs` (natural log, at the sampling temperature) go together, empty where a backend has none.
    `rating` is the distribution at the place of the rating, at temperature 1, None when the model does not tell.
    `finish`: "stop" it ended by itself, "length" `max_tokens` were used up, "prefix" nothing but the rating was read.
    """

    text: str
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    rating: RatingDistribution | None = None
    finish: Literal["stop", "length", "prefix"] = "stop"

    def turn(self) -> Turn:
        """The reply as a turn of the conversation that goes on."""
        return Turn("assistant", self.text, (), self.token_ids, self.logprobs)


class Backend(typing.Protocol):
    """Anything that can continue conversations.

    Two more attributes count where a backend has them: `calibration`, a `Calibration` for its scores, and
    `tokens_per_rating`, how many tokens it needs to write one (otherwise 1).
    """

    @property
    def name(self) -> str:
        """What the model is called, for provenance."""

    @property
    def version(self) -> str:
        """Which one it is exactly, for provenance."""

    def reply(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        """One reply for each conversation, in order; each as if it were asked alone."""


def open_backend(model: str, threads: int | None = None) -> Backend:
    """Open a model by name: "snellen-1" (in the package), "scripted:FILE", "hf:PATH" or "openai:URL#MODEL".

    `threads` is for snellen-1, where several processes share the cores; None for all that it can use.

    Raises ValueError for a name of no such form, BackendError when it cannot be opened.
    """
    backend: Any
    kind, _, rest = model.partition(":")
    if model == "snellen-1":
        from snellen.backends.onnx import BundledBackend

        backend = BundledBackend(threads=threads)
    elif kind == "scripted" and rest:
        from snellen.backends.scripted import ScriptedBackend

        backend = ScriptedBackend(Path(rest))
    elif kind == "hf" and rest:
        from snellen.backends.transformers import HfBackend

        backend = HfBackend(rest)
    elif kind == "openai" and rest:
        from snellen.backends.openai import OpenAIBackend

        backend = OpenAIBackend(rest)
    else:
        raise ValueError(f"unknown model {model!r}; use snellen-1, scripted:FILE, hf:PATH or openai:URL#MODEL")
    return typing.cast(Backend, backend)
