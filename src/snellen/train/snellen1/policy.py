"""The policy: the decoder in training, as a Backend, so that rollouts go through the one Assessor.

What it does, and so what its actions are. The shipped model reads the rating of a round before its words, as if the
reply began with RATING_PREFIX, then writes its words, and writes that rating where its answer names one; what would
break the form of a reply cannot be chosen (`snellen.backends.onnx`, `snellen.backends.grammar`). The policy does the
same, or else training would move what nobody reads:

- the words of a reply, its boxes and issues are drawn one by one, given the conversation and the words before them, out
  of what the grammar allows there: their log-probabilities are those of the distribution over the allowed tokens alone;
- where one token only is allowed, as in the fixed parts and at the end, there is no choice and so no action;
- the rating is drawn from the distribution before the words, over the 401 ratings, given the conversation alone. Its
  log-probability is that one, and where the answer names it, it is written, not drawn: there it is context.

So a rating never learns from words that happened to stand before it, and words learn from a rating only by what they
lead to: the box that is looked at next, and the next round's rating, which does read them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional as F

from snellen.backend import RATING_GRID, Conversation, RatingDistribution, Reply, Sampling
from snellen.backends.grammar import Grammar
from snellen.backends.onnx import BundledBackend, texts_of, token_id
from snellen.backends.pieces import Pieces
from snellen.backends.taught import Mask, Phrase, read_phrases
from snellen.image import View
from snellen.region import Region
from snellen.reply import RATING_PREFIX
from snellen.snellen1.decoder import Decoder, Layer
from snellen.snellen1.perception import Vision
from snellen.snellen1.pooling import Floats
from snellen.snellen1.rating_head import TOLD
from snellen.train.snellen1.feature_cache import LookCache

IMPOSSIBLE = -1e9
RATING = 0
"""Number, in `MaskTable`, of the mask that allows the ratings and nothing else."""


@dataclass(frozen=True)
class Draft(Reply):
    """A reply with what training needs. masks: for each of `token_ids` the number of the mask it was chosen under, see
    `MaskTable`. rated: place in `token_ids` where the round's rating was written, whose entry in `logprobs` is that of
    its draw; None when the reply was cut off before."""

    masks: tuple[int, ...] = ()
    rated: int | None = None


class MaskTable:
    """The few different masks of a grammar, numbered as they come, so that an action remembers a number only."""

    def __init__(self, form: Pieces) -> None:
        self.form = form
        self.choices: list[int] = []
        """Of each mask, how many tokens it allows."""
        self._numbers: dict[int, int] = {}  # by identity: `Pieces` keeps its masks and gives the same ones again
        self._rows: list[Mask] = []
        self._filled = 0  # of them are in the table
        self._table = torch.zeros(
            0, 0, dtype=torch.bool
        )  # with room for more: a table that grows by one is copied often
        self.number(form.numbers(100, 500))  # the first: RATING

    def number(self, mask: Mask) -> int:
        """The number of one of the masks of `form`."""
        found = self._numbers.get(id(mask))
        if found is None:
            found = self._numbers[id(mask)] = len(self._rows)
            self._rows.append(mask)
            self.choices.append(int(mask.sum()))
        return found

    def forbidden(self, numbers: Tensor) -> Tensor:
        """(N,) numbers of masks -> (N, V) bool, true for what cannot be chosen."""
        if len(self._table) < len(self._rows) or self._table.device != numbers.device:
            room = np.zeros((2 * len(self._rows), len(self.form.texts)), bool)
            self._table, self._filled = torch.from_numpy(room).to(numbers.device), 0
        if self._filled < len(self._rows):
            new = torch.from_numpy(~np.stack(self._rows[self._filled :]))
            self._table[self._filled : len(self._rows)] = new.to(numbers.device)
            self._filled = len(self._rows)
        return self._table[numbers]


class Policy(BundledBackend):
    """A decoder and the looks of a frozen encoder. It shares the encoding of conversations with `BundledBackend`.

    Greedy (temperature 0), it answers as the exported model does. At temperature 1 it draws, from `draws`, which
    whoever samples has to seed: `Sampling.seed` plays no part, because the rollouts of one picture are rows of one
    batch and must differ.
    """

    def __init__(
        self, model: Decoder, tokenizer: Tokenizer, looks: LookCache, phrases: Mapping[Phrase, frozenset[str]]
    ) -> None:
        # not super().__init__(), which opens the exported graphs
        self.name, self.version, self.calibration = "policy", "in training", None
        self.model, self.tokenizer, self.looks = model, tokenizer, looks
        self.width, self.look_width = model.shape.width, model.shape.width + TOLD
        self._image, self._end, self._first_rating = (token_id(tokenizer, t) for t in ("<image>", "<end>", "1.00"))
        self.prefix = tokenizer.encode(RATING_PREFIX).ids
        self.draws = torch.Generator()
        self._form = Pieces(texts_of(tokenizer), token_id(tokenizer, "0.00"), self._end, phrases)
        self.masks = MaskTable(self._form)
        self.phrases = phrases
        self._shown: dict[tuple[str, Region], Floats] = {}  # in the conversations that are being answered

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.embedding.weight.device

    def to(self, device: torch.device) -> Policy:
        """Move model and encoder, in place."""
        for module in (self.model, self.looks.vision):
            module.to(device)
        return self

    def vectors(self, view: View, mirrored: bool = True) -> Floats:
        """The connector changes from step to step, so only what the encoder says is kept."""
        return self._shown[view.picture.name, view.region]

    def _see_all(self, conversations: Sequence[Conversation]) -> None:
        """Look at all that `conversations` show, each look once: rollouts share the first."""
        turns = [turn for conversation in conversations for turn in conversation]
        views = {(view.picture.name, view.region): view for turn in turns for view in turn.views}
        seen = self.looks.take(list(views.values()))
        self._shown = dict(zip(views, self.model.see(seen.to(self.device)).cpu().numpy(), strict=True))

    @torch.no_grad()
    def reply(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        """See `snellen.backends.Backend.reply`, and the class for what `sampling` may say."""
        if not conversations:
            return []
        if sampling.temperature not in (0.0, 1.0) or sampling.top_p != 1.0:
            raise ValueError("a policy answers greedily, or draws at temperature 1 and top_p 1: as it is trained")
        cache, hidden, logprobs, ratings = self._rated(conversations, sampling.max_tokens)
        drawn = sampling.temperature > 0.0
        if drawn:
            tokens = self._draw(logprobs)
        else:
            means = torch.tensor([rating.mean for rating in ratings], device=self.device)
            tokens = self._first_rating + torch.round(100.0 * (means - 1.0)).long()
        said = logprobs.gather(1, tokens[:, None])[:, 0].tolist()
        self._form.forget()
        writers = [
            _Writer(self, sampling.max_tokens, self.grammar(turns, rating.mean), *written)
            for turns, rating, *written in zip(conversations, ratings, tokens.tolist(), said, strict=True)
        ]
        self._write(cache, writers, hidden, drawn)
        # a drawn reply's rating is the one drawn; a distribution would take its place as the score
        return [w.draft(None if drawn else rating) for w, rating in zip(writers, ratings, strict=True)]

    @torch.no_grad()
    def rate(self, conversations: Sequence[Conversation]) -> list[Reply]:
        """See `Backend.rate`."""
        if not conversations:
            return []
        return [Reply("", rating=rating, finish="rating") for rating in self._rated(conversations, 1)[3]]

    def _rated(
        self, conversations: Sequence[Conversation], max_tokens: int
    ) -> tuple[_Cache, Tensor, Tensor, list[RatingDistribution]]:
        """Read the conversations and their ratings: the cache and hidden states after the conversations, the ratings'
        log-probabilities over the vocabulary, and their distributions."""
        self._see_all(conversations)
        batch = {name: torch.from_numpy(a).to(self.device) for name, a in self._batch(conversations).items()}
        cache = _Cache(self.model, batch["keys"], max(len(self.prefix), max_tokens))
        hidden = cache.read(batch["ids"], batch["looks"], batch["positions"])
        prefix = torch.tensor([self.prefix], device=self.device).expand(cache.rows, -1)
        logprobs = as_tokens(
            self.model.ratings(cache.read(prefix)[:, -1], cache.found[:, 0]), self._first_rating, self.model
        )
        logprobs = torch.log_softmax(logprobs, dim=1)
        cache.back(len(self.prefix))  # the rating was only looked up; the words follow the conversation
        chances = logprobs.double().exp()[:, self._first_rating : self._first_rating + len(RATING_GRID)]
        ratings = [RatingDistribution(RATING_GRID, row / row.sum()) for row in chances.cpu().numpy()]
        return cache, hidden, logprobs, ratings

    def _write(self, cache: _Cache, writers: Sequence[_Writer], hidden: Tensor, drawn: bool) -> None:
        """Word by word, until every reply has ended; rows that have are dropped from the cache now and then."""
        rows = list(range(len(writers)))
        while True:
            logprobs = self._logprobs(hidden, cache, [writers[row].mask for row in rows])
            tokens = self._draw(logprobs, rows, len(writers)) if drawn else logprobs.argmax(dim=1)
            chosen = logprobs.gather(1, tokens[:, None])[:, 0]
            pairs = zip(rows, tokens.tolist(), chosen.tolist(), strict=True)
            written = [writers[row].write(token, logprob) for row, token, logprob in pairs]
            going = [i for i, row in enumerate(rows) if not writers[row].finish]
            if not going:
                return
            if len(going) <= 0.9 * len(rows):
                cache.keep(going)
                rows, written = [rows[i] for i in going], [written[i] for i in going]
            hidden = cache.read(torch.tensor(written, device=self.device)[:, None])

    def _logprobs(self, hidden: Tensor, cache: _Cache, masks: Sequence[int]) -> Tensor:
        """Of the last place over what its mask, one per row, allows: (rows, T, width) -> (rows, vocabulary)."""
        forbidden = self.masks.forbidden(torch.tensor(masks, device=self.device))
        logits = self.model.logits(hidden[:, -1], cache.found[:, 0])
        return torch.log_softmax(logits.masked_fill(forbidden, IMPOSSIBLE), dim=1)

    def _draw(self, logprobs: Tensor, rows: Sequence[int] | None = None, of: int = 0) -> Tensor:
        """A token per row. Every row of the batch uses up one random number, also those that have ended, so that a
        reply does not depend on when others end."""
        uniform = torch.rand(of or len(logprobs), generator=self.draws, dtype=torch.float64)
        if rows is not None:
            uniform = uniform[list(rows)]
        heaped = logprobs.exp().cumsum(dim=1, dtype=torch.float64)
        level = uniform.to(self.device)[:, None] * heaped[:, -1:]
        return torch.searchsorted(heaped, level, right=True)[:, 0]


def open_policy(vision: Path, folder: Path, looks: Path | None = None) -> Policy:
    """The policy of a folder with decoder.pt, options.json, tokenizer.json, phrases.txt, as either stage leaves it.

    vision: vision.pt that it was trained with. looks: file to keep encoded looks in, None for memory.
    Raises FileNotFoundError when one of the files is missing.
    """
    cache = LookCache(Vision.open(vision), looks)
    decoder = Decoder.open(folder)
    for name in ("tokenizer.json", "phrases.txt"):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder / name}: no such file; it is written beside decoder.pt")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    return Policy(decoder, tokenizer, cache, read_phrases(folder))


def as_tokens(ratings: Tensor, first: int, model: Decoder) -> Tensor:
    """Logits of the ratings, (N, 401), as logits over the vocabulary, where `first` is the token "1.00"."""
    after = model.shape.vocabulary - first - ratings.shape[1]
    return F.pad(ratings, (first, after), value=IMPOSSIBLE)


class _Cache:
    """Keys and values of a batch, written in place: the decoder's own cache is copied at every token.

    keys: (rows, T) bool, false on the padding to the left of each conversation; room: tokens that will follow.
    """

    def __init__(self, model: Decoder, keys: Tensor, room: int) -> None:
        shape = model.shape
        self.model, self.rows, self.length = model, len(keys), 0
        total = keys.shape[1] + room
        size = (shape.layers, 2, self.rows, shape.heads, total, shape.width // shape.heads)
        self.kv = torch.empty(size, device=keys.device, dtype=model.embedding.weight.dtype)
        self.keys = F.pad(keys, (0, room), value=True)
        self.after = keys.sum(dim=1, keepdim=True)  # position of the token that comes next, (rows, 1)
        self.found = torch.zeros(self.rows, 1, shape.width + TOLD, device=keys.device)  # seen there, see `laid_out`

    def read(self, ids: Tensor, looks: Tensor | None = None, positions: Tensor | None = None) -> Tensor:
        """Append (rows, t) tokens; hidden states after the last norm, (rows, t, width). The decoder's forward. Words
        come without `looks`: the last vector of those before goes on."""
        t, at = ids.shape[1], self.length
        if looks is not None:
            self.found = looks[:, -1:]
        x = self.model.embedding(ids) + (self.found if looks is None else looks)[..., : self.model.shape.width]
        if positions is None:
            positions = self.after + torch.arange(t, device=ids.device)
            self.after = self.after + t
        angle = positions[:, None, :, None].float() * self.model.frequencies  # type: ignore[operator]
        cos, sin = angle.cos(), angle.sin()
        causal = torch.arange(at + t, device=ids.device)[None] <= torch.arange(at, at + t, device=ids.device)[:, None]
        allowed = causal[None] & self.keys[:, None, : at + t]
        bias = torch.where(allowed, 0.0, IMPOSSIBLE)[:, None].to(x.dtype)
        for layer, kv in zip(self.model.layers, self.kv, strict=True):
            assert isinstance(layer, Layer)
            q, kv[0, :, :, at : at + t], kv[1, :, :, at : at + t] = layer.heads_of(x, cos, sin)
            x = layer.attended(x, q, kv[0, :, :, : at + t], kv[1, :, :, : at + t], bias)
        self.length += t
        out: Tensor = self.model.norm(x)
        return out

    def back(self, tokens: int) -> None:
        """Forget the last tokens."""
        self.length -= tokens
        self.after = self.after - tokens

    def keep(self, rows: Sequence[int]) -> None:
        """Forget all other rows; rows rise."""
        for to, row in enumerate(rows):  # in place, and only what is written: a copy of the whole takes longer
            if to != row:
                self.kv[:, :, to, :, : self.length] = self.kv[:, :, row, :, : self.length]
        where = torch.tensor(rows, device=self.keys.device)
        self.kv, self.keys = self.kv[:, :, : len(rows)], self.keys[where]
        self.after, self.found = self.after[where], self.found[where]
        self.rows = len(rows)


class _Writer:
    """One reply in the making."""

    def __init__(self, policy: Policy, max_tokens: int, grammar: Grammar, rating: int, logprob: float) -> None:
        self.policy, self.max_tokens, self.grammar = policy, max_tokens, grammar
        self.rating, self.rating_logprob = rating, logprob
        self.ids: list[int] = []
        self.logprobs: list[float] = []
        self.masks: list[int] = []
        self.rated: int | None = None
        self.finish = ""
        self.mask = self.policy.masks.number(grammar.allowed())
        """Number of the mask for the next place."""

    def write(self, token: int, logprob: float) -> int:
        """Take the token that was chosen for the next place and its log-probability; the token that stands there."""
        if self.finish:
            return self.policy._end
        if self.mask == RATING:
            token, logprob, self.rated = self.rating, self.rating_logprob, len(self.ids)
        if token == self.policy._end:
            self.finish = "stop"
            return token
        self.ids.append(token)
        self.logprobs.append(logprob)
        self.masks.append(self.mask)
        self.grammar.add(token)
        self.mask = self.policy.masks.number(self.grammar.allowed())
        if len(self.ids) >= self.max_tokens:
            self.finish = "length"
        return token

    def draft(self, rating: RatingDistribution | None) -> Draft:
        """The finished reply."""
        text = self.policy.tokenizer.decode(self.ids, skip_special_tokens=False)
        finish: Any = self.finish
        masks = tuple(self.masks)
        return Draft(text, tuple(self.ids), tuple(self.logprobs), rating, finish, masks=masks, rated=self.rated)
