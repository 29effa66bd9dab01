"""A rollout as numbers: one row of tokens, and which of them were the policy's actions.

The row is the conversation as `snellen.train.snellen1.batch` lays it out (<look>, four coordinates, LOOK_TOKENS places,
the reply, <end>, and again), followed by one branch per round: the tokens of RATING_PREFIX, which see the conversation
up to that round's look and nothing after it, so that one pass gives the rating of every round as it is read before the
words.

Actions are words (all tokens of a reply but its written rating and those that were the only ones allowed) and ratings
(one per round that wrote one, at the end of its branch). Looks, coordinates and pixels of a crop, the written rating
and the branches' own tokens are context: they are read, never trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from snellen.assessment import Step
from snellen.backends.onnx import turn_ids
from snellen.image import View
from snellen.reply import FIRST_LABELS
from snellen.snellen1.decoder import Decoder, laid_out
from snellen.snellen1.perception import Seen
from snellen.snellen1.tokenizer import FIRST_NUMBER
from snellen.train.snellen1.policy import IMPOSSIBLE, RATING, Draft, Policy, as_tokens

DECISION = f"\n{FIRST_LABELS[-1]}:"
"""What stands before the words that say whether to look again."""
CONVERSATION = 0
"""Segment of the conversation; a branch's segment is the number of its round, from 1."""


@dataclass(frozen=True, eq=False)
class Trace:
    """One rollout. Over its T tokens, (T,): ids; positions, as the model counts them; segment, CONVERSATION or a round;
    limit, how many tokens of the conversation may be seen. Over its N actions, (N,): at, the place from which it is
    predicted; taken, the token; mask, the number of the mask it was drawn under; logprob, natural log, when it was
    drawn; rating, whether it is one; zoom, whether it is part of deciding to look again, and where; round, from 1.

    views: what was shown, in order.
    """

    ids: npt.NDArray[np.int64]
    positions: npt.NDArray[np.int64]
    segment: npt.NDArray[np.int64]
    limit: npt.NDArray[np.int64]
    at: npt.NDArray[np.int64]
    taken: npt.NDArray[np.int64]
    mask: npt.NDArray[np.int64]
    logprob: npt.NDArray[np.float32]
    rating: npt.NDArray[np.bool_]
    zoom: npt.NDArray[np.bool_]
    round: npt.NDArray[np.int64]
    views: tuple[View, ...]


def trace(policy: Policy, steps: Sequence[Step]) -> Trace:
    """The rounds of one rollout that `policy` drew."""
    ids: list[int] = []
    actions: list[tuple[int, int, int, float, bool, bool, int]] = []
    rated: list[tuple[int, int, int, float]] = []  # round, where its reply begins, and the rating drawn there
    for number, step in enumerate(steps, 1):
        reply = step.reply
        if not isinstance(reply, Draft):
            raise TypeError(f"a trace is made of a policy's drafts, not of {type(reply).__name__}")
        ids += turn_ids(policy.tokenizer, step.region)
        begin, zooms = len(ids), zoom_of(reply, policy.masks.form.texts)
        for place, one in enumerate(zip(reply.token_ids, reply.masks, reply.logprobs, strict=True)):
            if place != reply.rated and policy.masks.choices[one[1]] > 1:
                actions.append((begin + place - 1, *one, False, place in zooms, number))
        ids += reply.token_ids
        if reply.finish == "stop" or number < len(steps):  # the next round's turn follows an <end> in any case
            ids.append(policy._end)
        if reply.rated is not None:  # else it named no rating, so none was acted on
            rated.append((number, begin, reply.token_ids[reply.rated], reply.logprobs[reply.rated]))
    length = len(ids)
    positions, segment, limit = list(range(length)), [CONVERSATION] * length, [length] * length
    for number, begin, token, logprob in rated:
        ids += policy.prefix
        positions += range(begin, begin + len(policy.prefix))
        segment += [number] * len(policy.prefix)
        limit += [begin] * len(policy.prefix)
        actions.append((len(ids) - 1, token, RATING, logprob, True, False, number))
    at, taken, mask, logprobs, rating, zoom, rounds = (np.array(column) for column in zip(*actions, strict=True))
    return Trace(
        ids=np.array(ids, np.int64),
        positions=np.array(positions, np.int64),
        segment=np.array(segment, np.int64),
        limit=np.array(limit, np.int64),
        at=at.astype(np.int64),
        taken=taken.astype(np.int64),
        mask=mask.astype(np.int64),
        logprob=logprobs.astype(np.float32),
        rating=rating.astype(bool),
        zoom=zoom.astype(bool),
        round=rounds.astype(np.int64),
        views=tuple(step.view for step in steps),
    )


