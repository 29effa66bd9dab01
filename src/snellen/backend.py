"""Backends: models that continue a conversation about a picture; `snellen.backends` opens one by its name."""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from snellen.options import Sampling
from snellen.protocol import Conversation, Turn

if TYPE_CHECKING:
    import torch

    from snellen.image import View

__all__ = [
    "RATING_GRID",
    "Backend", "BackendError", "Calibration", "Conversation", "LogProbs", "Policy", "RatingDistribution", "Reply",
    "Round", "Sampling", "Turn", "model_folder", "seeds",
]  # fmt: skip

Floats = npt.NDArray[np.float64]

RATING_GRID: Floats = np.round(np.arange(100, 501) / 100.0, 2)
"""(401,) float64: the ratings that a reply can state, 1.00 to 5.00 in steps of 0.01. Read-only."""
RATING_GRID.setflags(write=False)
SNELLEN_1 = Path(__file__).parent / "snellen1" / "weights"
"""Folder of the bundled model."""
MIN_MASS = 0.8
"""Smallest recovered probability that makes a distribution over the rating; below it, the written rating counts. Words
of the protocol `levels` that hold less are noted. How it was settled is in docs/backends.md."""


class BackendError(RuntimeError):
    """A model could not be opened or did not answer. The message states what happened and what to do."""


@dataclass(frozen=True, eq=False)
class RatingDistribution:
    """Probability distribution over ratings.

    Attributes:
        values: (N,) float64, ascending, in 1..5.
        probs: (N,) float64, non-negative, sum 1.
    """

    values: Floats
    probs: Floats

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
        """Expected rating, 1..5."""
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
        """Return the smallest value whose cumulative probability reaches `q` (0..1)."""
        if not 0.0 <= q <= 1.0:
            raise ValueError(f"q is from 0 to 1, not {q}")
        # the tolerance keeps rounding in the sum (0.1 + 0.2 < 0.3 by an ulp) from skipping a value
        index = int(np.searchsorted(np.cumsum(self.probs), q - 1e-12))
        return float(self.values[min(index, len(self.values) - 1)])


@dataclass(frozen=True)
class Calibration:
    """Conformal prediction interval: score - `below` s to score + `above` s, s = max(std, `floor`), clipped to 1..5.

    Source: split conformal prediction with a normalised residual (Lei et al., JASA 2018); ends apart: signed-error
    conformal regression (Linusson et al., PAKDD 2014).

    Attributes:
        q: quantile of the normalised residuals' sizes on held-out pictures: how far a score is off, in s.
        floor: smallest standard deviation that is used, in rating points, so that no interval has zero width.
        coverage: share of pictures whose MOS lies in the interval, for which `q` and the ends were fitted.
        below, above: where the interval ends, in s; None for `q`.
    """

    q: float
    floor: float
    coverage: float = 0.9
    below: float | None = None
    above: float | None = None

    def interval(self, score: float, std: float) -> tuple[float, float]:
        """Return the lower and upper end, 1..5, for a score and the standard deviation of its distribution."""
        below, above = (max(std, self.floor) * (end or self.q) for end in (self.below, self.above))
        return max(1.0, score - below), min(5.0, score + above)


