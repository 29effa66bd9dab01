"""A policy of two small layers that has learned to write readable replies, for tests of reinforcement learning."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from snellen.backends.taught import phrases_of, suiting

from snellen.image import Picture
from snellen.region import FULL, Region
from snellen.reply import Answer, Issue, Rationale, render_reply
from snellen.snellen1.decoder import Decoder, DecoderShape
from snellen.snellen1.perception import Vision
from snellen.snellen1.tokenizer import train_tokenizer
from snellen.train.sft import SeenLooks, SftOptions, sft_losses
from snellen.train.snellen1.batch import Round, collate, encode_rounds
from snellen.train.snellen1.feature_cache import LookCache
from snellen.train.snellen1.policy import Policy
from snellen.zoom import ZOOM_PRESETS

BOX = Region(0.1, 0.1, 0.6, 0.6)
SHOWN = ZOOM_PRESETS["snellen"].settle(BOX, 480, 480)
FIRST = Rationale("Noise in part.", "Clean it well.", "No more specks.", "Look at it closer.")
LATER = Rationale("Noise is there.", "Clean it well.", "No more specks.", "It stays as it is.")
NOISE = (Issue("noise", 3, BOX),)


def picture(seed: int) -> Picture:
    """Random pixels, large enough that a crop shows more."""
    pixels = np.random.default_rng(seed).integers(0, 256, (480, 480, 3), np.uint8)
    return Picture(pixels, f"picture {seed}")


def replies(rating: float) -> tuple[str, str, str]:
    """A first reply that asks for a crop, the second one, and a first one without words."""
    return (
        render_reply(FIRST, Answer(BOX, rating, "crop", NOISE), 1),
        render_reply(LATER, Answer(None, rating, "final", NOISE), 2),
        render_reply(None, Answer(None, rating, "final"), 1),
    )


@lru_cache(maxsize=1)
def _learned() -> tuple[Policy, dict[str, torch.Tensor]]:
    ratings = [1.2 + 0.02 * i for i in range(181)]
    tokenizer = train_tokenizer([text for rating in ratings[::20] for text in replies(rating)], 600)
    torch.manual_seed(0)
    looks = LookCache(Vision())
    views = [picture(seed).view(region) for seed in (0, 1) for region in (FULL, SHOWN)]
    vectors = SeenLooks(looks.take(views).packed().numpy())
    talks, quicks = [], []
    for i, rating in enumerate(ratings):
        first, later, quick = replies(rating)
        shown = 2 * (i % 2)
        talk = [Round(shown, FULL, first, 3.0, 1), Round(shown + 1, SHOWN, later, 3.0, 1)]
        talks.append(encode_rounds(tokenizer, talk))
        quicks.append(encode_rounds(tokenizer, [Round(shown, FULL, quick, 3.0, 0)]))
    model = Decoder(DecoderShape(tokenizer.get_vocab_size(), 64, 2, 2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-2)
    options = SftOptions(
        rating_spread=0.6,
        place_spread=0.002,
        expectation_weight=1.0,
        claim_weight=1.0,
        dropout_looks=0.0,
        noise_looks=0.0,
    )
    rng = np.random.default_rng(0)
    for step in range(300):
        optimizer.param_groups[0]["lr"] = 1e-2 * (1.0 - step / 300)
        few = rng.integers(0, len(ratings), 3)
        batch = collate([rows[i] for rows in (talks, quicks) for i in few], tokenizer.token_to_id("<image>"))
        optimizer.zero_grad()
        parts = sft_losses(model, batch, vectors, tokenizer.token_to_id("0.00"), options)
        torch.stack(list(parts.values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    phrases = suiting(phrases_of(replies(3.0)), ())
    return Policy(model.eval(), tokenizer, looks, phrases), {k: v.clone() for k, v in model.state_dict().items()}


def tiny_policy() -> Policy:
    """A fresh one with the same weights each time; what its encoder saw is shared."""
    policy, weights = _learned()
    model = Decoder(policy.model.shape).eval()
    model.load_state_dict(weights)
    return Policy(model, policy.tokenizer, policy.looks, policy.phrases)
