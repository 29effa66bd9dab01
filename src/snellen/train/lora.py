"""Policy over transformers and peft: a LoRA adapter on any vision-language model with a chat template.

LoRA: Hu et al. 2021, arXiv 2106.09685; QLoRA: Dettmers et al. 2023, arXiv 2305.14314. The reference policy is the same
model with its adapter switched off, or with the adapter that training began with, so no second copy of the model is
kept. Replies are handled as the token ids that were sampled and are never encoded again.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from snellen.backend import BackendError, Conversation, LogProbs, Policy, Reply, Round, Sampling
from snellen.backends.transformers_inputs import open_processor
from snellen.backends.transformers_sampler import RowSampler
from snellen.train import best_device
from snellen.train.action_head import Places, action_numbers, output_layer
from snellen.train.chat_inputs import ChatInputs, padded, vision_tokens
from snellen.train.sharding import Shards, whole

if TYPE_CHECKING:
    from snellen.train.server_rollouts import ServerRollouts

TARGETS = r".*language_model.*\.(q|k|v|o|gate|up|down)_proj"
"""Modules that get an adapter, as a regular expression: attention and feed-forward of the language model. "all-linear"
of peft would also adapt the vision tower."""
ZOOM = re.compile(r'"(?:bbox_2d|tool)"\s*:\s*(\[[^\]]*\]?|"[^"]*"?)')
RATING = re.compile(r'"rating"\s*:\s*([\d.]+)')
TRAINED, REFERENCE = "default", "reference"
"""Names of the two adapters, as peft keeps them."""


@dataclass(frozen=True)
class LoraOptions:
    """Settings of the adapter and its training.

    rank, alpha: of the adapter: its update is scaled by alpha / rank. targets: modules, see `TARGETS`. long_side: of a
    view that is shown to the model, px. checkpointing: recompute activations in the backward pass, which takes a third
    more time and much less memory. quantize: "nf4" keeps the base model in 4 bits (QLoRA; needs bitsandbytes and a
    GPU), "" as the checkpoint has it. shard: spread the weights over the processes of `accelerate launch` (FSDP2).
    sample_batch: conversations that are sampled together.
    """

    rank: int = 16
    alpha: int = 32
    targets: str = TARGETS
    long_side: int = 1024
    checkpointing: bool = False
    quantize: str = ""
    shard: bool = False
    sample_batch: int = 64

    def __post_init__(self) -> None:
        if min(self.rank, self.alpha, self.long_side, self.sample_batch) < 1:
            raise ValueError("rank, alpha, long_side and sample_batch are at least 1")
        if self.quantize not in ("", "nf4"):
            raise ValueError(f'quantize is "" or "nf4", not {self.quantize!r}')


class LoraPolicy(Policy):
    """A trainable adapter on the checkpoint in the local folder `path`; no code from the checkpoint is run.

    start: folder of an adapter that `save` wrote, to go on from; it is then the reference policy. None for a new one,
    initialised with `seed`, which changes nothing at first: its second matrix is zero. processor: instead of the
    checkpoint's own. server: samples instead of this process.

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
        server: ServerRollouts | None = None,
    ) -> None:
        self.options, self.server = options or LoraOptions(), server
        if server is not None and self.options.shard:
            raise BackendError("a server samples from adapters of single processes; leave shard or server out")
        self.device = best_device()
        self.name, self.version = Path(path).name, str(path)
        base = open_base(path, self.options.quantize, self.device)
        processor = processor or open_processor(path, local_files_only=True)
        ends = base.generation_config.eos_token_id
        ends = processor.tokenizer.eos_token_id if ends is None else ends
        tokens = tuple(ends) if isinstance(ends, (list, tuple)) else (ends,)
        image_token = getattr(base.config, "image_token_id", None)
        self.inputs = ChatInputs(processor, tokens, image_token, self.options.long_side)
        self.suppressed = vision_tokens(base.config)
        peft = module("peft")
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
        self.model.eval()
        if not self.options.quantize:
            self.model.to(self.device)
        if self.options.checkpointing:
            self.model.enable_input_require_grads()
            self.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        # the base model with its adapters in place: peft's own forward would pass by the hooks of FSDP
        self.base: Any = self.model.get_base_model()
        self.shards = Shards(self.base) if self.options.shard else None
        self.sharded = self.options.shard

    @property
    def tokenizer(self) -> Any:
        """The model's tokenizer."""
        return self.inputs.tokenizer

    def rate(self, conversations: Sequence[Conversation]) -> list[Reply]:
        """Not available while the model is trained: open the saved adapter with the hf: backend."""
        raise NotImplementedError("save the adapter and open it with the hf: backend to read rating distributions")

    def sample(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        """See `Policy.sample`. Row i is drawn with a seed of its own, from `sampling.seed`, i and the round."""
        replies: list[Reply] = []
        size = self.options.sample_batch
        for begin in range(0, len(conversations), size):
            batch = conversations[begin : begin + size]
            rounds = [sum(turn.role == "user" for turn in one) for one in batch]
            seeds = [(sampling.seed * 1_000_003 + begin + i) * 101 + rounds[i] for i in range(len(batch))]
            if self.server is None:
                replies += self._sample(batch, sampling, seeds)
            else:
                replies += self.server.sample(batch, sampling, seeds, self.inputs, self.suppressed)
        return replies

    @torch.no_grad()
    def _sample(self, conversations: Sequence[Conversation], sampling: Sampling, seeds: Sequence[int]) -> list[Reply]:
        batch = self._batch([self.inputs.encode(one) for one in conversations], "left")
        sampler = RowSampler(sampling, seeds, suppressed=self.suppressed)
        transformers = module("transformers")
        # a configuration of our own: a checkpoint's may hold top-k, penalties and a temperature
        configuration = transformers.GenerationConfig(
            max_new_tokens=sampling.max_tokens,
            do_sample=False,
            eos_token_id=list(self.inputs.ends),
            pad_token_id=self.tokenizer.pad_token_id,
        )
        self.model.eval()
        output = self.base.generate(**batch, generation_config=configuration, logits_processor=[sampler])
        drawn = output[:, batch["input_ids"].shape[1] :].tolist()
        logprobs = torch.stack(sampler.logprobs, dim=1).tolist()
        return [self._reply(ids, values) for ids, values in zip(drawn, logprobs, strict=True)]

    def _reply(self, ids: Sequence[int], logprobs: Sequence[float]) -> Reply:
        ends = [i for i, token in enumerate(ids) if token in self.inputs.ends]
        length = ends[0] + 1 if ends else len(ids)  # what follows is padding
        kept = tuple(ids[:length])
        text = self.tokenizer.decode(kept, skip_special_tokens=True)
        return Reply(text, kept, tuple(logprobs[:length]), finish="stop" if ends else "length")

    def encode(self, conversation: Conversation, reply: Sequence[int] = ()) -> dict[str, Tensor]:
        """Return the model's inputs for one conversation and the reply to it, see `ChatInputs.encode`."""
        return {name: value.to(self.device) for name, value in self.inputs.encode(conversation, reply).items()}

    def reply_of(self, text: str) -> Reply:
        """Return a text as a reply to learn from, see `ChatInputs.reply_of`."""
        return self.inputs.reply_of(text)

    def rating_of(self, text: str) -> Reply:
        """Return a text as a reply of which only the rating, and the token that ends it, is learned."""
        reply = self.reply_of(text)
        kinds = ["text", *self.action_kinds(reply)]
        return replace(reply, actions=tuple("rating" in kinds[at : at + 2] for at in range(len(reply.token_ids))))

    def logprobs(self, rounds: Sequence[Round], *, reference: bool = True) -> LogProbs:
        """See `Policy.logprobs`. One padded pass over all rounds, and one for the reference policy."""
        rows = [self.inputs.encode(one.conversation, one.reply.token_ids) for one in rounds]
        begins = [row["input_ids"].shape[1] - len(one.reply.token_ids) for row, one in zip(rows, rounds, strict=True)]
        where = [(i, begins[i] + at) for i, one in enumerate(rounds) for at in one.reply.action_indices]
        batch = self._batch(rows, "right")
        row, at = (torch.tensor(column, device=self.device, dtype=torch.long) for column in zip(*where, strict=True))
        places = Places(row, at, batch["input_ids"][row, at], self.suppressed)
        hidden = None
        if reference:
            self.model.eval()
            with torch.no_grad(), self.as_reference(), output_layer(self.base, lambda _, h: places.hidden(h)):
                hidden = self.base(**batch, use_cache=False).logits
        self.model.train(self.options.checkpointing)  # there is no dropout; checkpointing needs training mode
        with output_layer(self.base, lambda layer, states: action_numbers(layer, states, places, hidden)):
            policy, entropy, kl, other = self.base(**batch, use_cache=False).logits.unbind(dim=1)
        self.model.eval()
        if hidden is None:
            return LogProbs(policy, policy.detach(), entropy, None)
        return LogProbs(policy, other.detach(), entropy, kl)

    def _batch(self, rows: Sequence[dict[str, Tensor]], side: Any) -> dict[str, Tensor]:
        batch = padded(rows, int(self.tokenizer.pad_token_id or 0), side)
        return {name: value.to(self.device) for name, value in batch.items()}

    @contextmanager
    def as_reference(self) -> Iterator[None]:
        if not self.started:
            with self.model.disable_adapter():
                yield
            return
        self.model.set_adapter(REFERENCE)
        try:
            yield
        finally:
            self.model.set_adapter(TRAINED)

    def rolling_out(self) -> AbstractContextManager[None]:
        """See `Policy.rolling_out`. A server loads the adapter as it is now."""
        if self.server is not None:
            self.server.load(self.save)
        return nullcontext() if self.shards is None or self.server is not None else self.shards.gathered()

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
        was. Of a sharded model, all processes must call it, and the first writes."""
        state = whole(module("peft").get_peft_model_state_dict(self.model, adapter_name=TRAINED))
        if self.shards is None or self.shards.first:
            self.model.save_pretrained(folder, selected_adapters=[TRAINED], state_dict=state)
            self.inputs.processor.save_pretrained(folder)

    def resume(self, folder: Path) -> None:
        """Load an adapter that `save` wrote."""
        peft = module("peft")
        state = peft.utils.load_peft_weights(str(folder), device=str(self.device))
        peft.set_peft_model_state_dict(self.model, state, adapter_name=TRAINED)


def open_base(path: str, quantize: str, device: torch.device) -> Any:
    """Open the checkpoint that gets an adapter, in 4 bits with `quantize` "nf4". Raises BackendError."""
    transformers = module("transformers")
    more: dict[str, Any] = {}
    if quantize:
        more["quantization_config"] = transformers.BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type=quantize,
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
            bnb_4bit_quant_storage=torch.bfloat16,
        )
        more["device_map"] = {"": device}
    try:
        return transformers.AutoModelForImageTextToText.from_pretrained(
            path, dtype="auto", local_files_only=True, **more
        )
    except (OSError, ValueError, ImportError) as error:
        raise BackendError(f"hf:{path} cannot be opened ({error}); give the folder of a checkpoint") from error


def module(name: str) -> Any:
    """Import a package of the extra lora. Raises BackendError where it is missing."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise BackendError(f'training hf: models needs {error.name}; run: pip install "snellen[lora]"') from error
