"""Action tokens of snellen-1's decoder, and the state machine of which may come next. No torch here.

The actions of a round, in order: MOVE (later rounds only), TOOL (crop or final; in the last allowed round final), and
for a crop the sides x0, y0, x1, y1 of its box, in tenths of the picture.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from snellen.region import Region
from snellen.snellen1.layout import GRID_SIDE, MOST_MOVE_STEPS, MOVE_STEP, Decision

PAD, VIEW, PLACE, CROP, FINAL = range(5)
"""Padding; begin of a view; place of a view's vector; the two tools."""
SIDE = 5
"""Token of the side 0.0; 1.0 is ten further on."""
MOVE = SIDE + 11
"""Token of the largest move down; the largest move up is 2 MOST_MOVE_STEPS further on."""
VOCABULARY = MOVE + 2 * MOST_MOVE_STEPS + 1
PLACES = 2 + GRID_SIDE * GRID_SIDE
"""Vectors of a view: its summary, its cells, its finding."""
LONGEST = 1 + PLACES + 6
"""Most tokens of a round."""


def allowed(written: Sequence[int], later: bool, last: bool) -> npt.NDArray[np.bool_]:
    """Return which tokens may follow, (VOCABULARY,) bool; none where the round is complete.

    written: the action tokens of this round so far. later: this is not the first round. last: no round follows it.
    """
    mask = np.zeros(VOCABULARY, bool)
    at = len(written) - later
    if at < 0:
        mask[MOVE:] = True
    elif at == 0:
        mask[[CROP, FINAL]] = not last, True
    elif written[later] == CROP and at <= 2:  # x0 and y0 leave room for a side after them
        mask[SIDE : SIDE + 10] = True
    elif written[later] == CROP and at <= 4:
        mask[written[-2] + 1 : SIDE + 11] = True
    return mask


def row(rounds: Sequence[Sequence[int]]) -> tuple[list[int], list[int]]:
    """Return token ids and positions of a conversation, given the action tokens of each round. Positions count from 0
    in the first round and from LONGEST in every later one."""
    parts = [[VIEW, *[PLACE] * PLACES, *actions] for actions in rounds]
    ids = [token for part in parts for token in part]
    return ids, [i + LONGEST * (number > 0) for number, part in enumerate(parts) for i in range(len(part))]


def encode(decision: Decision, later: bool) -> list[int]:
    """Return the action tokens of a decision; a box is rounded to tenths and is at least one tenth wide and high."""
    steps = int(np.clip(np.rint(decision.move / MOVE_STEP), -MOST_MOVE_STEPS, MOST_MOVE_STEPS))
    ids = [MOVE + MOST_MOVE_STEPS + steps] if later else []
    if decision.region is None:
        return [*ids, FINAL]
    r = decision.region
    x0, y0 = (min(round(10 * side), 9) for side in (r.x0, r.y0))
    x1, y1 = max(round(10 * r.x1), x0 + 1), max(round(10 * r.y1), y0 + 1)
    return [*ids, CROP, *(SIDE + side for side in (x0, y0, x1, y1))]


def decode(ids: Sequence[int], later: bool) -> Decision:
    """Return the decision that the action tokens of a complete round stand for. ValueError where it is not complete or
    a token was not allowed."""
    for i, token in enumerate(ids):
        if not allowed(ids[:i], later, last=False)[token]:
            raise ValueError(f"action token {token} is not allowed at place {i} of {list(ids)}")
    if allowed(ids, later, last=False).any():
        raise ValueError(f"the round {list(ids)} is not complete")
    move = MOVE_STEP * (ids[0] - MOVE - MOST_MOVE_STEPS) if later else 0.0
    if ids[later] == FINAL:
        return Decision("final", None, move)
    return Decision("crop", Region(*((side - SIDE) / 10.0 for side in ids[later + 1 :])), move)
