"""Vision-language models of Hugging Face transformers, from a local folder; needs the extra `hf`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor

from snellen.backend import Backend, BackendError, Conversation, Reply, Sampling, seeds
from snellen.backends.box_units import box_scale
from snellen.backends.rating_tokens import (
    RATING_KEY,
    RATING_TOKENS,
    Branch,
    distribution,
    expand_ratings,
    expand_words,
    leading_number,
    level_distribution,
)
from snellen.backends.transformers_cache import BranchReader, Generated
from snellen.backends.transformers_inputs import Inputs, open_processor
from snellen.backends.transformers_sampler import RowSampler
from snellen.image import View
from snellen.options import ModelOptions
from snellen.reply import RATING_PREFIX


class HfBackend(Backend):
    """A checkpoint that `AutoModelForImageTextToText` opens; no code of the checkpoint is run.

    A call is one batch, padded on the left; every row has a random stream of its own. What a row gets differs from what
    it gets alone by the rounding of the dtype only: below 0.001 rating points in float32. The rating distribution is
    exact but for branches with a probability below 0.0001, see `expand_ratings`.

    Args:
        path: a local folder, or the name of a model in the local cache.
        options: device, sizes and the like; None for the defaults.

    Raises:
        BackendError: the checkpoint cannot be opened.
        ValueError: an option that the checkpoint does not have.
    """

    def __init__(self, path: str, options: ModelOptions | None = None) -> None:
        options = options or ModelOptions()
        where: dict[str, Any] = {"local_files_only": True}
        if options.revision is not None:
            where["revision"] = options.revision
        self.inputs = _open_inputs(path, where, options)
        self.tokenizer: Any = self.inputs.tokenizer
        self.model: Any = _open_model(path, where, options)
        self.name = Path(path).name
        self.version = str(getattr(self.model.config, "_commit_hash", None) or path)
        own = self.model.generation_config
        ends = own.eos_token_id if own.eos_token_id is not None else self.tokenizer.eos_token_id
        self.ends: tuple[int, ...] = tuple(ends) if isinstance(ends, (list, tuple)) else (int(ends),)
        # nothing else of the checkpoint's: penalties and top-k would change what `Sampling` states
        self.model.generation_config = transformers.GenerationConfig(  # type: ignore[no-untyped-call]
            eos_token_id=list(self.ends), pad_token_id=self.tokenizer.pad_token_id, bos_token_id=own.bos_token_id
        )
        self.number_texts = number_texts(self.tokenizer)
        self.reader = BranchReader(self.model)

    def reply(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        """See `Backend.reply`."""
        return self._replies(conversations, sampling, "")

    def rate(self, conversations: Sequence[Conversation]) -> list[Reply]:
        """See `Backend.rate`; the reply is forced up to its rating."""
        forced = self._replies(conversations, Sampling(max_tokens=RATING_TOKENS), RATING_PREFIX)
        return [
            Reply(leading_number(reply.text), rating=reply.rating, finish="rating", rating_mass=reply.rating_mass)
            for reply in forced
        ]

    def rate_levels(self, conversations: Sequence[Conversation], stem: str, levels: Mapping[str, float]) -> list[Reply]:
        """See `Backend.rate_levels`; a word of several tokens counts with the product of their probabilities."""
        if not conversations:
            return []
        before = self.tokenizer.encode(stem, add_special_tokens=False)
        words = {word: self.tokenizer.encode(f"{stem} {word}", add_special_tokens=False) for word in levels}
        if any(ids[: len(before)] != before for ids in words.values()):
            raise BackendError(f"{self.name}: a level joins the text before it in one token; use another protocol")
        tails = {word: tuple(ids[len(before) :]) for word, ids in words.items()}
        kept = sorted({token for ids in tails.values() for token in ids})
        made = self._generate(conversations, Sampling(max_tokens=max(map(len, tails.values()))), stem, kept)
        rows = list(range(len(conversations)))
        masses = expand_words(rows, self._following(made, conversations, stem, dict.fromkeys(rows, 0)), tails)
        return [
            Reply(
                "", rating=level_distribution(masses[row], levels), finish="rating",
                rating_mass=min(1.0, sum(masses[row].values())),
            )
            for row in rows
        ]  # fmt: skip

    def box_scale(self, view: View) -> tuple[float, float] | None:
        """See `Backend.box_scale`; by the model type of the checkpoint."""
        return box_scale(str(self.model.config.model_type), self.inputs.size(view))

    def _replies(self, conversations: Sequence[Conversation], sampling: Sampling, prefix: str) -> list[Reply]:
        """Generate what follows a forced `prefix` of the replies; the prefix is no part of the returned texts."""
        if not conversations:
            return []
        made = self._generate(conversations, sampling, prefix, sorted(self.number_texts))
        starts = {row: start for row in range(len(conversations)) if (start := self._start(made.ids[row], prefix)) >= 0}
        following = self._following(made, conversations, prefix, starts)
        masses = expand_ratings(list(starts), following, self.number_texts)
        replies = []
        for row, conversation in enumerate(conversations):
            ids, mass = made.ids[row], masses.get(row)
            opened = "" if prefix else self.inputs.opened(self.inputs.text(conversation))
            text = opened + self.tokenizer.decode(ids, skip_special_tokens=True)
            ended = bool(ids) and ids[-1] in self.ends
            rating = None if mass is None else distribution(mass)
            total = None if mass is None else min(1.0, sum(mass.values()))
            counts: dict[str, Any] = {
                "prompt_tokens": int(made.inputs["attention_mask"][row].sum()),
                "reply_tokens": len(ids),
            }
            replies.append(
                Reply(text, ids, made.logprobs[row], rating, "stop" if ended else "length", rating_mass=total, **counts)
            )
        return replies

    def _generate(
        self, conversations: Sequence[Conversation], sampling: Sampling, prefix: str, kept: Sequence[int]
    ) -> Generated:
        inputs = self._batch(conversations, prefix)
        sampler = RowSampler(
            sampling, seeds(conversations, sampling.seed), torch.tensor(kept, device=self.model.device)
        )
        with torch.inference_mode():
            output = self.model.generate(
                **inputs,
                max_new_tokens=sampling.max_tokens,
                do_sample=False,
                logits_processor=transformers.LogitsProcessorList([sampler]),
                return_dict_in_generate=True,
            )
        prompt = inputs["input_ids"].shape[1]
        rows = [self._until_end(row) for row in output.sequences[:, prompt:].tolist()]
        logprobs = torch.stack(sampler.logprobs, dim=1).tolist()
        return Generated(
            ids=rows,
            logprobs=[tuple(row[: len(ids)]) for row, ids in zip(logprobs, rows, strict=True)],
            kept=tuple(kept),
            kept_probs=torch.stack(sampler.kept_probs, dim=1),
            inputs=inputs,
            cache=getattr(output, "cache", None) or getattr(output, "past_key_values", None),
        )

    def _batch(self, conversations: Sequence[Conversation], prefix: str) -> dict[str, Tensor]:
        """Return the inputs of a batch, on the model's device, with only what its forward pass takes."""
        encoded = self.inputs.batch(conversations, prefix)
        if "token_type_ids" not in inspect.signature(self.model.forward).parameters:
            encoded.pop("token_type_ids", None)  # tokenizers of transformers 4 may make them for any model
        return {
            name: value.to(self.model.device, self.model.dtype if value.is_floating_point() else None)
            for name, value in encoded.items()
        }

    def _until_end(self, ids: Sequence[int]) -> tuple[int, ...]:
        """Return the tokens up to the first end token; padding follows it."""
        places = [place for place, token in enumerate(ids) if token in self.ends]
        return tuple(ids[: places[0] + 1] if places else ids)

    def _following(
        self, made: Generated, conversations: Sequence[Conversation], prefix: str, starts: Mapping[int, int]
    ) -> Any:
        """Return the function that gives the probabilities after branches, as `expand_ratings` calls it.

        starts: for each row the number of generated tokens before the branches.
        """

        def following(branches: Sequence[Branch]) -> list[dict[int, float]]:
            found = self.reader.read(made, starts, branches)
            if found is None:  # a model whose cache cannot be continued
                found = torch.stack([self._whole(made, conversations, prefix, starts, branch) for branch in branches])
            return [dict(zip(made.kept, row, strict=True)) for row in found.tolist()]

        return following

    def _whole(
        self, made: Generated, conversations: Sequence[Conversation], prefix: str, starts: Mapping[int, int], at: Branch
    ) -> Tensor:
        """Return the probabilities of the kept tokens after a branch, (K,), from one pass over the whole text."""
        inputs = self._batch([conversations[at.row]], prefix)
        own = inputs["input_ids"]
        extra = torch.tensor([[*made.ids[at.row][: starts[at.row]], *at.ids]], dtype=torch.long, device=own.device)
        more = {"input_ids": extra, "attention_mask": torch.ones_like(extra)}
        longer = {
            # other inputs with one number per token mark image tokens; the reply is text, 0
            name: torch.cat([value, more.get(name, torch.zeros_like(extra))], dim=1)
            if value.shape == own.shape
            else value
            for name, value in inputs.items()
        }
        with torch.inference_mode():
            logits = self.model(**longer, use_cache=False).logits[0, -1].float()
        return torch.softmax(logits, dim=-1)[list(made.kept)].cpu()

    def _start(self, ids: Sequence[int], prefix: str) -> int:
        """Return the number of generated tokens before the last rating; -1 when the reply has no rating."""

        def text(count: int) -> str:
            return prefix + str(self.tokenizer.decode(ids[:count], skip_special_tokens=True))

        keys = list(RATING_KEY.finditer(text(len(ids))))
        if not keys:
            return -1
        low, high = 0, len(ids)  # the first count whose text goes beyond the key; texts grow with the count
        if len(text(high)) <= keys[-1].end():
            return -1
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if len(text(middle)) > keys[-1].end() else (middle + 1, high)
        return max(0, low - 1)


