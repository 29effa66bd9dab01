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

PASS_BYTES = 2**31
"""Memory of one pass over branches: copies of the cache, and logits."""
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

    The branches of a row follow each other in one line of the batch, and a mask hides them from each other, so the
    cache of a row is copied once. Implementations of attention that take no such mask read each branch in a line of its
    own. Every reading of a branch that generation itself took is compared with what generation saw.

    Attributes:
        works: False once a cache of this model could not be continued.
        lines: whether the branches of a row share a line.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.works = True
        self.lines = getattr(model.config, "_attn_implementation", None) in ("sdpa", "eager")
        names = inspect.signature(model.forward).parameters
        self.cache_name = "cache" if "cache" in names else "past_key_values"
        self.chooses_logits = "logits_to_keep" in names

    def read(self, made: Generated, starts: Mapping[int, int], branches: Sequence[Branch]) -> Tensor | None:
        """Return the probabilities of the kept tokens after each branch, (N, K); None if the model's cache forbids it.

        Args:
            made: the replies.
            starts: number of generated tokens before the branches of each row.
            branches: tokens that follow instead of those that were generated.
        """
        found = torch.zeros(len(branches), len(made.kept))
        by_length: dict[int, dict[int, list[int]]] = {}
        for place, branch in enumerate(branches):
            own = branch.row if self.lines else place
            by_length.setdefault(len(branch.ids), {}).setdefault(own, []).append(place)
        for place in sum(by_length.pop(0, {}).values(), []):  # where generation itself stood
            row = branches[place].row
            found[place] = made.kept_probs[row, starts[row]]
        if not by_length:
            return found
        if not self.works or not _is_whole(made):
            return None
        prefix = _Prefix(self.model, made, starts)
        for lines in by_length.values():
            places = list(lines.values())
            most = prefix.most_lines(max(map(len, places)))
            for part in (places[first : first + most] for first in range(0, len(places), most)):
                read = self._pass(prefix, made, [[branches[place] for place in line] for line in part])
                for line, probabilities in zip(part, read, strict=True):
                    found[line] = probabilities[: len(line)]
        self.works = _agrees(found, made, starts, branches)
        return found if self.works else None

    def _pass(self, prefix: _Prefix, made: Generated, lines: Sequence[Sequence[Branch]]) -> Tensor:
        """Return the probabilities after the branches of each line, (lines, most branches in a line, K).

        The branches of a line are of one row, and all are equally long. Shorter lines are filled up.
        """
        device = self.model.device
        most, length = max(map(len, lines)), len(lines[0][0].ids)
        filled = [[*line, *[line[0]] * (most - len(line))] for line in lines]
        rows = torch.tensor([line[0].row for line in lines], device=device)
        ids = torch.tensor([[token for branch in line for token in branch.ids] for line in filled], device=device)
        positions = prefix.positions[rows][:, None] + torch.arange(length, device=device).repeat(most)
        ends = torch.arange(1, most + 1, device=device) * length - 1
        inputs: dict[str, Any] = {
            "input_ids": ids,
            "attention_mask": self._mask(prefix.mask[rows], most, length),
            "position_ids": positions.expand(3, *positions.shape) if prefix.three_axes else positions,
            self.cache_name: prefix.cache(rows),
        }
        if self.chooses_logits:
            inputs["logits_to_keep"] = ends
        with torch.inference_mode():
            logits = self.model(**inputs, use_cache=True).logits
        if logits.shape[1] != most:
            logits = logits[:, ends]
        return torch.softmax(logits.float(), dim=-1)[..., list(made.kept)].cpu()

    def _mask(self, prefix: Tensor, most: int, length: int) -> Tensor:
        """Return the attention mask of lines of `most` branches of `length` tokens behind a prefix (N, L) of 1 and 0.

        Of one branch a line it is (N, L + length), else (N, 1, T, L + T) with T = most * length, added to the logits of
        attention: 0 for what a token sees, the prefix and its own branch up to itself, and the lowest number for the
        rest.
        """
        if most == 1:
            return torch.cat([prefix, prefix.new_ones(len(prefix), length)], dim=1)
        one = torch.ones(length, length, device=prefix.device).tril()
        own = torch.kron(torch.eye(most, device=prefix.device), one).bool()
        before = prefix.bool()[:, None, None].expand(-1, 1, len(own), -1)
        seen = torch.cat([before, own.expand(len(prefix), 1, -1, -1)], dim=-1)
        dtype = self.model.dtype
        return torch.zeros(seen.shape, dtype=dtype, device=prefix.device).masked_fill(~seen, torch.finfo(dtype).min)


class _Prefix:
    """The part of a cache before the branches. Rows end at different places: the rest of a row is masked.

    Attributes:
        mask: (B, L) 1 where a key counts.
        positions: (B,) position of the first token of a branch.
        three_axes: whether positions have three axes (time, height, width), as in the Qwen-VL family.
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
        self.words = int(model.config.get_text_config().vocab_size)

    def most_lines(self, branches: int) -> int:
        """Return how many lines with that many branches each fit in `PASS_BYTES`, at least 1."""
        row = sum(keys[0, :, 0].numel() * keys.element_size() for keys, _ in self.layers) * 2 * (self.length + 1)
        return max(1, int(PASS_BYTES // (row + branches * self.words * 8)))  # logits and probabilities in float32

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
