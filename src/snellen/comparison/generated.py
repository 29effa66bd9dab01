"""A pseudo-reference where there is no true one: the picture after the repairs that judge and check accept.

It is no original. What the repairs do not undo, it has too, so a comparison with it finds at most what was repaired.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from snellen.assessor import Assessor
from snellen.comparison.judge import Judged, mixture
from snellen.comparison.preference import difference_interval
from snellen.image import Picture
from snellen.restoration.learned.packages import learned_tools
from snellen.restoration.loop import Restoration, restore
from snellen.restoration.toolbox import TOOLS

REFERENCE_STD = 0.85
"""Standard deviation of the judge's score of the true original around that of a pseudo-reference, MOS points: 1.645 of
it hold 18 of the 20 repaired pictures of half 0 of `recipes/bench/reference.py generated`, and all 15 of half 1."""


@dataclass(frozen=True, eq=False)
class Generated:
    """A pseudo-reference.

    Attributes:
        restoration: its making: assessments before and after, and every step.
        scores: the judge's scores of the picture and of the pseudo-reference, 1..5.
        stds: standard deviations of both ratings, MOS points; 0 where the model gives none.
    """

    restoration: Restoration
    scores: tuple[float, float]
    stds: tuple[float, float]

    @property
    def reference(self) -> Picture:
        """The restored picture."""
        return self.restoration.picture

    @property
    def repaired(self) -> bool:
        """True where anything was repaired; otherwise the pseudo-reference is the picture itself."""
        return bool(self.restoration.accepted)

    @property
    def distance(self) -> float:
        """The judge's score of the pseudo-reference less that of the picture, MOS points."""
        return self.scores[1] - self.scores[0]

    @property
    def interval(self) -> tuple[float, float]:
        """90 % interval of the distance to the unknown original, MOS points.

        The variances of both ratings and of the pseudo-reference, REFERENCE_STD squared, are added, so that it is wider
        than that of a comparison with a true reference.
        """
        return difference_interval(self.distance, self.stds[0], (self.stds[1] ** 2 + REFERENCE_STD**2) ** 0.5)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict: repaired, scores, distance, its interval, REFERENCE_STD, accepted steps."""
        return {
            "repaired": self.repaired,
            "scores": {"picture": round(self.scores[0], 4), "pseudo_reference": round(self.scores[1], 4)},
            "distance": round(self.distance, 4),
            "distance_interval": [round(end, 4) for end in self.interval],
            "reference_std": REFERENCE_STD,
            "steps": [one.to_dict() for one in self.restoration.accepted],
            "stopped": self.restoration.stopped,
        }


def generate_reference(picture: Picture, assessor: Assessor) -> Generated:
    """Restore a picture with all tools that are installed and return the result as its pseudo-reference.

    Raises:
        ValueError: the judge gives no score for the picture; the text holds the reason.
        BackendError: the model does not answer.
    """
    restoration = restore(picture, assessor, (*learned_tools(), *TOOLS))
    scores, stds = [], []
    for one in (restoration.first, restoration.last):
        assert one.score is not None  # restore raises without
        scores.append(one.score)
        stds.append(Judged(one, (), *mixture(assessor, one.steps[-1:])).std)
    return Generated(restoration, (scores[0], scores[1]), (stds[0], stds[1]))
