"""The language side of snellen-1: a small causal decoder that reads looks and words and writes the reply.

Trained from scratch on rationales. A conversation is one row of tokens, and to each is added what is seen there: to the
places of a look its vectors, one by one; to every word after it the look's last vector, which says in short what was
found. So a word is always written with the finding in view; a small decoder did not learn to look it up on its own
(docs/log).
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from snellen.backends.onnx import FIRST_NUMBERS, GRID_SIDE
from snellen.snellen1.encoder import SUMMARY, WIDTH
from snellen.snellen1.perception import Seen
from snellen.snellen1.rating_head import Pointer, RatingPointer
from snellen.snellen1.tokenizer import FIRST_NUMBER
from snellen.vocabulary import KINDS

SPOKEN_SPREAD = 0.05
"""Width, in MOS, of the numbers that a rating is spoken in."""
STOPS = 41
"""Stops by which a number is told: on the way from 0 to 1 for the side of a box, from 1 to 5 for a rating."""


@dataclass(frozen=True)
class DecoderShape:
    """Sizes. vocabulary: number of token ids. width: of the residual stream; heads divide it."""

    vocabulary: int
    width: int = 256
    layers: int = 4
    heads: int = 4
    theta: float = 1000.0


def stops(values: Tensor) -> Tensor:
    """(N, M) numbers 0..1 as how near each is to STOPS even stops, (N, M STOPS): any curve is a weighted sum of it."""
    grid = torch.linspace(0.0, 1.0, STOPS, device=values.device)
    return torch.exp(-0.5 * ((grid - values[..., None]) * (STOPS - 1)) ** 2).flatten(1)


class Connector(nn.Module):
    """Turns what the encoder says of a look into the decoder's vectors.

    Output: (N, 52, width), one vector for the summary, then the cells, and last one for what was found: the worst
    fault's kind, severity and box, and the plain head's rating.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        cells = GRID_SIDE * GRID_SIDE
        self.found = nn.Linear(len(KINDS) + 2 + 5 * STOPS, width)
        nn.init.normal_(self.found.weight, std=0.01)  # it is added to every word, and those begin small
        nn.init.zeros_(self.found.bias)
        self.summary = nn.Sequential(nn.LayerNorm(SUMMARY), nn.Linear(SUMMARY, width))
        self.overview = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, width))
        self.fragments = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, width))
        self.place = nn.Parameter(torch.randn(2 * cells, width) * 0.02)

    def forward(self, seen: Seen) -> Tensor:
        cells = torch.cat([self.overview(seen.overview), self.fragments(seen.fragments)], dim=1) + self.place
        numbers = torch.cat([seen.box, (seen.rating[:, None].clamp(1.0, 5.0) - 1.0) / 4.0], dim=1)
        found = self.found(torch.cat([seen.found, stops(numbers)], dim=1))
        return torch.cat([self.summary(seen.summary)[:, None], cells, found[:, None]], dim=1)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary position embedding (Su et al. 2021); x (B, H, T, d), cos and sin (B, 1, T, d/2)."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