def _open_inputs(path: str, where: dict[str, Any], options: ModelOptions) -> Inputs:
    try:
        return Inputs(open_processor(path, **where), options)
    except BackendError as error:
        raise BackendError(str(error) if str(error).startswith("hf:") else f"hf:{path}: {error}") from error


def _open_model(path: str, where: dict[str, Any], options: ModelOptions) -> Any:
    dtype: Any = "auto"
    if options.dtype is not None:
        if options.dtype not in ("float32", "bfloat16", "float16"):
            raise ValueError(f"dtype is float32, bfloat16 or float16, not {options.dtype}")
        dtype = getattr(torch, options.dtype)
    more: dict[str, Any] = {"dtype": dtype} | where
    if options.attention is not None:
        more["attn_implementation"] = options.attention
    if options.device_map is not None:
        more["device_map"] = options.device_map
    try:
        model: Any = transformers.AutoModelForImageTextToText.from_pretrained(path, **more)
        if options.device_map is None:
            model = model.to(options.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    except (OSError, ValueError, ImportError, RuntimeError, KeyError) as error:
        problem = " ".join(str(error).split())
        raise BackendError(f"hf:{path} cannot be opened ({problem:.300}); give the folder of a checkpoint") from error
    return model.eval()


def number_texts(tokenizer: Any) -> dict[int, str]:
    """Return the tokens that can be part of a written rating, with the text that each adds to a digit before it.

    These are digits and points, maybe after white space or before "," or "}". Alone, a token of a SentencePiece
    vocabulary may lose the space that it begins with.
    """
    digit = tokenizer.encode("0", add_special_tokens=False)[-1:]
    before = tokenizer.decode(digit)
    texts = {}
    for token in range(len(tokenizer)):
        piece = tokenizer.decode([token])
        if not piece or len(piece) > 8 or set(piece) - set("0123456789. \t\n,}"):
            continue
        text = tokenizer.decode([*digit, token])[len(before) :] if digit else piece
        if text and not set(text) - set("0123456789. \t\n,}") and text.strip():
            texts[token] = text
    return texts