@dataclass(frozen=True)
class Reply:
    """Output of a backend for one conversation.

    Attributes:
        text: the reply. After `Backend.rate` only the written rating, or empty.
        token_ids: generated tokens; empty where the backend has none.
        logprobs: log-probability (natural log, at the sampling temperature) of each token; empty where unknown.
        rating: distribution over the rating at temperature 1, None where the model gives none.
        finish: "stop" the model ended the reply, "length" `Sampling.max_tokens` were used up, "rating" only the rating
            was read (`Backend.rate`), "waiting" the request is in a file and has no reply yet (`openai_batch`).
        actions: for each token, True where the policy chose it; empty means that it chose all of them.
        repaired: how the backend put the text together where the model did not write it so, each one of `REPAIRS`.
        failure: why there is no reply to this conversation, None where there is one. It ends this picture only.
        prompt_tokens: tokens of the conversation with its views, as the model counts them; 0 where it does not.
        reply_tokens: tokens that the model wrote, as it counts them; 0 where it does not.
        rating_mass: probability, 0..1, that was recovered for the rating, before `rating` was scaled to 1; None where
            unknown. Where it is below MIN_MASS, `rating` is None and the written rating counts.
        fault_probabilities: probability, 0..1, that a viewer minds each kind of fault in the whole picture, the most
            probable first; None where the model gives none. See `snellen.vocabulary.POSSIBLE`.
    """

    text: str
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    rating: RatingDistribution | None = None
    finish: Literal["stop", "length", "rating", "waiting"] = "stop"
    actions: tuple[bool, ...] = ()
    repaired: tuple[str, ...] = ()
    failure: str | None = None
    prompt_tokens: int = 0
    reply_tokens: int = 0
    rating_mass: float | None = None
    fault_probabilities: Mapping[str, float] | None = None

    @property
    def action_indices(self) -> tuple[int, ...]:
        """Indices of the tokens that the policy chose."""
        chosen = self.actions or (True,) * len(self.token_ids)
        return tuple(i for i, action in enumerate(chosen) if action)

    def turn(self) -> Turn:
        """Return the reply as the assistant's turn of the conversation."""
        return Turn("assistant", self.text, (), self.token_ids, self.logprobs)


def seeds(conversations: Sequence[Conversation], seed: int) -> list[int]:
    """Return a seed for each conversation, 0 to 2**31 - 1, from `seed`, its content and how often it came before.

    A reply that is drawn with it does not depend on the rest of the batch, and equal conversations, as in a group of
    rollouts, get different replies.
    """
    found: Counter[int] = Counter()
    result = []
    for conversation in conversations:
        mark = zlib.crc32(str(seed).encode())
        for turn in conversation:
            mark = zlib.crc32(f"{turn.role}\0{turn.text}\0".encode(), mark)
            for view in turn.views:
                mark = zlib.crc32(view.picture.pixels.tobytes(), mark)
                mark = zlib.crc32(str(view.region).encode(), mark)
        result.append(zlib.crc32(str(found[mark]).encode(), mark) & 0x7FFFFFFF)
        found[mark] += 1
    return result


