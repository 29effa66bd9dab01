"""The policy: the decoder in training, as a Backend, so that rollouts go through the one Assessor.

What it does, and so what its actions are. The shipped model reads the rating of a round before its words, as if the
reply began with RATING_PREFIX, then writes its words, and writes that rating where its answer names one
(`snellen.backends.bundled`). The policy does the same, or else training would move a number that nobody reads:

- the words of a reply, its boxes and issues and its <end> are drawn one by one, given the conversation and the words
  before them;
- the rating is drawn from the distribution before the words, over the 401 ratings, given the conversation alone. Its
  log-probability is that one, and where the answer names it, it is written, not drawn: there it is context.

So a rating never learns from words that happened to stand before it, and words learn from a rating only by what they
lead to: the box that is looked at next, and the next round's rating, which does read them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional as F

from snellen.answer import RATING_PREFIX
from snellen.backends import Conversation, RatingDistribution, Reply, Sampling
from snellen.backends.bundled import RATING_MARK, RATINGS, BundledBackend, LookVectors, token_id
from snellen.image import View
from snellen.model.decoder import Decoder, DecoderShape, Layer, rotate
from snellen.model.vision import Encoder, Glance
from snellen.train.look_cache import LookCache

IMPOSSIBLE = -1e9
NEVER_WRITTEN = ("<pad>", "<look>", "<image>")
"""Tokens that stand for something that is not text; a reply cannot hold them."""


@dataclass(frozen=True)
class Draft(Reply):
    """A reply with what training needs. forced: places in `token_ids` where the round's rating was written, whose
    entries in `logprobs` are those of its draw. end: log-probability of the <end> after it, None when cut off."""

    forced: tuple[int, ...] = ()
    end: float | None = None


class Policy(BundledBackend):
    """A decoder and the looks of a frozen encoder. It shares the encoding of conversations with `BundledBackend`.

    Greedy (temperature 0), it answers as the exported model does. At temperature 1 it draws, from `draws`, which
    whoever samples has to seed: `Sampling.seed` plays no part, because the rollouts of one picture are rows of one
    batch and must differ.
    """

    def __init__(self, model: Decoder, tokenizer: Tokenizer, looks: LookCache) -> None:
        # not super().__init__(), which opens the exported graphs
        self.name, self.version, self.calibration = "policy", "in training", None
        self.model, self.tokenizer, self.looks = model, tokenizer, looks
        self.width = model.shape.width
        self._image, self._end, self._first_rating = (token_id(tokenizer, t) for t in ("<image>", "<end>", "1.00"))
        self.prefix = tokenizer.encode(RATING_PREFIX).ids
        self.draws = torch.Generator()
        self.bias = action_bias(tokenizer, model.shape.vocabulary)
        self.pieces = [tokenizer.decode([i], skip_special_tokens=False) for i in range(tokenizer.get_vocab_size())]

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.embedding.weight.device

    def to(self, device: torch.device) -> Policy:
        """Move model and encoder, in place."""
        for module in (self.model, self.looks.encoder, self.looks.glance):
            module.to(device)
        return self

    @torch.no_grad()
    def see(self, view: View) -> LookVectors:
        """The connector changes from step to step, so only what the encoder says is kept."""
        seen = self.looks.take([view])
        vectors = self.model.see(seen.to(self.device))[0].cpu().numpy()
        return LookVectors(vectors, float(seen.rating.clamp(1.0, 5.0)))

    @torch.no_grad()
    def reply(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        """See `snellen.backends.Backend.reply`, and the class for what `sampling` may say."""
        if not conversations:
            return []
        if sampling.temperature not in (0.0, 1.0) or sampling.top_p != 1.0:
            raise ValueError("a policy answers greedily, or draws at temperature 1 and top_p 1: as it is trained")
        self.looks.ensure(view for turns in conversations for turn in turns for view in turn.views)
        batch = {name: torch.from_numpy(a).to(self.device) for name, a in self._batch(conversations).items()}
        begun = self.tokenizer.encode(sampling.prefix).ids
        cache = _Cache(self.model, batch["keys"], max(len(self.prefix), len(begun) + sampling.max_tokens))
        hidden = cache.read(batch["ids"], batch["looks"], batch["is_look"], batch["positions"])
        logits = self._logits(self._go_on(cache, self.prefix), rating=True)
        cache.back(len(self.prefix))  # the rating was only looked up; the words follow the conversation
        chances = torch.softmax(logits.double(), dim=1)[:, self._first_rating : self._first_rating + len(RATINGS)]
        ratings = [RatingDistribution(RATINGS, row) for row in chances.cpu().numpy()]
        if sampling.prefix == RATING_PREFIX and sampling.max_tokens == 1:
            return [Reply(sampling.prefix, rating=rating, finish="prefix") for rating in ratings]
        if sampling.temperature:
            tokens, logprobs = self._draw(logits)
        else:
            means = torch.tensor([rating.mean for rating in ratings], device=self.device)
            tokens = self._first_rating + torch.round(100.0 * (means - 1.0)).long()
            logprobs = torch.log_softmax(logits, dim=1).gather(1, tokens[:, None])[:, 0]
        writers = [_Writer(self, sampling, *one) for one in zip(tokens.tolist(), logprobs.tolist(), strict=True)]
        if begun:
            hidden = self._go_on(cache, begun)
        self._write(cache, writers, self._logits(hidden), bool(sampling.temperature))
        # a drawn reply's rating is the one drawn; a distribution would take its place as the score
        return [w.draft(None if sampling.temperature else r) for w, r in zip(writers, ratings, strict=True)]

    def _write(self, cache: _Cache, writers: Sequence[_Writer], logits: Tensor, drawn: bool) -> None:
        """Word by word, until every reply has ended; rows that have are dropped from the cache now and then."""
        rows = list(range(len(writers)))
        while True:
            if drawn:
                tokens, logprobs = self._draw(logits, rows, len(writers))
            else:
                tokens = logits.argmax(dim=1)
                logprobs = torch.log_softmax(logits, dim=1).gather(1, tokens[:, None])[:, 0]
            pairs = zip(rows, tokens.tolist(), logprobs.tolist(), strict=True)
            written = [writers[row].write(token, logprob) for row, token, logprob in pairs]
            going = [i for i, row in enumerate(rows) if not writers[row].finish]
            if not going:
                return
            if len(going) <= 0.8 * len(rows):
                cache.keep(going)
                rows, written = [rows[i] for i in going], [written[i] for i in going]
            ids = torch.tensor(written, device=self.device)[:, None]
            logits = self._logits(cache.read(ids))

    def _go_on(self, cache: _Cache, ids: Sequence[int]) -> Tensor:
        """Read the same tokens in every row; hidden states (rows, len(ids), width)."""
        return cache.read(torch.tensor([list(ids)], device=self.device).expand(cache.rows, -1))

    def _logits(self, hidden: Tensor, rating: bool = False) -> Tensor:
        """Of the last place, with what cannot stand there made impossible: (rows, vocabulary)."""
        return self.model.logits(hidden[:, -1]) + self.bias[int(rating)].to(self.device)

    def _draw(self, logits: Tensor, rows: Sequence[int] | None = None, of: int = 0) -> tuple[Tensor, Tensor]:
        """A token per row and its log-probability. Every row of the batch uses up one random number, also those that
        have ended, so that a reply does not depend on when others end."""
        uniform = torch.rand(of or len(logits), generator=self.draws, dtype=torch.float64)
        if rows is not None:
            uniform = uniform[list(rows)]
        heaped = torch.softmax(logits.double(), dim=1).cumsum(dim=1)
        level = uniform.to(self.device)[:, None] * heaped[:, -1:]
        tokens = torch.searchsorted(heaped, level, right=True).clamp_max(logits.shape[1] - 1)
        return tokens[:, 0], torch.log_softmax(logits, dim=1).gather(1, tokens)[:, 0]


def open_policy(vision: Path, folder: Path, looks: Path | None = None) -> Policy:
    """The policy of a folder with decoder.pt, options.json and tokenizer.json, as either stage of training leaves it.

    vision: vision.pt of the encoder that it was trained with. looks: file to keep encoded looks in, None for memory.
    Raises FileNotFoundError when one of the files is missing.
    """
    state = torch.load(vision, weights_only=True, map_location="cpu")
    encoder, glance = Encoder(), Glance()
    encoder.load_state_dict(state["encoder"])
    glance.load_state_dict(state["glance"])
    shape = json.loads((folder / "options.json").read_text(encoding="utf8"))["shape"]
    decoder = Decoder(DecoderShape(**shape))
    decoder.load_state_dict(torch.load(folder / "decoder.pt", weights_only=True, map_location="cpu"))
    if not (folder / "tokenizer.json").is_file():
        raise FileNotFoundError(f"{folder / 'tokenizer.json'}: no such file; it is written beside decoder.pt")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    return Policy(decoder.eval(), tokenizer, LookCache(encoder, glance, looks))


def action_bias(tokenizer: Tokenizer, vocabulary: int) -> Tensor:
    """(2, V), added to the logits of words (0) and of ratings (1): 0 for what may stand there, else IMPOSSIBLE."""
    first, last = (token_id(tokenizer, token) for token in ("1.00", "5.00"))
    bias = torch.zeros(2, vocabulary)
    bias[0, [token_id(tokenizer, token) for token in NEVER_WRITTEN]] = IMPOSSIBLE
    bias[1] = IMPOSSIBLE
    bias[1, first : last + 1] = 0.0
    return bias


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

    def read(
        self, ids: Tensor, looks: Tensor | None = None, is_look: Tensor | None = None, positions: Tensor | None = None
    ) -> Tensor:
        """Append (rows, t) tokens; hidden states after the last norm, (rows, t, width). The decoder's forward."""
        t, at = ids.shape[1], self.length
        x = self.model.embedding(ids)
        if looks is not None and is_look is not None:
            x = torch.where(is_look[..., None], looks, x)
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
            x = self._layer(layer, kv[..., : at + t, :], x, cos, sin, bias)
        self.length += t
        out: Tensor = self.model.norm(x)
        return out

    @staticmethod
    def _layer(layer: Layer, kv: Tensor, x: Tensor, cos: Tensor, sin: Tensor, bias: Tensor) -> Tensor:
        """`Layer.forward` with its keys and values written to the end of kv (2, rows, heads, T, d)."""
        b, t, w = x.shape
        q, k, v = layer.qkv(layer.norm1(x)).view(b, t, 3, layer.heads, w // layer.heads).permute(2, 0, 3, 1, 4)
        kv[0, :, :, -t:], kv[1, :, :, -t:] = rotate(k, cos, sin), v
        y = F.scaled_dot_product_attention(rotate(q, cos, sin), kv[0], kv[1], attn_mask=bias)
        x = x + layer.out(y.transpose(1, 2).reshape(b, t, w))
        gate, up = layer.up(layer.norm2(x)).chunk(2, dim=-1)
        out: Tensor = x + layer.down(F.silu(gate) * up)
        return out

    def back(self, tokens: int) -> None:
        """Forget the last tokens."""
        self.length -= tokens
        self.after = self.after - tokens

    def keep(self, rows: Sequence[int]) -> None:
        """Forget all other rows."""
        where = torch.tensor(rows, device=self.keys.device)
        self.kv, self.keys, self.after = self.kv[:, :, where], self.keys[where], self.after[where]
        self.rows = len(rows)


class _Writer:
    """One reply in the making."""

    def __init__(self, policy: Policy, sampling: Sampling, rating: int, logprob: float) -> None:
        self.policy, self.sampling, self.rating, self.rating_logprob = policy, sampling, rating, logprob
        self.tail = sampling.prefix[-64:]
        self.ids: list[int] = []
        self.logprobs: list[float] = []
        self.forced: list[int] = []
        self.end: float | None = None
        self.finish = ""

    def write(self, token: int, logprob: float) -> int:
        """Take the token that was chosen for the next place and its log-probability; the token that stands there."""
        if self.finish:
            return self.policy._end
        if self.tail.endswith(RATING_MARK):
            token, logprob = self.rating, self.rating_logprob
            self.forced.append(len(self.ids))
        if token == self.policy._end:
            self.finish, self.end = "stop", logprob
            return token
        self.ids.append(token)
        self.logprobs.append(logprob)
        self.tail = (self.tail + self.policy.pieces[token])[-64:]
        if len(self.ids) >= self.sampling.max_tokens:
            self.finish = "length"
        return token

    def draft(self, rating: RatingDistribution | None) -> Draft:
        """The finished reply."""
        text = self.sampling.prefix + self.policy.tokenizer.decode(self.ids, skip_special_tokens=False)
        finish: Any = self.finish
        return Draft(text, tuple(self.ids), tuple(self.logprobs), rating, finish, tuple(self.forced), self.end)
