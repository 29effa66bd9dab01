"""Vision-language models of Hugging Face transformers, from a local folder; needs the extra `hf`."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from snellen.backend import Backend, BackendError, Conversation, RatingDistribution, Reply, Sampling
from snellen.backends.box_units import box_scale
from snellen.backends.rating_tokens import RATING_KEY, RATING_TOKENS, leading_number, rating_by_expansion
from snellen.image import View
from snellen.reply import RATING_PREFIX
from snellen.usage import MissingExtra

if TYPE_CHECKING:
    import torch


class HfBackend(Backend):
    """A checkpoint that `AutoModelForImageTextToText` opens; no code of the checkpoint is run.

    Conversations run one by one, so that padding cannot change a score. The rating distribution is exact, except for
    token sequences with a probability below 0.001.

    Args:
        path: a local folder, or the name of a model in the local cache.
        long_side: longest side of a view, px; views are cut from the picture's own pixels.
        device: torch device, by default "cuda" where there is one.

    Raises:
        BackendError: the checkpoint cannot be opened.
        MissingExtra: torch or transformers is not installed.
    """

    def __init__(self, path: str, *, long_side: int = 1024, device: str | None = None) -> None:
        try:
            import torch

            transformers = _transformers()
        except ImportError as error:
            raise MissingExtra(f"hf: models need {error.name}", "hf") from error
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.long_side = long_side
        try:
            self.processor: Any = transformers.AutoProcessor.from_pretrained(path, local_files_only=True)
            model: Any = transformers.AutoModelForImageTextToText.from_pretrained(
                path, dtype="auto", local_files_only=True
            )
        except (OSError, ValueError) as error:
            raise BackendError(f"hf:{path} cannot be opened ({error}); give the folder of a checkpoint") from error
        self.model = model.to(self.device).eval()
        self.name = Path(path).name
        self.version = str(getattr(self.model.config, "_commit_hash", None) or path)
        self.tokenizer: Any = self.processor.tokenizer
        self.number_texts = _number_texts(self.tokenizer)

    def reply(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        """See `Backend.reply`."""
        return [self._reply(conversation, sampling) for conversation in conversations]

    def rate(self, conversations: Sequence[Conversation]) -> list[Reply]:
        """See `Backend.rate`; the reply is forced up to its rating."""
        sampling = Sampling(max_tokens=RATING_TOKENS)
        forced = [self._reply(conversation, sampling, RATING_PREFIX) for conversation in conversations]
        return [Reply(leading_number(reply.text), rating=reply.rating, finish="rating") for reply in forced]

    def box_scale(self, view: View) -> tuple[float, float] | None:
        """See `Backend.box_scale`; by the model type of the checkpoint."""
        height, width = view.shown(self.long_side).shape[:2]
        return box_scale(str(self.model.config.model_type), (width, height))

    def _reply(self, conversation: Conversation, sampling: Sampling, prefix: str = "") -> Reply:
        """Generate what follows a forced `prefix` of the reply; the prefix is no part of the returned text."""
        import torch

        inputs = self._inputs(conversation, prefix)
        prompt = inputs["input_ids"].shape[1]
        cuda = [torch.device(self.device)] if self.device.startswith("cuda") else []
        with torch.inference_mode(), torch.random.fork_rng(devices=cuda):
            torch.manual_seed(sampling.seed)
            output = self.model.generate(**inputs, generation_config=self._generation(sampling))
        ids = tuple(int(token) for token in output.sequences[0, prompt:])
        # scores are after temperature and top-p: the distribution that the tokens were sampled from
        logprobs = tuple(
            float(torch.log_softmax(scores[0].float(), dim=-1)[token])
            for scores, token in zip(output.scores, ids, strict=True)
        )
        text = self.tokenizer.decode(ids, skip_special_tokens=True)
        ended = bool(ids) and ids[-1] in self._ends()
        rating = self._rating(inputs, ids, prefix)
        return Reply(text, ids, logprobs, rating, "stop" if ended else "length")

    def _inputs(self, conversation: Conversation, prefix: str) -> dict[str, torch.Tensor]:
        messages, images = [], []
        for turn in conversation:
            content: list[dict[str, str]] = []
            for part in turn.parts():
                if isinstance(part, View):
                    images.append(Image.fromarray(part.shown(self.long_side)))
                    content.append({"type": "image"})
                else:
                    content.append({"type": "text", "text": part})
            messages.append({"role": turn.role, "content": content})
        text = self.processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True) + prefix
        batch = self.processor(text=[text], images=images or None, return_tensors="pt").to(self.device)
        return dict(batch)

    def _generation(self, sampling: Sampling) -> Any:
        # our own configuration: those of checkpoints set top-k, penalties and lengths
        own = self.model.generation_config
        sampled = {"do_sample": True, "temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}
        return _transformers().GenerationConfig(
            max_new_tokens=sampling.max_tokens,
            **(sampled if sampling.temperature > 0.0 else {"do_sample": False}),
            eos_token_id=own.eos_token_id,
            pad_token_id=own.pad_token_id if own.pad_token_id is not None else self.tokenizer.pad_token_id,
            bos_token_id=own.bos_token_id,
            return_dict_in_generate=True,
            output_scores=True,
        )

    def _ends(self) -> tuple[int, ...]:
        ends = self.model.generation_config.eos_token_id
        return tuple(ends) if isinstance(ends, (list, tuple)) else (ends,)

    def _rating(self, inputs: dict[str, torch.Tensor], ids: tuple[int, ...], prefix: str) -> RatingDistribution | None:
        import torch

        before = self._before_rating(ids, prefix)
        if before is None:
            return None

        def next_tokens(written: tuple[int, ...]) -> Mapping[int, float]:
            extra = torch.tensor([[*ids[:before], *written]], dtype=torch.long, device=self.device)
            more = {"input_ids": extra, "attention_mask": torch.ones_like(extra)}
            longer = {
                # other inputs with one number per token mark image tokens; the reply is text, 0
                name: torch.cat([value, more.get(name, torch.zeros_like(extra))], dim=1)
                if value.shape == inputs["input_ids"].shape
                else value
                for name, value in inputs.items()
            }
            with torch.inference_mode():
                logits = self.model(**longer, use_cache=False).logits[0, -1].float()
            probs = torch.softmax(logits, dim=-1)
            return {token: float(probs[token]) for token in self.number_texts}

        return rating_by_expansion(next_tokens, self.number_texts)

    def _before_rating(self, ids: tuple[int, ...], prefix: str) -> int | None:
        """Return the number of generated tokens before the rating; None when the reply has no rating."""
        text = prefix + self.tokenizer.decode(ids, skip_special_tokens=True)
        keys = list(RATING_KEY.finditer(text))
        if not keys:
            return None
        for count in range(len(ids) + 1):
            if len(prefix + self.tokenizer.decode(ids[:count], skip_special_tokens=True)) > keys[-1].end():
                return count - 1
        return None


def _transformers() -> Any:
    return importlib.import_module("transformers")  # by name: type checks run without this extra


def _number_texts(tokenizer: Any) -> dict[int, str]:
    """Return the tokens that can be part of a written rating: digits, points, and a space before or a mark after."""
    texts = {}
    for token in range(len(tokenizer)):
        text = tokenizer.decode([token])
        if text in (",", "}") or (text.strip(" ,}") and len(text) <= 6 and not set(text) - set("0123456789. ,}")):
            texts[token] = text
    return texts
