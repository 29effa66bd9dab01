"""Stage 1: supervised fine-tuning on grounded rationales. Connector and decoder learn; the encoder is frozen.

Because the encoder is frozen, what it says of every look is computed once (`SeenLooks`) and training is cheap.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional as F

from snellen.backends.onnx import texts_of, token_id
from snellen.snellen1.decoder import Decoder, DecoderShape, laid_out, number_embeddings
from snellen.snellen1.perception import Seen
from snellen.train import best_device
from snellen.train.checkpoint import rate_at, save
from snellen.train.snellen1.batch import CLAIM, CONTEXT, PLACE, RATING, WORD, Batch, Row, collate

NUMBERS = 501
"""Tokens "0.00" to "5.00"."""


@dataclass(frozen=True)
class SeenLooks:
    """What the encoder says of N looks, one packed row each in half precision (see `Seen`)."""

    rows: np.ndarray

    @staticmethod
    def open(folder: Path) -> SeenLooks:
        """Memory-map the array of a folder."""
        return SeenLooks(np.load(folder / "seen.npy", mmap_mode="r"))

    def take(self, rows: Tensor) -> Seen:
        """Some rows as float tensors."""
        return Seen.unpack(torch.from_numpy(np.asarray(self.rows[rows.cpu().numpy()], np.float32)))


@dataclass(frozen=True)
class SftOptions:
    """tokens: padded tokens per step at most. rating_spread, place_spread: width of the soft targets, in MOS and in
    fractions of the picture. claim_weight: of the words that claim something of the picture, whose loss is a mean of
    its own: they are few and the look alone can tell them. dropout_looks: share of cell vectors hidden in training.
    noise_looks: of the noise on cells and summary, in standard deviations of each: changes that nobody sees should
    change no word. bf16: the decoder's products in 16 bits, 1.8 times as fast where the processor has them (AVX-512
    BF16, GPUs)."""

    steps: int = 1200
    tokens: int = 6000
    rate: float = 2e-3
    weight_decay: float = 0.05
    warmup: int = 100
    rating_spread: float = 0.15
    place_spread: float = 0.02
    expectation_weight: float = 3.0
    claim_weight: float = 3.0
    dropout_looks: float = 0.2
    noise_looks: float = 0.5
    bf16: bool = False
    seed: int = 0
    checkpoint_every: int = 100
    validate_every: int = 300


def number_targets(target: Tensor, first: float, count: int, spread: float) -> Tensor:
    """Soft targets over a grid of `count` numbers 0.01 apart from `first`: (N,) -> (N, count), a normal round each."""
    grid = first + 0.01 * torch.arange(count, device=target.device)
    return torch.softmax(-0.5 * ((grid - target[:, None]) / spread) ** 2, dim=1)


def sft_losses(model: Decoder, batch: Batch, seen: SeenLooks, numbers: int, options: SftOptions) -> dict[str, Tensor]:
    """Parts of the loss, each a mean over its own kind of token. numbers: id of the token "0.00"."""
    device = model.embedding.weight.device
    batch = batch.to(device)
    shown = seen.take(batch.looks).to(device)
    if model.training:
        for part in (shown.summary, shown.overview, shown.fragments):
            part += options.noise_looks * part.std() * torch.randn_like(part)
        for cells in (shown.overview, shown.fragments):
            cells *= (torch.rand(cells.shape[:2], device=device) >= options.dropout_looks)[..., None]
    looks = laid_out(model.see(shown), batch.is_look)
    positions = torch.arange(batch.ids.shape[1], device=device).expand_as(batch.ids)
    with torch.autocast(device.type, torch.bfloat16, enabled=options.bf16):
        hidden, _ = model(batch.ids, looks, positions, batch.keys)
    hidden = hidden.float()  # ratings are 0.01 apart: their logits need all the digits
    role, wanted = batch.role[:, 1:], batch.ids[:, 1:]
    own = role != CONTEXT
    read = hidden[:, :-1][own], looks[:, :-1][own]
    logits = model.logits(*read)
    role, wanted, target = role[own], wanted[own], batch.target[:, 1:][own]
    kinds = {"word": role == WORD, "claim": role == CLAIM}
    parts = {name: F.cross_entropy(logits[is_it], wanted[is_it]) for name, is_it in kinds.items() if bool(is_it.any())}
    if "claim" in parts:
        parts["claim"] = parts["claim"] * options.claim_weight
    place = role == PLACE
    where = (wanted[place] - numbers) * 0.01
    if bool(place.any()):  # a batch of answers without issues holds none
        parts["place"] = _soft(logits[place], number_targets(where, 0.0, 101, options.place_spread), numbers)
    rating = role == RATING
    soft = number_targets(target[rating], 1.0, 401, options.rating_spread)
    rated = model.ratings(read[0][rating], read[1][rating])
    parts["rating"] = _soft(rated, soft, 0)
    expected = torch.softmax(rated, dim=1) @ (1.0 + 0.01 * torch.arange(401, device=device))
    parts["expectation"] = F.smooth_l1_loss(expected, target[rating], beta=0.3) * options.expectation_weight
    return parts


def _soft(logits: Tensor, target: Tensor, first: int) -> Tensor:
    logs = torch.log_softmax(logits, dim=1)[:, first : first + target.shape[1]]
    return -(target * logs).sum(dim=1).mean()


def rows_in_order(rows: Sequence[Row], tokens: int, seed: int) -> Iterator[list[Row]]:
    """Endless batches of rows of about one length, at most `tokens` padded tokens each; every row once per epoch."""
    rng = np.random.default_rng(seed)
    while True:
        shuffled = rng.permutation(len(rows))
        batches = []
        for begin in range(0, len(rows), 2048):
            block = sorted(shuffled[begin : begin + 2048], key=lambda i: len(rows[i].ids))
            batch: list[Row] = []
            for i in block:
                if batch and (len(batch) + 1) * len(rows[i].ids) > tokens:
                    batches.append(batch)
                    batch = []
                batch.append(rows[i])
            batches.append(batch)
        for i in rng.permutation(len(batches)):
            yield batches[i]


def train_sft(
    options: SftOptions,
    shape: DecoderShape,
    tokenizer: Tokenizer,
    rows: Sequence[Row],
    held: Sequence[Row],
    seen: SeenLooks,
    out: Path,
    start: Path | None = None,
    stop: int | None = None,
) -> None:
    """Train connector and decoder; writes out/decoder.pt and out/log.jsonl; resumes from out/checkpoint.pt.

    stop: end after this many steps of the schedule, as a killed run does, with a checkpoint.
    """
    torch.manual_seed(options.seed)
    device = best_device()
    image, numbers = token_id(tokenizer, "<image>"), token_id(tokenizer, "0.00")
    model = Decoder(shape).to(device)
    if start is not None:
        _begin_from(model, torch.load(start, weights_only=True))
    else:
        with torch.no_grad():
            model.embedding.weight[numbers : numbers + NUMBERS] = number_embeddings(NUMBERS, shape.width).to(device)
    model.pointer.name_tokens(texts_of(tokenizer))
    optimizer = _optimizer(model, options)
    out.mkdir(parents=True, exist_ok=True)
    (out / "options.json").write_text(json.dumps(asdict(options) | {"shape": asdict(shape)}, indent=1))
    tokenizer.save(str(out / "tokenizer.json"))
    first = 0
    if (out / "checkpoint.pt").exists():
        saved = torch.load(out / "checkpoint.pt", weights_only=True, map_location=device)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        torch.set_rng_state(saved["random"].cpu())
        first = saved["step"]
    following = rows_in_order(rows, options.tokens, options.seed)
    for _ in range(first):
        next(following)
    began = time.time()
    last = min(options.steps, stop or options.steps)
    for step in range(first, last):
        for group in optimizer.param_groups:
            group["lr"] = group["times"] * options.rate * rate_at(step, options.steps, options.warmup)
        model.train()
        parts = sft_losses(model, collate(next(following), image), seen, numbers, options)
        optimizer.zero_grad(set_to_none=True)
        torch.stack(list(parts.values())).sum().backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        done = step + 1 == last
        row: dict[str, float] = {"step": step + 1, "seconds": round(time.time() - began, 1)}
        row |= {name: round(part.item(), 4) for name, part in parts.items()}
        if (step + 1) % options.validate_every == 0 or done:
            row |= {f"held_{k}": v for k, v in validate(model, held, seen, image, numbers, options).items()}
        with (out / "log.jsonl").open("a") as log:
            log.write(json.dumps(row) + "\n")
        if (step + 1) % options.checkpoint_every == 0 or done:
            saved = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1}
            save(saved | {"random": torch.get_rng_state()}, out / "checkpoint.pt")
            torch.save(model.state_dict(), out / "decoder.pt")


def _begin_from(model: Decoder, state: dict[str, Tensor]) -> None:
    """Go on from other weights; parts of the model that they lack begin anew."""
    unexpected = model.load_state_dict(state, strict=False).unexpected_keys
    if unexpected:
        raise ValueError(f"the weights to begin from hold parts that this model does not have: {unexpected}")


def _optimizer(model: Decoder, options: SftOptions) -> torch.optim.AdamW:
    """Only matrices decay. What points at a rating has few weights that begin at nothing: it learns ten times as fast.
    Not so the gates for words: with that they opened too far (docs/log)."""
    rating = list(model.rater.parameters())
    known = {id(p) for p in rating}
    rest = [p for p in model.parameters() if id(p) not in known]
    groups = [
        {"params": [p for p in rest if p.dim() > 1], "weight_decay": options.weight_decay, "times": 1.0},
        {"params": [p for p in rest if p.dim() <= 1], "weight_decay": 0.0, "times": 1.0},
        {"params": rating, "weight_decay": 0.0, "times": 10.0},
    ]
    return torch.optim.AdamW(groups, lr=options.rate, betas=(0.9, 0.98))


@torch.no_grad()
def validate(
    model: Decoder, rows: Sequence[Row], seen: SeenLooks, image: int, numbers: int, options: SftOptions
) -> dict[str, float]:
    """Mean loss parts on rows that were held out, as given (teacher-forced)."""
    model.eval()
    ordered = sorted(rows, key=lambda row: len(row.ids))
    totals: dict[str, list[float]] = {}
    for begin in range(0, len(ordered), 32):
        parts = sft_losses(model, collate(ordered[begin : begin + 32], image), seen, numbers, options)
        for name, part in parts.items():
            totals.setdefault(name, []).append(part.item())
    return {name: round(float(np.nanmean(values)), 4) for name, values in totals.items()}
