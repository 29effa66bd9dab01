"""From conversations to rows of numbers, with masks that say which tokens the model wrote.

A conversation of snellen-1 is, for each round: <look>, the four coordinates of the region shown, LOOK_TOKENS places
for what the encoder saw, then the reply and <end>. Only the reply and its <end> are the model's own; everything else is
context and is never trained on, also the beginning that a reply without text is forced to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from torch import Tensor

from snellen.backends.onnx import token_id, turn_ids
from snellen.rationale.lexicon import CLAIMS
from snellen.region import Region
from snellen.reply import RATING_PREFIX

CONTEXT, WORD, RATING, PLACE, CLAIM = 0, 1, 2, 3, 4
"""What a token is: context; the model's own word; the rating of its answer; a coordinate in its answer; a word that
claims something of the picture (see `CLAIMS`)."""


@dataclass(frozen=True)
class Round:
    """One look and the reply to it. look: row of the stored look vectors. rating: the unrounded target, 1..5.

    teaches: "reply", all of it; "rating", that token only, where nobody knows the issues; "nothing", where the reply is
    only there to be read by later rounds.
    """

    look: int
    region: Region
    reply: str
    rating: float
    issues: int
    teaches: Literal["reply", "rating", "nothing"] = "reply"


def rounds_of(line: Mapping[str, Any]) -> list[Round]:
    """The rounds of a conversation as a line of JSON holds it."""
    return [Round(**one | {"region": Region(*one["region"])}) for one in line["rounds"]]


@dataclass(frozen=True)
class Row:
    """One conversation as numbers, each (T,): token ids, role (CONTEXT to CLAIM), and the rating target where RATING.

    looks: rows of the stored look vectors in the order in which they are shown.
    """

    ids: npt.NDArray[np.int64]
    role: npt.NDArray[np.int8]
    target: npt.NDArray[np.float32]
    looks: tuple[int, ...]


def encode_rounds(tokenizer: Tokenizer, rounds: Sequence[Round]) -> Row:
    """Rounds in order to one row; the last reply's <end> is its last token."""
    first_number, last_number, end = (token_id(tokenizer, token) for token in ("0.00", "5.00", "<end>"))
    ids: list[int] = []
    role: list[int] = []
    target: list[float] = []
    for one in rounds:
        shown = turn_ids(tokenizer, one.region)
        encoded = tokenizer.encode(one.reply)
        said = [*encoded.ids, end]
        kinds = [*_words(one.reply, encoded.offsets), WORD]
        numbers = [i for i, token in enumerate(said) if first_number <= token <= last_number]
        # the answer's numbers come last: four coordinates, the rating, four coordinates for each issue
        answer = numbers[len(numbers) - 5 - 4 * one.issues :]
        for i in answer:
            kinds[i] = PLACE
        if {said[i] for i in answer[:4]} == {first_number}:  # asks for no region: four zeros are words, not a place
            for i in answer[:4]:
                kinds[i] = WORD
        kinds[answer[4]] = RATING
        if one.reply.startswith(RATING_PREFIX):  # forced on the model, so not its own; else it would never explain
            forced = len(tokenizer.encode(RATING_PREFIX).ids)
            kinds[:forced] = [CONTEXT] * forced
        if one.teaches != "reply":
            kinds = [kind if one.teaches == "rating" and kind == RATING else CONTEXT for kind in kinds]
        ids += shown + said
        role += [CONTEXT] * len(shown) + kinds
        target += [0.0] * (len(shown) + len(said))
        target[len(target) - len(said) + answer[4]] = one.rating
    return Row(np.array(ids), np.array(role, np.int8), np.array(target, np.float32), tuple(r.look for r in rounds))


def _words(reply: str, offsets: Sequence[tuple[int, int]]) -> list[int]:
    """For each token, from and to which character it goes, whether it is part of a claim."""
    spans = [match.span() for match in CLAIMS.finditer(reply)]
    return [CLAIM if any(a < end and begin < b for begin, end in spans) else WORD for a, b in offsets]


@dataclass(frozen=True)
class Batch:
    """Rows padded on the right to one length T: ids (B, T), keys (B, T) false on padding, role and target (B, T).

    looks (L,): rows of the stored look vectors; is_look (B, T) marks their places, row by row in the same order.
    """

    ids: Tensor
    keys: Tensor
    role: Tensor
    target: Tensor
    is_look: Tensor
    looks: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same on another device."""
        return Batch(*(getattr(self, field.name).to(device) for field in fields(self)))


def collate(rows: Sequence[Row], image: int) -> Batch:
    """Pad rows; `image` is the id of <image>."""
    longest = max(len(row.ids) for row in rows)
    ids = np.zeros((len(rows), longest), np.int64)
    role = np.zeros((len(rows), longest), np.int8)
    target = np.zeros((len(rows), longest), np.float32)
    keys = np.zeros((len(rows), longest), bool)
    for i, row in enumerate(rows):
        n = len(row.ids)
        ids[i, :n], role[i, :n], target[i, :n], keys[i, :n] = row.ids, row.role, row.target, True
    looks = np.array([look for row in rows for look in row.looks])
    tensors = (torch.from_numpy(a) for a in (ids, keys, role, target, ids == image, looks))
    return Batch(*tensors)
