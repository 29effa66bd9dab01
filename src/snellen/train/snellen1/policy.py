"""snellen-1 as a policy: its decoder is trained, encoder and heads stay as they are.

Actions are the tokens of `snellen.snellen1.actions`, sampled from the decoder's distribution over those that the state
machine allows. Where one token only is allowed there is no choice and so no action. Rating, issues and text of a reply
follow from the features and the decision, by the code of the shipped backend.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from snellen.backend import Conversation, LogProbs, Policy, Reply, Round, Sampling
from snellen.backends.onnx import Snellen1Backend
from snellen.image import View
from snellen.region import Region
from snellen.reply import Answer, render_reply
from snellen.snellen1.actions import CROP, FINAL, MOVE, PAD, VOCABULARY, allowed, decode, encode, row
from snellen.snellen1.decoder import Decoder, DecoderShape
from snellen.snellen1.layout import VIEW_OUTPUTS, Decision, ViewFeatures
from snellen.snellen1.perception import HeadOutputs
from snellen.snellen1.photo_faults import PhotoFault
from snellen.train import best_device
from snellen.train.regularizers import exact_entropy, exact_kl
from snellen.train.snellen1.feature_cache import FeatureCache

IMPOSSIBLE = -1e9
"""Logit of a token that the state machine does not allow; finite, so that p log p is 0 and not NaN."""


class Snellen1Policy(Policy, Snellen1Backend):
    """snellen-1 in `folder` (None: the one in the package) with a decoder in training.

    Args:
        start: folder with the decoder.pt to go on from; None for a new decoder, initialised with `seed`. The reference
            policy is the decoder as it is then.
        rounds: rounds allowed at most; the last one must be final.
        features: file that keeps features of views, None for memory.
    """

    def __init__(
        self,
        folder: Path | None = None,
        start: Path | None = None,
        *,
        rounds: int = 2,
        features: Path | None = None,
        shape: DecoderShape | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(folder)
        self.rounds = rounds
        self.device = best_device()
        if start is not None:
            self.decoder = Decoder.open(start / "decoder.pt").to(self.device)
        else:
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                self.decoder = Decoder(shape or DecoderShape()).to(self.device).eval()
        self.reference = copy.deepcopy(self.decoder).requires_grad_(False)
        self.cache = FeatureCache(super().view_features, f"{self.name} {self.version}", features)

    def view_features(self, view: View, mirrored: bool = True) -> ViewFeatures:
        """See `Snellen1Backend.view_features`; always mirrored, and kept in the cache."""
        return self.cache.get(view)

    def all_photo_faults(self, view: View) -> list[PhotoFault]:
        """Return none: rewards know the faults that were made, which the fault head detects."""
        return []

    def sample(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        """See `Policy.sample`. Row i of round n draws from a generator seeded with (sampling.seed, i, n).

        `sampling.max_tokens` and `top_p` have no effect: a round has at most six tokens. Greedy at temperature 0.
        """
        numbers = [_round(conversation) for conversation in conversations]
        draws = [np.random.default_rng([sampling.seed, i, number]) for i, number in enumerate(numbers)]
        written: list[list[int]] = [[] for _ in conversations]
        logprobs: list[list[float]] = [[] for _ in conversations]
        chosen: list[list[bool]] = [[] for _ in conversations]
        while True:
            masks = {i: self._allowed(number, written[i]) for i, number in enumerate(numbers)}
            masks = {i: mask for i, mask in masks.items() if mask.any()}
            if not masks:
                break
            logp = self._next(conversations, written, masks, sampling.temperature or 1.0)
            for i, mask in masks.items():
                p = np.exp(logp[i])
                token = int(p.argmax())
                if sampling.temperature > 0.0:
                    token = int(np.searchsorted(np.cumsum(p), draws[i].random() * p.sum(), side="right"))
                written[i].append(token)
                logprobs[i].append(float(logp[i][token]))
                chosen[i].append(bool(mask.sum() > 1))
        replies = []
        for i, conversation in enumerate(conversations):
            reply = self.answer(conversation, decode(written[i], numbers[i] > 1))
            tokens, logs, actions = tuple(written[i]), tuple(logprobs[i]), tuple(chosen[i])
            replies.append(replace(reply, token_ids=tokens, logprobs=logs, actions=actions))
        return replies

    def demonstrate(self, conversation: Conversation, decision: Decision) -> Reply:
        """Return the reply with a given decision, its actions marked, to learn from.

        It lists no issues and has no rationale, which nothing here learns from and which take most of the time.
        """
        number, views = _round(conversation), _views(conversation)
        ids = encode(decision, number > 1)
        actions = tuple(bool(self._allowed(number, ids[:i]).sum() > 1) for i in range(len(ids)))
        rounded = decode(ids, number > 1)
        rating = self.distribution(self.view_features(views[0]), self.view_features(views[-1]), rounded.move)
        answer = Answer(rounded.region, round(rating.mean, 2), rounded.tool)
        return Reply(render_reply(None, answer, number), tuple(ids), rating=rating, actions=actions)

    def logprobs(self, rounds: Sequence[Round], *, reference: bool = True) -> LogProbs:
        """See `Policy.logprobs`: one pass over all rounds."""
        rows, at, taken, masks = [], [], [], []
        for i, one in enumerate(rounds):
            ids, number = one.reply.token_ids, _round(one.conversation)
            written = [*_history(one.conversation), ids]
            rows.append((written, _views(one.conversation)))
            begin = len(row(written)[0]) - len(ids)
            for j in one.reply.action_indices:
                at.append((i, begin + j - 1))
                taken.append(ids[j])
                masks.append(self._allowed(number, ids[:j]))
        allowed_now = torch.from_numpy(np.array(masks).reshape(-1, VOCABULARY)).to(self.device)
        where = torch.tensor(at, dtype=torch.long, device=self.device).reshape(-1, 2).unbind(1)
        index = torch.tensor(taken, dtype=torch.long, device=self.device)[:, None]
        inputs = self._inputs(rows)
        logp = _masked(_forward(self.decoder, *inputs)[where], allowed_now)
        policy, entropy = logp.gather(1, index)[:, 0], exact_entropy(logp)
        if not reference:
            return LogProbs(policy, policy.detach(), entropy, None)
        with torch.no_grad():
            ref = _masked(_forward(self.reference, *inputs)[where], allowed_now)
        return LogProbs(policy, ref.gather(1, index)[:, 0], entropy, exact_kl(logp, ref))

    def action_kinds(self, reply: Reply) -> list[str]:
        """Return "rating" for a move, "zoom" for tool and box."""
        return ["rating" if reply.token_ids[i] >= MOVE else "zoom" for i in reply.action_indices]

    def parameters(self) -> Iterator[nn.Parameter]:
        """The decoder's weights."""
        return self.decoder.parameters()

    def save(self, folder: Path) -> None:
        """Write decoder.pt."""
        folder.mkdir(parents=True, exist_ok=True)
        self.decoder.save(folder / "decoder.pt")

    def resume(self, folder: Path) -> None:
        """Load decoder.pt. The reference policy stays as it is."""
        self.decoder.load_state_dict(Decoder.open(folder / "decoder.pt").state_dict())

    def _allowed(self, number: int, written: Sequence[int]) -> np.ndarray:
        return allowed(written, number > 1, number >= self.rounds)

    @torch.no_grad()
    def _next(
        self,
        conversations: Sequence[Conversation],
        written: Sequence[Sequence[int]],
        masks: dict[int, np.ndarray],
        temperature: float,
    ) -> dict[int, np.ndarray]:
        """Log-probabilities of the next action of some rows, (VOCABULARY,) float64 each."""
        rows = [([*_history(conversations[i]), written[i]], _views(conversations[i])) for i in masks]
        last = [len(row(actions)[0]) - 1 for actions, _ in rows]
        logits = _forward(self.decoder, *self._inputs(rows))[torch.arange(len(rows)), torch.tensor(last)]
        mask = torch.from_numpy(np.array(list(masks.values()))).to(self.device)
        logp = _masked(logits.double() / temperature, mask)
        return dict(zip(masks, logp.cpu().numpy(), strict=True))

    def _inputs(
        self, rows: Sequence[tuple[Sequence[Sequence[int]], Sequence[View]]]
    ) -> tuple[Tensor, Tensor, HeadOutputs, Tensor, Tensor]:
        """Token ids and positions (B, T), the features and regions of all different views, and which views each row
        shows, (B, R); a row with fewer than R views repeats its last."""
        laid = [row(actions) for actions, _ in rows]
        longest = max(len(ids) for ids, _ in laid)
        ids = [[*one, *[PAD] * (longest - len(one))] for one, _ in laid]
        positions = [[*one, *[0] * (longest - len(one))] for _, one in laid]
        views = {_key(view): view for _, shown in rows for view in shown}
        number = {key: i for i, key in enumerate(views)}
        most = max(len(shown) for _, shown in rows)
        which = [[number[_key(view)] for view in [*shown, *[shown[-1]] * (most - len(shown))]] for _, shown in rows]
        features = [self.view_features(view) for view in views.values()]
        region = torch.tensor([[r.x0, r.y0, r.x1, r.y1] for r in (view.region for view in views.values())])
        tensors = [torch.tensor(table, dtype=torch.long, device=self.device) for table in (ids, positions, which)]
        return tensors[0], tensors[1], stacked(features, self.device), region.to(self.device), tensors[2]


