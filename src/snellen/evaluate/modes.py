"""The ways to get a score for one picture: the model with its own zoom, with less, with other crops, without words.

Peers are ways too: a way that is none of `WAYS` is the name of a peer, see `snellen.evaluate.baselines`.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from snellen.backend import Backend, Conversation, Reply, Sampling
from snellen.image import Picture, View
from snellen.region import Region
from snellen.reply import Answer, ReplyError, parse_reply, render_reply
from snellen.zoom import ZoomPolicy

TWO, ONE, ONLY = "two rounds", "one round", "score only"
PLAIN, ENSEMBLE = "plain head", "plain ensemble"
HEADS = (PLAIN, ENSEMBLE)
"""Without the decoder, which only snellen-1 has: the plain regression head on the same encoder, and its mean with the
heads of the glimpse, which is what the decoder is told."""
RANDOM, CENTRAL, FULL_CROP = "random crop", "central crop", "full crop"
CONTROLS = (RANDOM, CENTRAL, FULL_CROP)
"""Where the first reply asks for a crop, another one is shown; see `OtherCrop`."""
WAYS = (TWO, ONE, ONLY, *HEADS, *CONTROLS)
"""Everything but peers."""


class OneFirstLook(Backend):
    """A backend that looks at each picture, and answers its first round, once, so that the ways to go on share it.

    Nothing changes but time: a first reply does not depend on what comes after it. Keeps every picture it saw, so use
    one for a batch.
    """

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.name, self.version = backend.name, backend.version
        self.calibration, self.plain_ratings = backend.calibration, backend.plain_ratings
        self.views: dict[Picture, View] = {}
        self.replies: dict[Picture, Reply] = {}

    def view(self, picture: Picture) -> View:
        """Return the view of the whole picture that all modes share."""
        if picture not in self.views:
            self.views[picture] = picture.view()
        return self.views[picture]

    def box_scale(self, view: View) -> tuple[float, float] | None:
        """See `Backend.box_scale`."""
        return self.backend.box_scale(view)

    def plain_rating(self, view: View, name: str) -> float:
        """See `Backend.plain_rating`."""
        return self.backend.plain_rating(view, name)

    def rate(self, conversations: Sequence[Conversation]) -> list[Reply]:
        """See `Backend.rate`."""
        return self.backend.rate([self._shared(conversation) for conversation in conversations])

    def _shared(self, conversation: Conversation) -> Conversation:
        first, *rest = conversation
        return (replace(first, views=(self.view(first.views[0].picture),)), *rest)

    def reply(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        """See `Backend.reply`."""
        pictures = [conversation[0].views[0].picture for conversation in conversations]
        shown = [self._shared(conversation) for conversation in conversations]
        if any(len(conversation) > 1 for conversation in shown):
            return self.backend.reply(shown, sampling)
        unknown = [i for i, picture in enumerate(pictures) if picture not in self.replies]
        if unknown:
            said = self.backend.reply([shown[i] for i in unknown], sampling)
            self.replies |= {pictures[i]: reply for i, reply in zip(unknown, said, strict=True)}
        return [self.replies[picture] for picture in pictures]


class OtherCrop(Backend):
    """A control: where the first reply asks for a crop, one at another `place` is asked for instead.

    RANDOM and CENTRAL have the size that would be shown (`zoom` says how a box is widened); RANDOM is drawn from
    the picture's own pixels, so it is the same every time. FULL_CROP is as much of the picture as the zoom policy
    lets through, at most all but a hundredth at each edge, since what was seen already is not shown again. The
    words of the reply stay as they were. Replies that ask for no crop, or cannot be read, are passed on.
    """

    def __init__(self, backend: Backend, place: str, zoom: ZoomPolicy) -> None:
        if place not in CONTROLS:
            raise ValueError(f"place is one of {', '.join(CONTROLS)}, not {place!r}")
        self.backend, self.place, self.zoom = backend, place, zoom
        self.name, self.version = backend.name, backend.version
        self.calibration = backend.calibration

    def rate(self, conversations: Sequence[Conversation]) -> list[Reply]:
        """See `Backend.rate`."""
        return self.backend.rate(conversations)

    def box_scale(self, view: View) -> tuple[float, float] | None:
        """See `Backend.box_scale`."""
        return self.backend.box_scale(view)

    def reply(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        """See `Backend.reply`."""
        replies = self.backend.reply(conversations, sampling)
        return [
            self._moved(reply, conversation[0].views[0].picture) if len(conversation) == 1 else reply
            for reply, conversation in zip(replies, conversations, strict=True)
        ]

    def _moved(self, reply: Reply, picture: Picture) -> Reply:
        try:
            parsed = parse_reply(reply.text, 1)
        except ReplyError:
            return reply
        asked = parsed.answer.region
        if asked is None:
            return reply
        answer: Answer = replace(parsed.answer, region=other_region(self.zoom.widened(asked), self.place, picture))
        # no token ids: they are the model's own words, and these are not
        return Reply(render_reply(parsed.rationale, answer, 1), rating=reply.rating, finish=reply.finish)


def other_region(asked: Region, place: str, picture: Picture) -> Region:
    """The crop of a control in place of the one `asked` for."""
    if place == FULL_CROP:
        return Region(0.01, 0.01, 0.99, 0.99)
    x, y = (1 - asked.width) / 2, (1 - asked.height) / 2
    if place == RANDOM:
        rng = np.random.default_rng(zlib.crc32(picture.pixels[::64, ::64].tobytes()))
        x, y = rng.uniform(0, 1 - asked.width), rng.uniform(0, 1 - asked.height)
    return Region(x, y, min(1.0, x + asked.width), min(1.0, y + asked.height))