class Backend(ABC):
    """A model that continues conversations.

    Attributes:
        name: name of the model, for provenance.
        version: exact version or checksum, for provenance.
        calibration: fitted conformal interval for its scores, None where it has none.
        score_calibration: the same in score-only mode, None where it is `calibration`.
        plain_ratings: names that `plain_rating` takes: regression outputs that evaluation uses as baselines.
        reads_prompts: False where a model judges the views alone, whatever the prompt and the sampling are.
        batch_size: conversations that it works on at a time, the default size of a batch.
        details: how it runs, for provenance: JSON-able.
        writes_freely: True where a model words its own reasons; its claims are then checked, see `snellen.checks`.
        photographs_only: True where a model was made for photographs alone; others are noted, see `snellen.domain`.
    """

    name: str
    version: str
    calibration: Calibration | None = None
    score_calibration: Calibration | None = None
    plain_ratings: tuple[str, ...] = ()
    reads_prompts: bool = True
    batch_size: int = 8
    details: Mapping[str, Any] = MappingProxyType({})
    writes_freely: bool = True
    photographs_only: bool = False

    @abstractmethod
    def reply(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        """Return one reply for each conversation, in order; independent of the rest of the batch.

        Raises:
            BackendError: the model did not answer.
        """

    @abstractmethod
    def rate(self, conversations: Sequence[Conversation]) -> list[Reply]:
        """Return the rating of each conversation's last view, without a rationale: the score-only mode.

        `Reply.rating` is the distribution over the rating. Where the model gives none, `Reply.text` is the rating as
        it wrote it. `Reply.finish` is "rating".

        Raises:
            BackendError: the model did not answer.
        """

    def rate_levels(self, conversations: Sequence[Conversation], stem: str, levels: Mapping[str, float]) -> list[Reply]:
        """Return the distribution over level words as the next word of a reply that begins with `stem`.

        `Reply.rating` has the rating of each word in `levels`, its probability scaled to a sum of 1;
        `Reply.rating_mass` is the sum before. `Reply.rating` is None where no level has any probability.

        Raises:
            BackendError: the model gives no probabilities of words, or did not answer.
        """
        raise BackendError(f"{self.name} gives no probabilities of words; use a vision-language model (hf:)")

    def box_scale(self, view: View) -> tuple[float, float] | None:
        """Return (width, height) of the whole picture in the box units of the model; None for fractions.

        Args:
            view: the view of the whole picture.
        """
        return None

    def plain_rating(self, view: View, name: str) -> float:
        """Return the regression output called `name` (one of `plain_ratings`) for one view, 1..5."""
        raise NotImplementedError(f"{self.name} has no plain rating {name!r}")


@dataclass(frozen=True, eq=False)
class Round:
    """One round of a rollout or of a demonstration: what the model was asked, and its reply."""

    conversation: Conversation
    reply: Reply


@dataclass(frozen=True)
class LogProbs:
    """Log-probabilities (natural log) of the N actions of some rounds, in order; each a float32 tensor (N,).

    Attributes:
        policy: under the policy, with gradients.
        reference: under the reference policy, without gradients.
        entropy: of the policy's distribution at each action, nats.
        kl: KL(policy || reference) of the distributions at each action, nats; None where the policy does not give it.
    """

    policy: torch.Tensor
    reference: torch.Tensor
    entropy: torch.Tensor
    kl: torch.Tensor | None


class Policy(Backend):
    """A backend that can be trained: all that training needs of a model.

    An action is a token that the policy chose, see `Reply.actions`. The reference policy is the model as it was when
    training began.
    """

    writes_freely = False  # nobody reads the checks of a rollout, and measuring each picture takes time

    def reply(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        """See `Backend.reply`; the same as `sample`, so that rollouts go through the `Assessor`."""
        return self.sample(conversations, sampling)

    @abstractmethod
    def sample(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        """Return one sampled reply for each conversation, with token ids, log-probabilities and actions.

        Each conversation draws from its own random stream, seeded with `Sampling.seed` and its place in the batch, so
        equal conversations get different replies. `Reply.rating` is None or depends on the actions alone: a rollout's
        score must follow from what the policy chose.
        """

    @abstractmethod
    def logprobs(self, rounds: Sequence[Round], *, reference: bool = True) -> LogProbs:
        """Return the log-probabilities of the actions of rounds that this policy sampled, or that demonstrate.

        Without `reference` the reference policy is not computed: `LogProbs.reference` is the policy's own and
        `LogProbs.kl` is None.
        """

    def action_kinds(self, reply: Reply) -> list[str]:
        """Return the kind of each action of a reply, in order: "text", "zoom" (tool and box) or "rating".

        Credit by kind uses it, see `snellen.train.advantage.CREDIT`. By default all actions are "text".
        """
        return ["text"] * len(reply.action_indices)

    sharded: bool = False
    """True where the weights are spread over the processes of a run: their gradients then come out as the mean over the
    processes, and all processes must make equal numbers of passes."""

    def rolling_out(self) -> AbstractContextManager[None]:
        """Return the context in which a step's rollouts are sampled; training enters it once a step."""
        return nullcontext()

    @abstractmethod
    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """Return the parameters that training updates."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the trained weights to a folder. Where `sharded`, all processes call it and the first writes."""

    @abstractmethod
    def resume(self, folder: Path) -> None:
        """Load weights that `save` wrote. The reference policy stays as it is."""


def model_folder(model: str | Path) -> Path | None:
    """Return the folder of a model of snellen-1's format ("snellen-1" or a path that holds card.json), or None."""
    folder = SNELLEN_1 if model == "snellen-1" else Path(model)
    return folder if (folder / "card.json").is_file() else None
