"""Putting what was found into words: beside its own choice of the next token, the decoder may point at the finding.

After pointer-generator networks (See et al. 2017, arXiv 1704.04368), which copy words from a source text. What is
copied here is what the heads found in the look: each token that names a kind of fault, a severity or a place, and
each number as a side of the box, is favoured as much as the finding speaks for it, times a gate that the decoder opens
where it is about to say such a thing. So one gate is learned for all kinds and places, not a way for each.

Names are not all that a finding bears on: "the crop shows" goes on with "intact detail" or with a fault, and said the
former is said for good. What other tokens mean for a finding is learned, a number for each token and thing (`meant`).

Ratings are pointed at only: see `RatingPointer`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from snellen.rationale.lexicon import PLACE_WORDS, SEVERITY, wordings
from snellen.region import LOCAL_AREA, PLACES
from snellen.vocabulary import KINDS, NAMES

PARTS = (len(KINDS) + 1, 1, 4, 1, 1, len(KINDS) + 1, 1)
TOLD = sum(PARTS)
"""Numbers told of a look, see `Told`."""
UNLIKELY = 0.01
"""Added to the chance of every kind: the heads may be wrong."""
SEVERITY_SPREAD, PLACE_SPREAD, SIDE_SPREAD = 0.7, 0.2, 0.05
"""Standard deviations of what is told, in steps of severity and in fractions of the picture."""
WORST = -4.0
"""No token is made less likely than by this natural log, times the gate."""
UNLIKE = 0.3
"""How much less a part of the picture says of the whole, see `share_of`; chosen on held-out photographs."""
LEAST_SPREAD = 0.1
"""Of a rating's distribution, in MOS: less would claim to know what people do not agree on."""
MIDDLE = 3.0
"""Of the ratings."""
MOVERS = 32
"""Width of the network that says how far a finding moves the rating."""
GROUPS = (len(KINDS) + 1, len(SEVERITY), len(PLACE_WORDS))
"""Things that can be named, group by group: no fault and the kinds; severities; places and the whole picture."""
_NO_FAULT = ("Nothing wrong", "nothing wrong", "No flaw", "no flaw", "No fault", "no fault", "no single fault")
_NO_ISSUES = "]}</answer>"
"""What follows '"issues": [' when there are none; after issues it is part of a longer token."""
_ALSO = {"compression": ("mosquito noise",), "color cast": (" color ",)}
"""Further names: one holds another kind's, one is a token of its own after a word that ends without a space."""
_WHOLE = (
    "across the", "all over the", "throughout the", "whole picture", "whole image", "whole frame", "entire picture",
    "entire image", "entire frame",
)  # fmt: skip


class Told(NamedTuple):
    """What is told of N looks.

    kinds (N, K + 1): the chances of no fault and of each kind. severity (N, 1): of the worst, in fifths. box (N, 4):
    where that is, x0 y0 x1 y1 in fractions of the whole picture. shown (N, 1): how much of the picture's area was
    looked at. rating (N, 1): the plain head's. first_kinds, first_rating: what was told of the first look.
    """

    kinds: Tensor
    severity: Tensor
    box: Tensor
    shown: Tensor
    rating: Tensor
    first_kinds: Tensor
    first_rating: Tensor

    @staticmethod
    def of(numbers: Tensor) -> Told:
        """Take (N, TOLD) apart."""
        return Told(*torch.split(numbers, list(PARTS), dim=1))

    @property
    def likely(self) -> Tensor:
        """The chances of no fault and of each kind after both looks, their mean, (N, K + 1): a crop alone looks faulty
        more often than it is, and what the whole shows need not be in the crop."""
        return 0.5 * (self.kinds + self.first_kinds)

    @property
    def area(self) -> Tensor:
        """Of the box, (N, 1)."""
        return (self.box[:, 2:] - self.box[:, :2]).prod(dim=1, keepdim=True)


def names() -> list[set[str]]:
    """How each thing that can be named is called, in the order of GROUPS."""
    kinds = [{kind, *NAMES[kind], *_ALSO.get(kind, ())} for kind in KINDS]
    severities = [{SEVERITY[level], f'"severity": {level}'} for level in sorted(SEVERITY)]
    places = [{text.strip() for text in wordings(PLACE_WORDS[place])} for row in PLACES for place in row]
    return [set(_NO_FAULT), *kinds, *severities, *places, set(_WHOLE)]


def spoken_by(tokens: Sequence[str]) -> npt.NDArray[np.float32]:
    """(sum of GROUPS, V): 1 where a token names a thing; the longest name counts, so "motion blur" is no blur. The
    token that closes an empty list of issues names no fault: else a finding could keep kinds back, but not call for
    one."""
    called = {name: number for number, those in enumerate(names()) for name in those}
    pattern = re.compile("|".join(map(re.escape, sorted(called, key=len, reverse=True))))
    table = np.zeros((sum(GROUPS), len(tokens)), np.float32)
    for i, token in enumerate(tokens):
        for match in pattern.finditer(token):
            table[called[match.group()], i] = 1.0
        table[0, i] += token == _NO_ISSUES
    return table


