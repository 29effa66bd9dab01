"""Short continuations of generated replies, read from the attention cache of the generation."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from torch import Tensor

from snellen.backends.rating_tokens import Branch

BRANCH_BYTES = 2**31
"""Memory for copies of the cache: the branches of one pass at most."""
TOLERANCE = 0.05
"""Largest difference between a probability read from the cache and the one that generation saw. Rounding
stays below it; more means that the cache of this model cannot be continued."""


@dataclass(frozen=True, eq=False)
class Generated:
    """A batch of generated replies.

    Attributes:
        ids: token ids of each reply, with its end token.
        logprobs: log-probability of each.
        kept: K token ids whose probabilities were recorded.
        kept_probs: (B, T, K) their probabilities before each generated token, at temperature 1.
        inputs: inputs of the model; all prompts have the length P of `input_ids`.
        cache: keys and values of prompts and replies, (B, heads, P + T - 1, width) in each layer.
    """

    ids: Sequence[tuple[int, ...]]
    logprobs: Sequence[tuple[float, ...]]
    kept: tuple[int, ...]
    kept_probs: Tensor
    inputs: dict[str, Tensor]
    cache: Any


class BranchReader:
    """Reader of the probabilities after branches of replies, without a second pass over prompt and pictures.

    Every reading of a branch that generation itself took is compared with what generation saw.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.works = True
        """False once a cache of this model could not be continued."""
        names = inspect.signature(model.forward).parameters
        self.cache_name = "cache" if "cache" in names else "past_key_values"

    def read(self, made: Generated, starts: Mapping[int, int], branches: Sequence[Branch]) -> Tensor | None:
        """Return the probabilities of the kept tokens after each branch, (N, K); None if the model's cache forbids it.

        Args:
            made: the replies.
            starts: number of generated tokens before the branches of each row.
            branches: tokens that follow instead of those that were generated.
        """
        found = torch.zeros(len(branches), len(made.kept))
        by_length: dict[int, list[int]] = {}
        for place, branch in enumerate(branches):
            by_length.setdefault(len(branch.ids), []).append(place)
        for place in by_length.pop(0, []):  # where generation itself stood
            row = branches[place].row
            found[place] = made.kept_probs[row, starts[row]]
        if not by_length:
            return found
        if not self.works or not _is_whole(made):
            return None
        prefix = _Prefix(self.model, made, starts)
        for length, places in by_length.items():
            for first in range(0, len(places), prefix.most_branches):
                part = places[first : first + prefix.most_branches]
                found[part] = self._pass(prefix, made, [branches[place] for place in part], length)
        self.works = _agrees(found, made, starts, branches)
        return found if self.works else None

    def _pass(self, prefix: _Prefix, made: Generated, branches: Sequence[Branch], length: int) -> Tensor:
        device = self.model.device
        rows = torch.tensor([branch.row for branch in branches], device=device)
        ids = torch.tensor([branch.ids for branch in branches], device=device)
        positions = prefix.positions[rows][:, None] + torch.arange(length, device=device)
        inputs: dict[str, Any] = {
            "input_ids": ids,
            "attention_mask": torch.cat([prefix.mask[rows], torch.ones_like(ids)], dim=1),
            "position_ids": positions.expand(3, *positions.shape) if prefix.three_axes else positions,
            self.cache_name: prefix.cache(rows),
        }
        with torch.inference_mode():
            logits = self.model(**inputs, use_cache=True).logits[:, -1].float()
        return torch.softmax(logits, dim=-1)[:, list(made.kept)].cpu()


class _Prefix:
    """The part of a cache before the branches. Rows end at different places: the rest of a row is masked.

    Attributes:
        mask: (B, L) 1 where a key counts.
        positions: (B,) position of the first token of a branch.
        three_axes: whether positions have three axes (time, height, width), as in the Qwen-VL family.
        most_branches: how many copies of the cache fit in `BRANCH_BYTES`.
    """

    def __init__(self, model: Any, made: Generated, starts: Mapping[int, int]) -> None:
        prompt = made.inputs["attention_mask"]
        self.length = prompt.shape[1] + max(starts.values())
        steps = torch.tensor([starts.get(row, 0) for row in range(len(prompt))], device=prompt.device)
        places = torch.arange(self.length - prompt.shape[1], device=prompt.device)
        self.mask = torch.cat([prompt, (places[None] < steps[:, None]).to(prompt.dtype)], dim=1)
        self.layers = [(layer.keys, layer.values) for layer in made.cache.layers]
        axes = _image_positions(model, made.inputs)
        self.three_axes = axes is not None
        self.positions = (prompt.sum(dim=1) if axes is None else axes) + steps
        size = sum(keys[0, :, 0].numel() * keys.element_size() for keys, _ in self.layers) * 2 * (self.length + 1)
        self.most_branches = max(1, BRANCH_BYTES // size)

    def cache(self, rows: Tensor) -> Any:
        """Return a new cache that holds the prefix of some rows, in their order."""
        copied = transformers.DynamicCache()
        for index, (keys, values) in enumerate(self.layers):
            at = rows.to(keys.device)
            copied.update(keys[:, :, : self.length][at], values[:, :, : self.length][at], index)
        return copied


def _image_positions(model: Any, inputs: Mapping[str, Tensor]) -> Tensor | None:
    """Return the position after each prompt, (B,), of a model that counts a picture by its sides; None for others."""
    index = getattr(model, "get_rope_index", None) or getattr(getattr(model, "model", None), "get_rope_index", None)
    if index is None:
        return None
    names = inspect.signature(index).parameters
    positions, _ = index(**{name: value for name, value in inputs.items() if name in names})
    last: Tensor = positions[:, :, -1].max(dim=0).values  # prompts are padded on the left, so the last token is text
    return last + 1


def _is_whole(made: Generated) -> bool:
    """Return whether the cache holds every token; windows and recurrent states do not."""
    layers = getattr(made.cache, "layers", None)
    if not layers:
        return False
    whole = made.inputs["input_ids"].shape[1] + made.kept_probs.shape[1] - 1
    shapes = [getattr(layer, "keys", None) for layer in layers]
    return all(isinstance(keys, Tensor) and keys.ndim == 4 and keys.shape[2] == whole for keys in shapes)


def _agrees(found: Tensor, made: Generated, starts: Mapping[int, int], branches: Sequence[Branch]) -> bool:
    """Return whether the readings of branches that generation took are what it saw."""
    for place, branch in enumerate(branches):
        written = made.ids[branch.row][starts[branch.row] :]
        if branch.ids and branch.ids == written[: len(branch.ids)] and len(written) > len(branch.ids):
            seen = made.kept_probs[branch.row, starts[branch.row] + len(branch.ids)]
            if float((found[place] - seen).abs().max()) > TOLERANCE:
                return False
    return True