def zoom_of(reply: Draft, texts: Sequence[str]) -> range:
    """The places, in a reply, of the decision to look again and where: its section and the box, up to the rating; none
    in a last round, whose section is another, or where the reply was cut off. texts: of every token."""
    said = ""
    for place, token in enumerate(reply.token_ids[: reply.rated or 0]):
        said += texts[token]
        if DECISION in said:
            return range(place, reply.rated or 0)  # the token may hold the first letters too
    return range(0)


@dataclass(frozen=True)
class Traces:
    """Traces padded on the right to one length T: ids, positions, segment (-1 on padding) and limit (B, T).

    is_look (B, T) marks the places of looks; seen holds what the encoder says of all different ones, and which, in the
    order of their places, the number of each. Over the N actions of all rows, row by row:
    row, at, taken, rating and forbidden (N, V), what could not be chosen.
    """

    ids: Tensor
    positions: Tensor
    segment: Tensor
    limit: Tensor
    is_look: Tensor
    seen: Seen
    which: Tensor
    row: Tensor
    at: Tensor
    taken: Tensor
    rating: Tensor
    forbidden: Tensor


def collate(policy: Policy, traces: Sequence[Trace]) -> Traces:
    """Pad traces, on the policy's device."""
    longest = max(len(one.ids) for one in traces)
    shape = (len(traces), longest)
    ids, positions, limit = (np.zeros(shape, np.int64) for _ in range(3))
    segment = np.full(shape, -1, np.int64)
    for i, one in enumerate(traces):
        for target, values in ((ids, one.ids), (positions, one.positions), (segment, one.segment), (limit, one.limit)):
            target[i, : len(values)] = values
    shown = [view for one in traces for view in one.views]
    views = {(view.picture.name, view.region): view for view in shown}
    order = {key: number for number, key in enumerate(views)}
    which = np.array([order[view.picture.name, view.region] for view in shown])
    row = np.repeat(np.arange(len(traces)), [len(one.at) for one in traces])
    at, taken, rating, mask = (
        np.concatenate([getattr(one, name) for one in traces]) for name in ("at", "taken", "rating", "mask")
    )

    def here(array: npt.NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(policy.device)

    return Traces(
        ids=here(ids),
        positions=here(positions),
        segment=here(segment),
        limit=here(limit),
        is_look=here(ids == policy._image),
        seen=policy.looks.take(list(views.values())).to(policy.device),
        which=here(which),
        row=here(row),
        at=here(at),
        taken=here(taken),
        rating=here(rating),
        forbidden=policy.masks.forbidden(here(mask)),
    )


def action_logits(model: Decoder, traces: Traces) -> Tensor:
    """One pass over whole rows: the logits from which each action was drawn, (N, V)."""
    own = torch.arange(traces.ids.shape[1], device=traces.ids.device).expand_as(traces.ids)
    as_at = torch.where(traces.segment > CONVERSATION, traces.limit - 1, own)  # a branch follows its round's look
    looks = laid_out(model.see(traces.seen)[traces.which], traces.is_look, as_at)
    x = model.embedding(traces.ids) + looks[..., : model.shape.width]
    mask = torch.where(visible(traces.segment, traces.limit), 0.0, IMPOSSIBLE)[:, None].to(x.dtype)
    hidden, _ = model.through(x, traces.positions, mask)
    seen_at = hidden[traces.row, traces.at], looks[traces.row, traces.at]
    logits = model.logits(*seen_at).masked_fill(traces.forbidden, IMPOSSIBLE)
    rated = as_tokens(model.ratings(*seen_at), FIRST_NUMBER + 100, model)
    return torch.where(traces.rating[:, None], rated, logits)


def visible(segment: Tensor, limit: Tensor) -> Tensor:
    """Which tokens see which, (B, T) each -> (B, T, T) bool: earlier ones of the conversation, up to the limit, and
    earlier ones of the own branch."""
    places = torch.arange(segment.shape[1], device=segment.device)
    earlier = places[None, :] <= places[:, None]
    same = segment[:, :, None] == segment[:, None, :]
    shared = (segment[:, None, :] == CONVERSATION) & (places[None, None, :] < limit[:, :, None])
    return earlier[None] & (same | shared)