class Pointer(nn.Module):
    """How much what was found favours each token. `name_tokens` has to be called once; loading weights restores it."""

    spoken: Tensor

    def __init__(self, vocabulary: int, width: int, first_number: int) -> None:
        super().__init__()
        self.gates = nn.Linear(width, len(GROUPS) + 4)
        nn.init.zeros_(self.gates.weight)
        nn.init.zeros_(self.gates.bias)
        self.meant = nn.Linear(sum(GROUPS), vocabulary, bias=False)
        nn.init.zeros_(self.meant.weight)
        self.meant_gates = nn.Linear(width, len(GROUPS))  # open at first: with both at nothing neither would learn
        nn.init.zeros_(self.meant_gates.weight)
        nn.init.ones_(self.meant_gates.bias)
        self.first_number = first_number
        self.register_buffer("spoken", torch.zeros(sum(GROUPS), vocabulary))

    def name_tokens(self, tokens: Sequence[str]) -> None:
        """Find out which tokens name what, from the text of each."""
        self.spoken.copy_(torch.from_numpy(spoken_by(tokens)))

    def forward(self, hidden: Tensor, told: Tensor) -> Tensor:
        """What to add to the logits: hidden (N, width), told (N, TOLD) -> (N, V)."""
        named, sides = self.gates(hidden).split([len(GROUPS), 4], dim=1)
        favour = in_favour(told)
        favoured: Tensor = (_by_thing(named) * favour) @ self.spoken
        favoured = favoured + self.meant(_by_thing(self.meant_gates(hidden)) * favour)
        off = (0.01 * torch.arange(101, device=told.device) - Told.of(told).box[..., None]) / SIDE_SPREAD
        places = (sides[..., None] * (-0.5 * off * off).clamp_min(WORST)).sum(dim=1)
        before, after = self.first_number, favoured.shape[1] - self.first_number - 101
        return favoured + nn.functional.pad(places, (before, after))


def _by_thing(gates: Tensor) -> Tensor:
    """A gate for each group -> one for each thing in it: (N, len(GROUPS)) -> (N, sum of GROUPS)."""
    return torch.cat([gates[:, i : i + 1].expand(-1, size) for i, size in enumerate(GROUPS)], dim=1)


class RatingPointer(nn.Module):
    """How likely each rating is: a normal distribution around a place between the plain head's ratings of the first
    look and of this one, moved by what was found.

    How much this look counts is a matter of how much of the picture it shows (`share_of`). How wide the distribution
    is, the decoder says from all that it has seen and written; how far to move, a small network says from the finding
    and that place alone: the chances of each kind, how severe, the area, and what was rated without them, for who rates
    a picture 2 has seen what is wrong with it. It may not say any number: free to, it learned the labels of the
    training pictures by heart and moved the rating of the second round at random (docs/log).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.say = nn.Linear(width, 1)
        last = nn.Linear(MOVERS, 1)
        self.move = nn.Sequential(nn.Linear(len(KINDS) + 4, MOVERS), nn.GELU(), last)
        for weight in (self.say.weight, self.say.bias, last.weight, last.bias):
            nn.init.zeros_(weight)

    def forward(self, hidden: Tensor, told: Tensor) -> Tensor:
        """hidden (N, width), told (N, TOLD) -> (N, 401), logits of the ratings 1.00 to 5.00."""
        spread = nn.functional.softplus(self.say(hidden)) + LEAST_SPREAD
        look = Told.of(told)
        share = share_of(look.shown)
        between = share * look.rating + (1.0 - share) * look.first_rating
        mean = between + self.move(torch.cat([look.likely, look.severity, look.area, between - MIDDLE], dim=1))
        # near an end of the scale a wide distribution would be cut off, and its expectation not be its mean
        spread = torch.minimum(spread, LEAST_SPREAD + 0.5 * torch.minimum(mean - 1.0, 5.0 - mean).clamp_min(0.0))
        grid = 1.0 + 0.01 * torch.arange(401, device=told.device)
        out: Tensor = -0.5 * ((grid - mean) / spread) ** 2
        return out


def share_of(shown: Tensor) -> Tensor:
    """How much a look at `shown` of the picture's area counts, and not the first look at all of it: 0..1/2.

    a / (2 a + UNLIKE (1 - a)), with a for `shown`: the weight that makes the best mean of two ratings, where the first
    errs with variance v and this one, which cannot know the rest of the picture, with v (1 + UNLIKE (1 - a) / a). Not
    learned: on the pictures that the plain head was taught with its first rating errs too little, so that no later look
    would be worth much.
    """
    return shown / (2.0 * shown + UNLIKE * (1.0 - shown))


def in_favour(told: Tensor) -> Tensor:
    """How much what is told speaks for each thing: (N, TOLD) -> (N, sum of GROUPS), natural logs, 0 for the likeliest
    kind and place and no less than WORST."""
    look = Told.of(told)
    kind = (look.likely + UNLIKELY).log()
    levels = torch.arange(1, len(SEVERITY) + 1, device=told.device)
    severity = -0.5 * ((5.0 * look.severity - levels) / SEVERITY_SPREAD) ** 2
    thirds = torch.tensor([1.0, 3.0, 5.0], device=told.device) / 6.0
    apart = ((look.box[:, :2] + look.box[:, 2:]) / 2)[..., None] - thirds  # (N, 2, 3): across, down
    near = -0.5 * (apart / PLACE_SPREAD) ** 2
    place = (near[:, 1, :, None] + near[:, 0, None, :]).flatten(1)  # rows first
    place = place - place.amax(dim=1, keepdim=True)
    whole = (look.area - LOCAL_AREA) / 0.05  # log odds of being called the whole picture
    place = torch.cat([place - nn.functional.softplus(whole), whole - nn.functional.softplus(whole)], dim=1)
    parts = [part - part.amax(dim=1, keepdim=True) for part in (kind, severity, place)]
    # a severity is only named with a fault: where none is likely, all are held back, and with them the naming
    parts[1] = parts[1] + (1.0 - look.likely[:, :1] + UNLIKELY).log().clamp_max(0.0)
    return torch.cat(parts, dim=1).clamp_min(WORST)
