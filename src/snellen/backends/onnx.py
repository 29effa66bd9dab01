"""The model in the wheel: snellen-1 through ONNX Runtime, no torch.

How it reads a conversation (its chat template): a user turn is <look>, the four coordinates of the region shown and
LOOK_TOKENS vectors of what the encoder sees there; the wording of the prompt is not read, because this model has
only ever been asked one question. An assistant turn is its tokens and <end>.
"""

from __future__ import annotations

import hashlib
import json
import os
import weakref
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from tokenizers import Tokenizer

from snellen.backend import (
    RATING_GRID,
    SNELLEN_1,
    Backend,
    BackendError,
    Calibration,
    Conversation,
    RatingDistribution,
    Reply,
    Sampling,
)
from snellen.backends.grammar import Grammar, called_places
from snellen.backends.pieces import Pieces
from snellen.backends.taught import PLACED, read_phrases
from snellen.image import GRID, View
from snellen.region import FULL, Region
from snellen.reply import RATING_PREFIX, Answer, labels, parse_reply
from snellen.snellen1.imagenet_view import imagenet_view
from snellen.snellen1.pooling import Floats, regrid
from snellen.vocabulary import KINDS
from snellen.zoom import ZOOM_PRESETS

GRID_SIDE = 5
"""Each small picture reaches the decoder as GRID_SIDE x GRID_SIDE pooled cell vectors."""
LOOK_TOKENS = 3 + 2 * GRID_SIDE * GRID_SIDE
"""Tokens that one look takes: the plain head's rating, the summary, the cells of overview and fragments, rows first,
and last what was found, which is also added to every word that follows."""
FIRST_NUMBERS = len(KINDS) + 2
"""So many numbers at the end of what is seen at a token are always the conversation's first look's: the chances of no
fault and of each kind, and the plain head's rating."""
BOX = slice(-FIRST_NUMBERS - 6, -FIRST_NUMBERS - 2)
"""Where the box of what was found stands there: before the FIRST_NUMBERS, how much was shown and the plain rating."""
SEVERE = BOX.start - 1
"""Where it says how severe that is, in fifths: before its box."""
CLOSER = 0.8
"""A closer look shows at most so much of what the view shows; else there is nothing new to see."""
GRAPHS = ("encoder", "glimpse", "connector", "decoder")
FILES = (*(f"{graph}.onnx" for graph in GRAPHS), "tokenizer.json", "phrases.txt")
"""What lies in a model's folder beside its card."""
RATING_MARK = '"rating": '


@dataclass(frozen=True, eq=False)
class LookVectors:
    """One look: what the decoder reads of it, vectors (LOOK_TOKENS, look_width); and what is rated without the decoder,
    1..5: by the encoder's own regression head alone, and by that and the glimpse's together, their mean, which is what
    the decoder is told."""

    vectors: Floats
    head: float
    ensemble: float


def token_id(tokenizer: Tokenizer, token: str) -> int:
    """The id of a token that must be there; BackendError when it is not."""
    found: int | None = tokenizer.token_to_id(token)
    if found is None:
        raise BackendError(f"the tokenizer has no token {token!r}: it is not one of snellen-1's make")
    return found


def texts_of(tokenizer: Tokenizer) -> list[str]:
    """What each token stands for, by id."""
    return [tokenizer.decode([i], skip_special_tokens=False) for i in range(tokenizer.get_vocab_size())]


def _part(box: npt.ArrayLike) -> Region:
    """What the fault heads say as x0 y0 x1 y1 of the picture."""
    return Region(*np.asarray(box, float).clip(0.0, 1.0).tolist())


def closer(view: View, box: npt.ArrayLike) -> View | None:
    """A look at that part of a crop in which a fault is suspected, `box`, x0 y0 x1 y1 of the picture. None after a look
    at the whole picture, which is what a crop is asked for, and where it would show hardly less."""
    if view.region == FULL:
        return None
    picture = view.picture
    part = ZOOM_PRESETS["snellen"].settle(_part(box), picture.width, picture.height)
    return picture.view(part) if part.area <= CLOSER * view.region.area else None


