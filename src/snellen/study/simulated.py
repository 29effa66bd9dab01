"""Simulated raters with known bias, noise and cheating: to prove estimators, and to try a study before people do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Cheat = Literal["", "random", "constant", "middle", "reversed", "half"]
CHEATS: tuple[Cheat, ...] = ("random", "constant", "middle", "reversed", "half")
"""Cheats: any answer; the same always; 3 with some 2 and 4; the scale upside down; honest for half of
the session, then any answer."""


@dataclass(frozen=True)
class SimulatedRater:
    """A rater. bias, noise: in rating steps, see `snellen.study.rater_model`. cheat: "" for an honest rater."""

    bias: float = 0.0
    noise: float = 0.6
    cheat: Cheat = ""

    def rate(self, quality: float, place: float, rng: np.random.Generator) -> int:
        """Return a rating 1..5 of a picture of that quality. place: 0..1, how far the session is."""
        if self.cheat == "constant":
            return 4
        if self.cheat == "random" or (self.cheat == "half" and place > 0.5):
            return int(rng.integers(1, 6))
        if self.cheat == "middle":
            return int(rng.choice([2, 3, 4], p=[0.2, 0.6, 0.2]))
        felt = quality + self.bias + self.noise * rng.standard_normal()
        level = int(np.clip(np.floor(felt + 0.5), 1, 5))
        return 6 - level if self.cheat == "reversed" else level

    def chooses_first(self, first: float, second: float, rng: np.random.Generator) -> bool:
        """Return True where the rater prefers the first of two pictures of these qualities; never a tie."""
        if self.cheat in ("random", "half", "middle"):
            return bool(rng.integers(0, 2))
        if self.cheat == "constant":
            return True
        apart = first - second + self.noise * np.sqrt(2.0) * rng.standard_normal()
        return bool((apart > 0) != (self.cheat == "reversed"))


def draw_raters(count: int, rng: np.random.Generator, cheaters: int = 0) -> list[SimulatedRater]:
    """Return `count` raters, the first `cheaters` of which cheat, in turn in each way.

    Bias is normal with standard deviation 0.35, noise log-normal around 0.6 (sigma 0.25), both in rating steps: our
    choice.
    """
    return [
        SimulatedRater(
            float(rng.normal(0.0, 0.35)),
            float(0.6 * np.exp(rng.normal(0.0, 0.25))),
            CHEATS[at % len(CHEATS)] if at < cheaters else "",
        )
        for at in range(count)
    ]


def rate_all(quality: npt.ArrayLike, raters: list[SimulatedRater], rng: np.random.Generator) -> Floats:
    """Return ratings (pictures, raters), each rater in a random order of the pictures."""
    truth = np.asarray(quality, np.float64)
    table = np.empty((len(truth), len(raters)))
    for column, rater in enumerate(raters):
        for place, row in enumerate(rng.permutation(len(truth))):
            table[row, column] = rater.rate(float(truth[row]), place / max(1, len(truth) - 1), rng)
    return table
