"""Decoder of snellen-1: a small causal transformer that reads the features of views and chooses action tokens.

A conversation is one row of tokens: for each round VIEW, PLACES places that hold the view's vectors, and the action
tokens of the reply (see `snellen.snellen1.actions`). The last vector of a view sums up its finding; it is also added to
every action token of that round, because a decoder of this size did not learn to look it up by attention alone.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from snellen.snellen1.actions import LONGEST, VOCABULARY
from snellen.snellen1.encoder import SUMMARY, WIDTH
from snellen.snellen1.layout import GRID_SIDE
from snellen.snellen1.perception import HeadOutputs
from snellen.vocabulary import KINDS

STOPS = 11
"""A side of a box is given to the connector as its nearness to the tenths 0.0, 0.1 ... 1.0."""


@dataclass(frozen=True)
class DecoderShape:
    """width: of the residual stream, a multiple of `heads`. layers: of the transformer."""

    width: int = 128
    layers: int = 2
    heads: int = 4


def tenths(values: Tensor) -> Tensor:
    """(N, M) numbers 0..1 -> (N, M STOPS): exp(-d^2 / 2) with the distance d to each stop, in tenths."""
    grid = torch.linspace(0.0, 1.0, STOPS, device=values.device)
    return torch.exp(-0.5 * (10.0 * (grid - values[..., None])) ** 2).flatten(1)


class Connector(nn.Module):
    """Turns the features of N views and their regions (N, 4) into vectors (N, PLACES, width).

    The first vector is the summary, the last the finding: probability of no fault and of each kind, severities, box,
    plain rating and region. Between them are the GRID_SIDE x GRID_SIDE cells, rows first.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.summary = nn.Sequential(nn.LayerNorm(SUMMARY), nn.Linear(SUMMARY, width))
        self.overview = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, width))
        self.fragments = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, width))
        self.finding = nn.Linear(2 * len(KINDS) + 2 + 4 * STOPS + 4, width)
        self.place = nn.Parameter(torch.randn(GRID_SIDE * GRID_SIDE, width) * 0.02)

    def forward(self, features: HeadOutputs, region: Tensor) -> Tensor:
        rating = (features.rating[:, None].clamp(1.0, 5.0) - 3.0) / 2.0
        box = tenths(features.box.clamp(0.0, 1.0))
        numbers = torch.cat([features.kinds, features.severities / 5.0, box, rating, region], dim=1)
        cells = self.overview(features.overview) + self.fragments(features.fragments) + self.place
        return torch.cat([self.summary(features.summary)[:, None], cells, self.finding(numbers)[:, None]], dim=1)


class Layer(nn.Module):
    """Pre-norm causal attention and a feed-forward network."""

    def __init__(self, shape: DecoderShape) -> None:
        super().__init__()
        w = shape.width
        self.heads = shape.heads
        self.norm1, self.norm2 = nn.LayerNorm(w), nn.LayerNorm(w)
        self.qkv, self.out = nn.Linear(w, 3 * w), nn.Linear(w, w)
        self.feed_forward = nn.Sequential(nn.Linear(w, 4 * w), nn.GELU(), nn.Linear(4 * w, w))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x (B, T, width), additive mask (T, T)."""
        b, t, w = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(b, t, 3, self.heads, w // self.heads).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = x + self.out(y.transpose(1, 2).reshape(b, t, w))
        out: Tensor = x + self.feed_forward(self.norm2(x))
        return out


class Decoder(nn.Module):
    """Token ids and view vectors in, logits of the next token out."""

    def __init__(self, shape: DecoderShape) -> None:
        super().__init__()
        self.shape = shape
        self.connector = Connector(shape.width)
        self.token = nn.Embedding(VOCABULARY, shape.width)
        self.position = nn.Embedding(2 * LONGEST, shape.width)
        for embedding in (self.token, self.position):
            nn.init.normal_(embedding.weight, std=0.02)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(shape.width)
        self.head = nn.Linear(shape.width, VOCABULARY)

    @staticmethod
    def open(file: Path) -> Decoder:
        """Load what `save` wrote, in evaluation mode."""
        saved = torch.load(file, weights_only=True, map_location="cpu")
        decoder = Decoder(DecoderShape(**saved["shape"]))
        decoder.load_state_dict(saved["weights"])
        return decoder.eval()

    def save(self, file: Path) -> None:
        """Write shape and weights to a file."""
        torch.save({"shape": asdict(self.shape), "weights": self.state_dict()}, file)

    def forward(self, ids: Tensor, positions: Tensor, vectors: Tensor) -> Tensor:
        """Return logits of the token after each token, (B, T, VOCABULARY); not masked by the state machine.

        ids, positions (B, T) int64, as `snellen.snellen1.actions.row` gives them, padded on the right with PAD and 0.
        vectors (B, R, PLACES, width): of the R views of each row, from the connector.
        """
        batch, rounds, places, width = vectors.shape
        at = positions % LONGEST  # within the round: 0 is VIEW, then the places, then actions
        number = ((at == 0).long().cumsum(dim=1) - 1).clamp(0, rounds - 1)
        place = number * places + (at - 1).clamp(0, places - 1)
        index = place[..., None].expand(-1, -1, width)
        seen = vectors.reshape(batch, rounds * places, width).gather(1, index) * (at > 0)[..., None]
        x = self.token(ids) + self.position(positions) + seen
        t = ids.shape[1]
        mask = torch.full((t, t), -1e9, device=x.device, dtype=x.dtype).triu(1)
        for layer in self.layers:
            x = layer(x, mask)
        out: Tensor = self.head(self.norm(x))
        return out