class Norm(nn.Module):
    """Root mean square norm (Zhang & Sennrich 2019), in operations that ONNX knows."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt((x * x).mean(dim=-1, keepdim=True) + 1e-5) * self.weight


class Layer(nn.Module):
    """Pre-norm attention and a gated feed-forward."""

    def __init__(self, shape: DecoderShape) -> None:
        super().__init__()
        w = shape.width
        self.heads = shape.heads
        self.norm1, self.norm2 = Norm(w), Norm(w)
        self.qkv = nn.Linear(w, 3 * w, bias=False)
        self.out = nn.Linear(w, w, bias=False)
        self.up = nn.Linear(w, 2 * (8 * w // 3 // 32 * 32), bias=False)
        self.down = nn.Linear(8 * w // 3 // 32 * 32, w, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, bias: Tensor, past: Tensor | None) -> tuple[Tensor, Tensor]:
        """past: (2, B, H, P, d) keys and values so far; returns the same with this call's appended."""
        q, k, v = self.heads_of(x, cos, sin)
        if past is not None:
            k, v = torch.cat([past[0], k], dim=2), torch.cat([past[1], v], dim=2)
        return self.attended(x, q, k, v, bias), torch.stack([k, v])

    def heads_of(self, x: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of x (B, T, width), (B, H, T, d) each."""
        b, t, w = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(b, t, 3, self.heads, w // self.heads).permute(2, 0, 3, 1, 4)
        return rotate(q, cos, sin), rotate(k, cos, sin), v

    def attended(self, x: Tensor, q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
        """What the layer makes of x, given the keys and values that it may attend to."""
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        x = x + self.out(y.transpose(1, 2).reshape(x.shape))
        gate, up = self.up(self.norm2(x)).chunk(2, dim=-1)
        out: Tensor = x + self.down(F.silu(gate) * up)
        return out


def number_embeddings(count: int, width: int) -> Tensor:
    """(count, width) to begin from for tokens of evenly spaced numbers: cosines of rising frequency, mixed at random.

    Neighbours begin alike, so what is learned of 3.41 is learned of 3.42 too: with a few thousand pictures most of the
    401 ratings are seen a few times only. As large as other embeddings begin (standard deviation 0.02).
    """
    waves = torch.arange(count // 4)
    amplitude = 1.0 / (1.0 + waves / 4.0)
    basis = torch.cos(math.pi * torch.arange(count)[:, None] / count * waves) * amplitude
    mixed = basis @ torch.randn(len(waves), width)
    return mixed * (0.02 / mixed.std())


class Decoder(nn.Module):
    """ids and look vectors in, next-token logits out."""

    def __init__(self, shape: DecoderShape) -> None:
        super().__init__()
        self.shape = shape
        self.connector = Connector(shape.width)
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        nn.init.normal_(self.embedding.weight, std=0.02)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = Norm(shape.width)
        self.pointer = Pointer(shape.vocabulary, shape.width, FIRST_NUMBER)
        self.rater = RatingPointer(shape.width)
        d = shape.width // shape.heads
        self.register_buffer("frequencies", shape.theta ** (-torch.arange(0, d, 2) / d), persistent=False)

    @staticmethod
    def open(folder: Path, rater: bool = True) -> Decoder:
        """Read decoder.pt and options.json, as either stage of training leaves them; ready to be asked. rater: False
        leaves what points at ratings out, to be taught anew."""
        shape = json.loads((folder / "options.json").read_text(encoding="utf8"))["shape"]
        decoder = Decoder(DecoderShape(**shape))
        weights = torch.load(folder / "decoder.pt", weights_only=True, map_location="cpu")
        if not rater:
            weights = {name: weight for name, weight in weights.items() if not name.startswith("rater.")}
            weights |= {f"rater.{name}": weight for name, weight in decoder.rater.state_dict().items()}
        decoder.load_state_dict(weights)
        return decoder.eval()

    def forward(
        self, ids: Tensor, looks: Tensor, positions: Tensor, keys: Tensor, past: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """One pass, with or without a cache.

        ids (B, T) int64; looks (B, T, width + TOLD), what is seen at each, see `laid_out`; positions (B, T) int64,
        counted from the row's first real token; keys (B, P + T) bool, false on padding; past (layers, 2, B, H, P, d).
        Returns hidden states after the last norm (B, T, width) and the new past.
        """
        x = self.embedding(ids) + looks[..., : self.shape.width]
        t, total = ids.shape[1], keys.shape[1]
        row = torch.arange(total - t, total, device=ids.device)[:, None]
        causal = torch.arange(total, device=ids.device)[None] <= row
        bias = torch.where(causal[None] & keys[:, None], 0.0, -1e9)[:, None]
        hidden, present = self.through(x, positions, bias.to(x.dtype), past)
        return hidden, torch.stack(present)

    def through(
        self, x: Tensor, positions: Tensor, bias: Tensor, past: Tensor | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """All layers over vectors x (B, T, width) at positions (B, T), with an additive mask (B, 1, T, P + T): hidden
        states after the last norm, and keys and values by layer."""
        angle = positions[:, None, :, None].float() * self.frequencies  # type: ignore[operator]
        cos, sin = angle.cos(), angle.sin()
        present = []
        for i, layer in enumerate(self.layers):
            x, one = layer(x, cos, sin, bias, None if past is None else past[i])
            present.append(one)
        return self.norm(x), present

    def see(self, seen: Seen) -> Tensor:
        """What is said of N looks as the vectors that stand for it, (N, LOOK_TOKENS, width + TOLD).

        The plain head's rating comes first, spoken in the decoder's own numbers: to repeat a number is easily learned,
        to regress it again is not. Behind each vector stands what was found in the look, for the pointer.
        """
        vectors = torch.cat([self.spoken(seen.rating)[:, None], self.connector(seen)], dim=1)
        rating = seen.rating[:, None].clamp(1.0, 5.0)
        told = torch.cat([seen.found, seen.box, seen.shown[:, None], rating, seen.found[:, :-1], rating], dim=1)
        return torch.cat([vectors, told[:, None].expand(-1, vectors.shape[1], -1)], dim=2)

    def spoken(self, ratings: Tensor) -> Tensor:
        """(N,) ratings, 1..5, as the embeddings of the numbers around each, (N, width)."""
        grid = 1.0 + 0.01 * torch.arange(401, device=ratings.device)
        near = torch.softmax(-0.5 * ((grid - ratings.clamp(1.0, 5.0)[:, None]) / SPOKEN_SPREAD) ** 2, dim=1)
        out: Tensor = near @ self.embedding.weight[FIRST_NUMBER + 100 : FIRST_NUMBER + 501]
        return out

    def logits(self, hidden: Tensor, looks: Tensor) -> Tensor:
        """(N, width) hidden states, and what was seen there, (N, width + TOLD) -> (N, vocabulary). The output matrix is
        the embedding; the pointer adds what was found."""
        found: Tensor = self.pointer(hidden, looks[:, self.shape.width :])
        return F.linear(hidden, self.embedding.weight) + found

    def ratings(self, hidden: Tensor, looks: Tensor) -> Tensor:
        """The same where a rating is read: (N, 401), logits of 1.00 to 5.00."""
        out: Tensor = self.rater(hidden, looks[:, self.shape.width :])
        return out


def laid_out(vectors: Tensor, is_look: Tensor, as_at: Tensor | None = None) -> Tensor:
    """What is seen at each token of a batch of conversations, as `Decoder.forward` takes it: (B, T, W).

    vectors (L, LOOK_TOKENS, W): of the looks, row by row in the order of their places, is_look (B, T). At a place
    of a look that is its vector there, later the last one before, and nothing before the first; but the last
    FIRST_NUMBERS always those of the row's first look. as_at (B, T): places in the row that tokens are to be treated
    like, where it is not their own.
    """
    number = is_look.flatten().cumsum(0).view_as(is_look) * (is_look.cumsum(1) > 0)
    first = number.gather(1, is_look.int().argmax(dim=1, keepdim=True))
    if as_at is not None:
        number = number.gather(1, as_at)
    table = torch.cat([vectors.new_zeros(1, vectors.shape[-1]), vectors.flatten(0, 1)])
    at_first = table[first][..., -FIRST_NUMBERS:] * (number > 0)[..., None]
    return torch.cat([table[number][..., :-FIRST_NUMBERS], at_first], dim=-1)
