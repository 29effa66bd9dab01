"""Policy over transformers and peft: a LoRA adapter on any vision-language model with a chat template.

LoRA: Hu et al. 2021, arXiv 2106.09685. The reference policy is the same model with its adapter switched off, or with
the adapter that training began with, so no second copy of the model is kept. Replies are handled as the token ids that
were sampled and are never encoded again: text that is decoded and encoded does not give the same tokens.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from snellen.backend import BackendError, Conversation, LogProbs, Policy, Reply, Round, Sampling
from snellen.image import View, resample
from snellen.train import best_device
from snellen.train.regularizers import exact_entropy, exact_kl

TARGETS = r".*language_model.*\.(q|k|v|o|gate|up|down)_proj"
"""Modules that get an adapter, as a regular expression: attention and feed-forward of the language model. "all-linear"
of peft would also adapt the vision tower."""
EXACT_VOCABULARY = 8192
"""Largest vocabulary over which KL is summed exactly; above it, memory forbids a second table of log-probabilities."""
ZOOM = re.compile(r'"(?:bbox_2d|tool)"\s*:\s*(\[[^\]]*\]?|"[^"]*"?)')
RATING = re.compile(r'"rating"\s*:\s*([\d.]+)')
TRAINED, REFERENCE = "default", "reference"
"""Names of the two adapters, as peft keeps them."""
MARK = "\x00"
"""Placeholder of an assistant's turn while the chat template is rendered; no template or prompt contains it."""


@dataclass(frozen=True)
class LoraOptions:
    """rank and alpha of the adapter: its update is scaled by alpha / rank. targets: modules, see `TARGETS`. long_side:
    of a view that is shown to the model, px. checkpointing: recompute activations in the backward pass, which takes a
    third more time and much less memory."""

    rank: int = 16
    alpha: int = 32
    targets: str = TARGETS
    long_side: int = 1024
    checkpointing: bool = False