def stacked(features: Sequence[ViewFeatures], device: torch.device) -> HeadOutputs:
    """Return the features of N views as tensors with N rows."""
    columns = {name: [getattr(one, name) for one in features] for name in VIEW_OUTPUTS}
    columns["box"] = [[r.x0, r.y0, r.x1, r.y1] for r in columns["box"]]
    tensors = {name: torch.from_numpy(np.array(column, np.float32)) for name, column in columns.items()}
    return HeadOutputs(**{name: tensor.to(device) for name, tensor in tensors.items()})


def _forward(
    decoder: Decoder, ids: Tensor, positions: Tensor, features: HeadOutputs, region: Tensor, which: Tensor
) -> Tensor:
    """Logits (B, T, VOCABULARY)."""
    logits: Tensor = decoder(ids, positions, decoder.connector(features, region)[which])
    return logits


def _masked(logits: Tensor, mask: Tensor) -> Tensor:
    return torch.log_softmax(logits.masked_fill(~mask, IMPOSSIBLE), dim=1)


def _round(conversation: Conversation) -> int:
    return sum(turn.role == "user" for turn in conversation)


def _views(conversation: Conversation) -> list[View]:
    return [view for turn in conversation for view in turn.views]


def _history(conversation: Conversation) -> list[tuple[int, ...]]:
    """Action tokens of the earlier replies. ValueError for one that this policy did not sample."""
    history = [turn.token_ids for turn in conversation if turn.role == "assistant"]
    for ids in history:
        if not {CROP, FINAL} & set(ids):
            raise ValueError(f"a reply of the conversation holds no decision of this policy, but the tokens {ids}")
    return history


def _key(view: View) -> tuple[str, Region]:
    return view.picture.name, view.region
