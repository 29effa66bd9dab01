"""Rollouts from a vLLM server, which loads the adapter anew in every step.

    VLLM_ALLOW_RUNTIME_LORA_UPDATING=True python -m vllm.entrypoints.openai.api_server --model BASE \\
        --enable-lora --max-lora-rank 16 --max-loras 2 --logprobs-mode processed_logprobs --generation-config vllm

The server reads the adapter from the run's folder, so both see one file system. --max-lora-rank is the adapter's rank
or more, of 1, 8, 16, 32, 64, 128, 256, 320, 512. Every step's adapter has a name of its own: under one name, vLLM goes
on with cached prefixes of the weights before (vllm-project/vllm#42125).

The server returns the token ids of prompt and reply. A reply is trained on as these ids. A later round, whose prompt
the server makes from text, may hold other tokens than were sampled; such a reply, or one to a picture that the server
encoded otherwise, is handed back as cut off, so that it is rewarded but not learned from, and counted in `drifted`.
"""

from __future__ import annotations

import asyncio
import shutil
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from snellen.backend import BackendError, Conversation, Reply, Sampling
from snellen.backends.abilities import Abilities
from snellen.backends.chat_server import ChatServer, RequestError
from snellen.backends.openai import PATH, OpenAIBackend
from snellen.train.chat_inputs import ChatInputs


class ServerRollouts:
    """A vLLM server that samples for a policy.

    Args:
        address: http://HOST/v1#MODEL, where MODEL is the base model's name there.
        folder: where adapters are written for the server.
        long_side: longest side of a view, px: `LoraOptions.long_side` of the policy.

    Attributes:
        drifted: replies so far whose prompt was another one at the server.
    """

    def __init__(self, address: str, folder: Path, long_side: int) -> None:
        self.backend = OpenAIBackend(address, long_side=long_side, abilities=Abilities(top_logprobs=0, neutral=True))
        self.folder = folder.absolute()
        self.loaded = ""
        self.drifted = 0
        self._run = uuid.uuid4().hex[:8]  # other processes, and runs that were killed, have names of their own
        self._number = 0

    def load(self, save: Callable[[Path], None]) -> None:
        """Write the adapter with `save` and let the server load it, then unload and remove the one before.

        Raises BackendError where the server does not list it afterwards.
        """
        self._number += 1
        before, name = self.loaded, f"snellen-{self._run}-{self._number:06d}"
        save(self.folder / name)
        self._tell("/load_lora_adapter", {"lora_name": name, "lora_path": str(self.folder / name)})
        assert isinstance(self.backend.server, ChatServer)
        listed = self.backend.server.run(self.backend.server.get("/models"))
        if name not in [model.get("id") for model in listed.get("data", [])]:
            remedy = "start it with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True, on the same file system"
            raise BackendError(f"{self.backend.server.shown}: it has not loaded {self.folder / name}; {remedy}")
        self.loaded = name
        if before:
            self._tell("/unload_lora_adapter", {"lora_name": before})
            shutil.rmtree(self.folder / before)

    def _tell(self, path: str, body: dict[str, str]) -> None:
        try:
            self.backend.server.run(self.backend.server.post(path, lambda: body))
        except RequestError as error:
            if error.status is not None or error.temporary:  # an answer that is a sentence, not JSON, is none
                raise

    def sample(
        self,
        conversations: Sequence[Conversation],
        sampling: Sampling,
        seeds: Sequence[int],
        inputs: ChatInputs,
        suppressed: Sequence[int],
    ) -> list[Reply]:
        """Return one reply for each conversation, drawn with its own seed, with token ids and log-probabilities.

        Raises BackendError where a request fails, or the server returns no token ids.
        """

        async def all_of_them() -> list[Any]:
            asked = [self._ask(*one, sampling, suppressed) for one in zip(conversations, seeds, strict=True)]
            return list(await asyncio.gather(*asked))

        answers = self.backend.server.run(all_of_them())
        return [self._reply(*one, inputs) for one in zip(answers, conversations, strict=True)]

    async def _ask(self, conversation: Conversation, seed: int, sampling: Sampling, suppressed: Sequence[int]) -> Any:
        def body() -> dict[str, Any]:
            request = self.backend.request(conversation, sampling, seed=seed % 2**31)
            bias = {str(token): -100 for token in suppressed}
            more = {"model": self.loaded, "logprobs": True, "top_logprobs": 0, "return_token_ids": True}
            return request | more | {"logit_bias": bias}

        return await self.backend.server.post(PATH, body)

    def _reply(self, answer: Any, conversation: Conversation, inputs: ChatInputs) -> Reply:
        try:
            (choice,) = answer["choices"]
            ids = tuple(int(one) for one in choice["token_ids"])
            prompt = [int(one) for one in answer["prompt_token_ids"]]
            logprobs = tuple(float(one["logprob"]) for one in choice["logprobs"]["content"])
            ended = choice["finish_reason"] == "stop"
        except (KeyError, TypeError, ValueError) as error:
            problem = f"{self.backend.server.shown}: no token ids in the answer ({error!r})"
            raise BackendError(f"{problem}; rollouts need vLLM 0.10.2 or later") from error
        if len(ids) != len(logprobs):
            raise BackendError(f"{self.backend.server.shown}: {len(ids)} tokens but {len(logprobs)} log-probabilities")
        text = inputs.tokenizer.decode(ids, skip_special_tokens=True)
        same = inputs.encode(conversation)["input_ids"][0].tolist() == prompt
        self.drifted += not same
        return Reply(text, ids, logprobs, finish="stop" if ended and same else "length")