class LoraPolicy(Policy):
    """A trainable adapter on the checkpoint in the local folder `path`; no code from the checkpoint is run.

    start: folder of an adapter that `save` wrote, to go on from; it is then the reference policy. None for a new one,
    initialised with `seed`, which changes nothing at first: its second matrix is zero. processor: instead of the
    checkpoint's own, where that cannot be opened (Qwen's needs torchvision, for videos).

    Raises BackendError where a package is missing or the checkpoint cannot be opened.
    """

    def __init__(
        self,
        path: str,
        options: LoraOptions | None = None,
        *,
        start: Path | None = None,
        seed: int = 0,
        processor: Any = None,
    ) -> None:
        self.options = options or LoraOptions()
        self.device = best_device()
        try:
            transformers, peft = importlib.import_module("transformers"), importlib.import_module("peft")
        except ImportError as error:
            raise BackendError(f'training hf: models needs {error.name}; run: pip install "snellen[lora]"') from error
        try:
            self.processor = processor or transformers.AutoProcessor.from_pretrained(path, local_files_only=True)
            base: Any = transformers.AutoModelForImageTextToText.from_pretrained(
                path, dtype="auto", local_files_only=True
            )
        except (OSError, ValueError, ImportError) as error:
            raise BackendError(f"hf:{path} cannot be opened ({error}); give the folder of a checkpoint") from error
        self.tokenizer: Any = self.processor.tokenizer
        self.name, self.version = Path(path).name, str(path)
        config = peft.LoraConfig(
            r=self.options.rank, lora_alpha=self.options.alpha, target_modules=self.options.targets, lora_dropout=0.0
        )
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.model: Any = peft.get_peft_model(base, config)
        self.started = start is not None
        if start is not None:
            self.model.load_adapter(str(start), REFERENCE, is_trainable=False)
            self.resume(start)
        self.model.to(self.device).eval()
        if self.options.checkpointing:
            self.model.enable_input_require_grads()
            self.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        self.generation = transformers.GenerationConfig

    def rate(self, conversations: Sequence[Conversation]) -> list[Reply]:
        """Not available while the model is trained: open the saved adapter with the hf: backend."""
        raise NotImplementedError("save the adapter and open it with the hf: backend to read rating distributions")

    def sample(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        """Return one reply for each conversation. Row i is drawn with a seed of its own, from `sampling.seed` and i."""
        return [self._sample(one, sampling, i) for i, one in enumerate(conversations)]

    @torch.no_grad()
    def _sample(self, conversation: Conversation, sampling: Sampling, row: int) -> Reply:
        inputs = self.encode(conversation)
        rounds = sum(turn.role == "user" for turn in conversation)
        with torch.random.fork_rng():
            torch.manual_seed((sampling.seed * 1_000_003 + row) * 101 + rounds)
            output = self.model.generate(**inputs, generation_config=self._generation(sampling))
        ids = tuple(output.sequences[0, inputs["input_ids"].shape[1] :].tolist())
        logprobs = tuple(
            float(torch.log_softmax(scores[0].float(), dim=-1)[token])
            for scores, token in zip(output.scores, ids, strict=True)
        )
        ended = bool(ids) and ids[-1] in self._ends()
        text = self.tokenizer.decode(ids, skip_special_tokens=True)
        return Reply(text, ids, logprobs, finish="stop" if ended else "length")

    def _generation(self, sampling: Sampling) -> Any:
        # a configuration of our own: a checkpoint's may hold top-k, penalties and a temperature
        sampled = {"do_sample": True, "temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}
        return self.generation(
            max_new_tokens=sampling.max_tokens,
            **(sampled if sampling.temperature > 0.0 else {"do_sample": False}),
            eos_token_id=list(self._ends()),
            pad_token_id=self.tokenizer.pad_token_id,
            return_dict_in_generate=True,
            output_scores=True,
        )

    def _ends(self) -> tuple[int, ...]:
        ends = self.model.generation_config.eos_token_id
        ends = self.tokenizer.eos_token_id if ends is None else ends
        return tuple(ends) if isinstance(ends, (list, tuple)) else (ends,)

    def encode(self, conversation: Conversation, reply: Sequence[int] = ()) -> dict[str, Tensor]:
        """Return the model's inputs for one conversation and the token ids of the reply to it, batch size 1.

        The chat template is rendered with a placeholder for each assistant's turn; the text between placeholders is
        tokenised, with its pictures, and the turns' own token ids go in between.
        """
        messages, pictures = [], []
        for turn in conversation:
            content: list[dict[str, str]] = []
            for part in [MARK] if turn.role == "assistant" else turn.parts():
                if isinstance(part, View):
                    pixels = resample(part.picture, part.region, self.options.long_side)
                    pictures.append(Image.fromarray(pixels))
                    content.append({"type": "image"})
                else:
                    content.append({"type": "text", "text": part})
            messages.append({"role": turn.role, "content": content})
        text = self.processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        texts = text.split(MARK)
        replies = [self._reply_ids(turn) for turn in conversation if turn.role == "assistant"]
        counts = [len(turn.views) for turn in conversation if turn.role == "user"]
        parts: list[dict[str, Tensor]] = []
        shown = 0
        for piece, count, ids in zip(texts, counts, [*replies, tuple(reply)], strict=True):
            images = pictures[shown : shown + count] or None
            shown += count
            encoded = dict(self.processor(text=[piece], images=images, return_tensors="pt"))
            ended = bool(parts) and int(encoded["input_ids"][0, 0]) == int(parts[-1]["input_ids"][0, -1])
            if ended and int(encoded["input_ids"][0, 0]) in self._ends():  # the reply brought its end token
                encoded = {
                    name: value[:, 1:] if value.shape == encoded["input_ids"].shape else value
                    for name, value in encoded.items()
                }
            parts += [encoded, _text_inputs(ids, encoded)]
        return {name: value.to(self.device) for name, value in _joined(parts).items()}

    def _reply_ids(self, turn: Any) -> tuple[int, ...]:
        return turn.token_ids or self.reply_of(turn.text).token_ids

    def reply_of(self, text: str) -> Reply:
        """Return a text as a reply to learn from: its tokens and an end token, all of them actions."""
        ids = tuple(self.tokenizer.encode(text, add_special_tokens=False))
        return Reply(text, (*ids, self.tokenizer.eos_token_id))

    def logprobs(self, rounds: Sequence[Round], *, reference: bool = True) -> LogProbs:
        """See `Policy.logprobs`. One padded pass over all rounds, and one without adapter for the reference policy."""
        rows = [self.encode(one.conversation, one.reply.token_ids) for one in rounds]
        lengths = [row["input_ids"].shape[1] for row in rows]
        begins = [n - len(one.reply.token_ids) for n, one in zip(lengths, rounds, strict=True)]
        places = [(i, begins[i] + at) for i, one in enumerate(rounds) for at in one.reply.action_indices]
        batch = _padded(rows, int(self.tokenizer.pad_token_id or 0))
        row, at = (torch.tensor(column, device=self.device, dtype=torch.long) for column in zip(*places, strict=True))
        taken = batch["input_ids"][row, at][:, None]
        self.model.train(self.options.checkpointing)  # there is no dropout; checkpointing needs training mode
        logp = self._log_softmax(batch, row, at)
        policy = logp.gather(1, taken)[:, 0]
        if not reference:
            return LogProbs(policy, policy.detach(), exact_entropy(logp), None)
        with torch.no_grad(), self._as_reference():
            ref = self._log_softmax(batch, row, at)
        self.model.eval()
        kl = exact_kl(logp, ref) if logp.shape[1] <= EXACT_VOCABULARY else None
        return LogProbs(policy, ref.gather(1, taken)[:, 0], exact_entropy(logp), kl)

    def _log_softmax(self, batch: dict[str, Tensor], row: Tensor, at: Tensor) -> Tensor:
        """Log-probabilities of the tokens at places (row, at), (N, V)."""
        logits = self.model(**batch, use_cache=False).logits
        return torch.log_softmax(logits[row, at - 1].float(), dim=1)

    @contextmanager
    def _as_reference(self) -> Iterator[None]:
        if not self.started:
            with self.model.disable_adapter():
                yield
            return
        self.model.set_adapter(REFERENCE)
        try:
            yield
        finally:
            self.model.set_adapter(TRAINED)

    def action_kinds(self, reply: Reply) -> list[str]:
        """Return "rating" for tokens of the written rating, "zoom" for those of tool and box, "text" for the rest."""
        ends = [len(self.tokenizer.decode(reply.token_ids[: i + 1])) for i in range(len(reply.token_ids))]
        answer = reply.text.rfind("<answer>")
        spans = [("zoom", match.span(1)) for match in list(ZOOM.finditer(reply.text, max(0, answer)))]
        spans = spans[:2] + [("rating", match.span(1)) for match in RATING.finditer(reply.text, max(0, answer))]
        kinds = []
        for begin, end in zip([0, *ends], ends, strict=False):
            inside = [kind for kind, (first, last) in spans if begin < last and first < end]
            kinds.append(inside[0] if inside else "text")
        return [kinds[i] for i in reply.action_indices]

    def parameters(self) -> Iterator[nn.Parameter]:
        """The adapter's matrices."""
        return (parameter for parameter in self.model.parameters() if parameter.requires_grad)

    def save(self, folder: Path) -> None:
        """Write the adapter and the processor; transformers opens the folder as long as the base model is where it
        was."""
        self.model.save_pretrained(folder, selected_adapters=[TRAINED])
        self.processor.save_pretrained(folder)

    def resume(self, folder: Path) -> None:
        """Load an adapter that `save` wrote."""
        peft = importlib.import_module("peft")
        state = peft.utils.load_peft_weights(str(folder), device=str(self.device))
        peft.set_peft_model_state_dict(self.model, state, adapter_name=TRAINED)


def _text_inputs(ids: Sequence[int], like: dict[str, Tensor]) -> dict[str, Tensor]:
    """Token ids of a reply as inputs, with every per-token input that `like` has; they are text, so the rest is 0."""
    tokens = torch.tensor([list(ids)], dtype=torch.long)
    per_token = {name for name, value in like.items() if value.shape == like["input_ids"].shape}
    inputs = {name: torch.zeros_like(tokens) for name in per_token}
    return inputs | {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}


def _joined(parts: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Join inputs one after the other: those with a number per token along the tokens, pictures along the pictures."""
    per_token = {name for name, value in parts[-1].items() if value.shape == parts[-1]["input_ids"].shape}
    return {
        name: torch.cat([part[name] for part in parts if name in part], dim=1 if name in per_token else 0)
        for name in dict.fromkeys(name for part in parts for name in part)
    }


def _padded(rows: Sequence[dict[str, Tensor]], pad: int) -> dict[str, Tensor]:
    """Pad rows on the right to one length and stack them; padding is masked, so it changes no row."""
    length = max(row["input_ids"].shape[1] for row in rows)
    batch = {}
    for name, first in rows[0].items():
        if first.shape != rows[0]["input_ids"].shape:
            batch[name] = torch.cat([row[name] for row in rows])
            continue
        fill = pad if name == "input_ids" else 0
        padded = [nn.functional.pad(row[name], (0, length - row[name].shape[1]), value=fill) for row in rows]
        batch[name] = torch.cat(padded)
    return batch