def turn_ids(tokenizer: Tokenizer, region: Region) -> list[int]:
    """The ids of the user turn that shows a region."""
    names = ["<look>", *(f"{value:.2f}" for value in (region.x0, region.y0, region.x1, region.y1))]
    return [token_id(tokenizer, name) for name in names] + [token_id(tokenizer, "<image>")] * LOOK_TOKENS


def earlier(conversation: Conversation) -> Answer | None:
    """What the last reply of a conversation decided; None where there is none. ReplyError if it cannot be read."""
    said = [turn.text for turn in conversation if turn.role == "assistant"]
    return parse_reply(said[-1], len(said)).answer if said else None


class BundledBackend(Backend):
    """snellen-1, or a model of its make in another `folder`. `threads`: so many small pictures are read at a time; None
    for as many as there are processors, of the three in a look."""

    plain_ratings = ("plain head", "plain ensemble")

    def __init__(self, folder: Path | None = None, threads: int | None = None) -> None:
        folder = folder or SNELLEN_1
        if not (folder / "card.json").is_file():
            raise BackendError(f"{folder} holds no model (no card.json); reinstall snellen, or export a model there")
        card = json.loads((folder / "card.json").read_text(encoding="utf8"))
        self.name: str = card["name"]
        self.version: str = card["version"]
        self.calibration = Calibration(**card["calibration"]) if card["calibration"] else None
        self.layers, self.heads, self.width = card["layers"], card["heads"], card["width"]
        self.look_width: int = card["look_width"]
        for file in FILES:
            if file not in card["sha256"]:
                raise BackendError(
                    f"{folder}: version {self.version} has no {file}; export it again, with runs/export.py"
                )
        for file, checksum in card["sha256"].items():
            path = folder / file
            if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != checksum:
                raise BackendError(f"{path} is not the file that the model card names; reinstall snellen")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # threads of several graphs, waiting, would be in each other's way
        self._readers = ThreadPoolExecutor(threads or min(3, os.cpu_count() or 1))
        self._encoder, self._glimpse, self._connector, self._decoder = (
            onnxruntime.InferenceSession(str(folder / f"{part}.onnx"), options, providers=["CPUExecutionProvider"])
            for part in GRAPHS
        )
        if "near" not in (one.name for one in self._connector.get_inputs()):
            raise BackendError(
                f"{folder}: version {self.version} cannot look closer; export it again, with runs/export.py"
            )
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._image, self._end, self._first_rating = (
            token_id(self.tokenizer, token) for token in ("<image>", "<end>", "1.00")
        )
        self._pieces = texts_of(self.tokenizer)
        self._form = Pieces(self._pieces, token_id(self.tokenizer, "0.00"), self._end, read_phrases(folder))
        self._seen: weakref.WeakKeyDictionary[View, dict[bool, LookVectors]] = weakref.WeakKeyDictionary()

    def cells(self, picture: npt.NDArray[np.uint8], mirrored: bool = False) -> Floats:
        """All numbers of the cells of one small picture (h, w, 3), (C, GRID, GRID). One at a time, so there are no
        batch effects. mirrored: the encoder sees it so; the cells lie as in the picture."""
        shown = _turned(picture, mirrored)
        said = regrid(self._encoder.run(None, {"picture": shown[None]})[0][0], GRID, GRID)
        return said[..., ::-1] if mirrored else said

    def see(self, view: View, mirrored: bool = True) -> LookVectors:
        """Look once; kept as long as the view lives. Both small pictures and the glimpse are read as they lie and, if
        `mirrored`, mirrored too, and what is said is averaged: what an encoder makes of a picture lying one way rather
        than the other cancels."""
        seen = self._seen.setdefault(view, {})
        if mirrored not in seen:
            seen[mirrored] = self._look(view, (False, True) if mirrored else (False,))
        return seen[mirrored]

    def _look(self, view: View, ways: Sequence[bool]) -> LookVectors:
        reads = self._reads(view, ways)  # what takes longest begins first
        small = imagenet_view(view.overview)
        glimpses = [
            self._readers.submit(self._glimpse.run, None, {"picture": _turned(small, mirrored)[None]})
            for mirrored in ways
        ]
        seen = _said(view, reads)
        rated = np.array([one.result()[0] for one in glimpses], np.float32).mean(axis=0)
        vectors, rating = self._connect(*seen, rated, *seen)
        # what is in a crop is found by looking closer still
        if near := closer(view, vectors[-1, BOX]) if len(ways) > 1 else None:
            vectors, rating = self._connect(*seen, rated, *_said(near, self._reads(near, ways)))
        head, ensemble = (float(np.clip(one, 1.0, 5.0)) for one in (2.0 * rating - rated[0], rating))
        return LookVectors(vectors, head, ensemble)

    def _reads(self, view: View, ways: Sequence[bool]) -> list[tuple[Future[Floats], Future[Floats]]]:
        """The reading of a look, begun: for each way, of both its small pictures. Fragments are at hand; while they are
        read, the overview is scaled down."""
        fragments = [self._readers.submit(self.cells, view.fragments, mirrored) for mirrored in ways]
        overviews = [self._readers.submit(self.cells, view.overview, mirrored) for mirrored in ways]
        return list(zip(overviews, fragments, strict=True))

    def _connect(
        self, cells: Floats, region: Floats, rated: Floats, near: Floats, near_region: Floats
    ) -> tuple[Floats, float]:
        """The vectors of one look and its plain rating; the finding is that of `near`."""
        inputs = {"cells": cells, "region": region, "glimpse": rated, "near": near, "near_region": near_region}
        vectors, rating = self._connector.run(None, inputs)
        return vectors[0], float(rating[0])

    def vectors(self, view: View, mirrored: bool = True) -> Floats:
        """What the decoder reads of a look, (LOOK_TOKENS, look_width)."""
        return self.see(view, mirrored).vectors

    def encode(self, conversation: Conversation, mirrored: bool = True) -> tuple[list[int], Floats]:
        """A conversation as token ids (T,) and the vectors of its looks in order (n LOOK_TOKENS, look_width)."""
        ids: list[int] = []
        vectors = []
        for turn in conversation:
            if turn.role == "assistant":
                ids += [*(turn.token_ids or self.tokenizer.encode(turn.text).ids), self._end]
                continue
            for view in turn.views:
                ids += turn_ids(self.tokenizer, view.region)
                vectors.append(self.vectors(view, mirrored))
        return ids, np.concatenate(vectors) if vectors else np.zeros((0, self.look_width), np.float32)

    def reply(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        """See `snellen.backends.Backend.reply`. Rows of a batch are padded on the left and do not see each other.

        The rating distribution is read before the words, as if the reply began with RATING_PREFIX: words are one sample
        of what could be said, and a distribution read after them would be conditional on that sample.
        """
        if not conversations:
            return []
        batch, past = self._batch(conversations), self._no_past(len(conversations))
        forced = self._more(batch, [self.tokenizer.encode(RATING_PREFIX).ids] * len(conversations))
        logits, _, past = self._step(batch, past)
        ratings = _distributions(self._step(forced, past)[1])  # only looked up: the words follow the conversation
        self._form.forget()
        grammars = [self.grammar(turns, rating.mean) for turns, rating in zip(conversations, ratings, strict=True)]
        writers = [_Writer(self, sampling, *both) for both in zip(ratings, grammars, strict=True)]
        while True:
            chosen = [writer.write(row) for writer, row in zip(writers, logits, strict=True)]
            if all(writer.finish for writer in writers):
                return [writer.reply() for writer in writers]
            batch = self._more(batch, [[token] for token in chosen])
            logits, _, past = self._step(batch, past)

    def rate(self, conversations: Sequence[Conversation]) -> list[Reply]:
        """See `Backend.rate`; views are read unmirrored, in half the time."""
        if not conversations:
            return []
        batch = self._batch(conversations, mirrored=False)
        forced = self._more(batch, [self.tokenizer.encode(RATING_PREFIX).ids] * len(conversations))
        rated = self._step(_joined(batch, forced), self._no_past(len(conversations)))[1]
        return [Reply("", rating=rating, finish="rating") for rating in _distributions(rated)]

    def plain_rating(self, view: View, name: str) -> float:
        """See `Backend.plain_rating`; the view is read unmirrored."""
        seen = self.see(view, mirrored=False)
        return {"plain head": seen.head, "plain ensemble": seen.ensemble}[name]

    def grammar(self, conversation: Conversation, rating: float) -> Grammar:
        """What the next reply of a conversation can be, which gives this rating."""
        rounds = sum(turn.role == "user" for turn in conversation)
        before = earlier(conversation)
        rated, listed = None, None
        if before is not None:
            rated, listed = round(100 * before.rating), {issue.kind: issue.severity for issue in before.issues}
        kind, severe, places = self._found(conversation, before)
        return Grammar(self._form, labels(rounds), rating, kind, severe, rated, listed, places)

    def _found(
        self, conversation: Conversation, before: Answer | None
    ) -> tuple[str | None, int | None, frozenset[str]]:
        """The kind of fault that the first look and the last show, how severe it is in the last, and what words may
        call its place; no kind where no fault is likelier than any, and then in a crop its place and those of what was
        listed `before`. By the mean of their chances, since a crop alone looks faulty more often than it is, and what
        the whole shows need not be in the crop."""
        views = [view for turn in conversation for view in turn.views]
        first, last = (self.vectors(view)[-1] for view in (views[0], views[-1]))
        chances = slice(-FIRST_NUMBERS, -1)
        kind = (None, *KINDS)[int(np.argmax(first[chances] + last[chances]))]
        if kind is None:
            shown = [views[-1].region, *(issue.region for issue in before.issues)] if before else []
            return None, None, frozenset[str]().union(*(region.places for region in shown)) or PLACED
        return kind, int(np.clip(np.rint(5.0 * last[SEVERE]), 1, 5)), called_places(_part(last[BOX]), views[-1].region)

    def _batch(self, conversations: Sequence[Conversation], mirrored: bool = True) -> dict[str, npt.NDArray[Any]]:
        """The decoder's inputs for whole conversations, padded on the left to one length."""
        rows = [self.encode(conversation, mirrored) for conversation in conversations]
        longest = max(len(ids) for ids, _ in rows)
        ids = np.zeros((len(rows), longest), np.int64)
        keys = np.zeros((len(rows), longest), bool)
        looks = np.zeros((len(rows), longest, self.look_width), np.float32)
        for i, (row, vectors) in enumerate(rows):
            ids[i, longest - len(row) :] = row
            keys[i, longest - len(row) :] = True
            seen = np.concatenate([np.zeros((1, self.look_width), np.float32), vectors])
            number = np.cumsum(ids[i] == self._image)
            looks[i] = seen[number]  # after a look, its last vector
            if len(vectors):
                looks[i, number > 0, -FIRST_NUMBERS:] = vectors[0, -FIRST_NUMBERS:]
        positions = np.maximum(np.cumsum(keys, axis=1) - 1, 0)
        return {"ids": ids, "looks": looks, "positions": positions, "keys": keys}

    def _more(self, batch: dict[str, npt.NDArray[Any]], words: Sequence[Sequence[int]]) -> dict[str, npt.NDArray[Any]]:
        """The decoder's inputs for more tokens, as many in each row, after those of `batch`."""
        ids = np.array(words, np.int64)
        return {
            "ids": ids,
            "looks": np.repeat(batch["looks"][:, -1:], ids.shape[1], axis=1),
            "positions": batch["positions"][:, -1:] + 1 + np.arange(ids.shape[1]),
            "keys": np.concatenate([batch["keys"], np.ones(ids.shape, bool)], axis=1),
        }

    def _no_past(self, rows: int) -> Any:
        empty = np.zeros((self.layers, 2, rows, self.heads, 0, self.width // self.heads), np.float32)
        return onnxruntime.OrtValue.ortvalue_from_numpy(empty)

    def _step(self, batch: dict[str, npt.NDArray[Any]], past: Any) -> tuple[Floats, Floats, Any]:
        """One pass of the decoder; the cache stays inside the runtime, so that it is never copied to Python."""
        feed = {name: onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(a)) for name, a in batch.items()}
        *both, present = self._decoder.run_with_ort_values(["logits", "ratings", "present"], feed | {"past": past})
        logits, ratings = (np.array(one.numpy()) for one in both)  # else a view of memory that ends with the value
        return logits, ratings, present


class _Writer:
    """One reply in the making: chooses tokens and keeps their log-probabilities.

    Greedy decoding writes the expected rating, not the likeliest one: the number in the reply, which the next round
    reads and quotes, is then the score of the round. What would break the protocol's form cannot be chosen
    (`Grammar`).
    """

    def __init__(
        self, backend: BundledBackend, sampling: Sampling, rating: RatingDistribution, grammar: Grammar
    ) -> None:
        self.backend, self.sampling, self.rating, self.grammar = backend, sampling, rating, grammar
        self.tail = ""
        self.random = np.random.default_rng(sampling.seed)
        self.ids: list[int] = []
        self.logprobs: list[float] = []
        self.finish: str = ""

    def write(self, logits: Floats) -> int:
        """Take the logits (V,) of the next place, return the token that stands there."""
        if self.finish:
            return self.backend._end
        logits = np.where(self.grammar.allowed(), logits, np.float32(-np.inf))
        token, logprob = _choose(logits, self.sampling, self.random)
        if self.sampling.temperature == 0.0 and self.tail.endswith(RATING_MARK):
            token = self.backend._first_rating + round(100 * (self.rating.mean - 1.0))
            logprob = float(np.log(_softmax(logits)[token]))
        if token == self.backend._end:
            self.finish = "stop"
            return token
        self.ids.append(token)
        self.logprobs.append(logprob)
        piece = self.backend._pieces[token]
        self.tail = (self.tail + piece)[-64:]
        self.grammar.add(token)
        if len(self.ids) >= self.sampling.max_tokens:
            self.finish = "length"
        return token

    def reply(self) -> Reply:
        """The finished reply; <end> is kept out of text and tokens."""
        text = self.backend.tokenizer.decode(self.ids, skip_special_tokens=False)
        finish: Any = self.finish
        return Reply(text, tuple(self.ids), tuple(self.logprobs), self.rating, finish)


def _said(view: View, reads: Sequence[Sequence[Future[Floats]]]) -> tuple[Floats, Floats]:
    """All numbers of the cells of a look, (1, 2, C, GRID, GRID), once they are there, and its region, (1, 4)."""
    cells = np.array([[one.result() for one in both] for both in reads], np.float32).mean(axis=0)
    return cells[None], np.array([view.region.to_list()], np.float32)


def _turned(picture: npt.NDArray[np.uint8], mirrored: bool) -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(picture[:, ::-1]) if mirrored else picture


def _joined(batch: dict[str, npt.NDArray[Any]], more: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """The decoder's inputs for a batch and what follows it, in one pass; `keys` of what follows are of both already."""
    return {name: one if name == "keys" else np.concatenate([batch[name], one], axis=1) for name, one in more.items()}


def _distributions(rated: Floats) -> list[RatingDistribution]:
    return [RatingDistribution(RATING_GRID, _softmax(row)) for row in rated]


def _softmax(logits: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    exact = np.exp(logits.astype(np.float64) - float(logits.max()))
    out: npt.NDArray[np.float64] = exact / exact.sum()
    return out


def _choose(logits: Floats, sampling: Sampling, random: np.random.Generator) -> tuple[int, float]:
    """A token and its log-probability under the distribution it was drawn from (temperature 1 for greedy)."""
    chances = _softmax(logits / (sampling.temperature or 1.0))
    if sampling.temperature == 0.0:
        token = int(logits.argmax())
        return token, float(np.log(chances[token]))
    order = np.argsort(-chances, kind="stable")
    kept = order[: int(np.searchsorted(np.cumsum(chances[order]), sampling.top_p)) + 1]
    share = chances[kept] / chances[kept].sum()
    place = int(random.choice(len(kept), p=share))
    return int(kept[place]), float(np.log(share[place]))
