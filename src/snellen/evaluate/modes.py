"""Modes: how a model is run on a picture. `two rounds` is the default; the others switch parts of it off."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from snellen.backend import Backend, Conversation, Reply, Sampling
from snellen.image import Picture, View
from snellen.region import Region
from snellen.zoom import Zoom

TWO, ONE, ONLY = "two rounds", "one round", "score only"
RANDOM, CENTRAL = "random crop", "central crop"
CONTROLS = (RANDOM, CENTRAL)
"""Two rounds in which the crop lies elsewhere, see `ControlCrop`."""
MODES = (TWO, ONE, ONLY, *CONTROLS)


class SharedFirstRound(Backend):
    """A backend that computes each picture's first view and greedy or seeded first reply once, for all modes.

    Results are those of the wrapped backend, since a first reply does not depend on later rounds. It holds every
    picture that it was given: use one for each batch.
    """

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.name, self.version = backend.name, backend.version
        self.calibration, self.score_calibration = backend.calibration, backend.score_calibration
        self.plain_ratings = backend.plain_ratings
        self.reads_prompts, self.batch_size, self.details = backend.reads_prompts, backend.batch_size, backend.details
        self.writes_freely, self.photographs_only = backend.writes_freely, backend.photographs_only
        self.views: dict[Picture, View] = {}
        self.replies: dict[Picture, Reply] = {}

    def view(self, picture: Picture) -> View:
        """Return the view of the whole picture."""
        if picture not in self.views:
            self.views[picture] = picture.view()
        return self.views[picture]

    def reply(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        """See `Backend.reply`; the sampling must be the same in all calls."""
        shared = [self._shared(conversation) for conversation in conversations]
        if any(len(conversation) > 1 for conversation in shared):
            return self.backend.reply(shared, sampling)
        pictures = [conversation[0].views[0].picture for conversation in conversations]
        unknown = [i for i, picture in enumerate(pictures) if picture not in self.replies]
        if unknown:
            replies = self.backend.reply([shared[i] for i in unknown], sampling)
            self.replies |= {pictures[i]: reply for i, reply in zip(unknown, replies, strict=True)}
        return [self.replies[picture] for picture in pictures]

    def rate(self, conversations: Sequence[Conversation]) -> list[Reply]:
        """See `Backend.rate`."""
        return self.backend.rate([self._shared(conversation) for conversation in conversations])

    def rate_levels(self, conversations: Sequence[Conversation], stem: str, levels: Mapping[str, float]) -> list[Reply]:
        """See `Backend.rate_levels`."""
        return self.backend.rate_levels([self._shared(conversation) for conversation in conversations], stem, levels)

    def box_scale(self, view: View) -> tuple[float, float] | None:
        """See `Backend.box_scale`."""
        return self.backend.box_scale(view)

    def plain_rating(self, view: View, name: str) -> float:
        """See `Backend.plain_rating`."""
        return self.backend.plain_rating(view, name)

    def _shared(self, conversation: Conversation) -> Conversation:
        first, *rest = conversation
        if len(first.views) != 1 or first.views[0].fit is not None:  # protocol zoom-iqa words the turns otherwise
            return conversation
        return (replace(first, views=(self.view(first.views[0].picture),)), *rest)


@dataclass(frozen=True)
class ControlCrop:
    """A zoom rule that shows a crop of the same size at another place: the control for where the model zooms.

    Whether to zoom, and how large the crop is, stays the model's decision, and the reply keeps the box that the model
    wrote.

    Attributes:
        place: RANDOM or CENTRAL.
        policy: the zoom policy of the protocol, which gives the crop its size.
        name: name of the picture; it seeds the random place, so that every run draws the same.
    """

    place: str
    policy: Zoom
    name: str

    def __post_init__(self) -> None:
        if self.place not in CONTROLS:
            raise ValueError(f"place is one of {', '.join(CONTROLS)}, not {self.place!r}")

    def settle(self, region: Region | None, width: int, height: int) -> Region:
        """Return the crop to show; see `snellen.zoom.Zoom`."""
        shown = self.policy.settle(region, width, height)
        x, y = (1 - shown.width) / 2, (1 - shown.height) / 2
        if self.place == RANDOM:
            rng = np.random.default_rng(zlib.crc32(self.name.encode()))
            x, y = rng.uniform(0, 1 - shown.width), rng.uniform(0, 1 - shown.height)
        return Region(x, y, min(1.0, x + shown.width), min(1.0, y + shown.height))
