"""Rollouts from a server that plays vLLM: it samples from the adapter that it was last told to load."""

from __future__ import annotations

import base64
import io
import json
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

pytest.importorskip("peft")
pytest.importorskip("httpx")

from scripted_server import Answer, Asked, serve
from test_lora import OPTIONS, _samples, asked, picture
from tiny_qwen import make_model

from snellen.backend import BackendError, Reply, Sampling
from snellen.backends.transformers_sampler import RowSampler
from snellen.train.grpo import RlOptions, train_grpo
from snellen.train.lora import LoraPolicy
from snellen.train.regularizers import entropy_bonus
from snellen.train.server_rollouts import ServerRollouts

RL = RlOptions(
    steps=2, real=1, synthetic=0, rollouts=3, max_tokens=4, rate=5e-2, warmup=1, mask_truncated=False,
    rewards=(("format", 1.0),),
)  # fmt: skip


class Player:
    """Plays vLLM with adapters: /v1/load_lora_adapter, /v1/unload_lora_adapter, /v1/models, /v1/chat/completions."""

    def __init__(self, base: Path) -> None:
        self.policy = LoraPolicy(str(base), OPTIONS)
        self.adapters: list[str] = []
        self.lock = threading.Lock()  # a model of transformers keeps positions of the conversation that it is in

    def __call__(self, request: Asked) -> Answer:
        if request.path.endswith("/models"):
            return Answer({"data": [{"id": name} for name in ["base", *self.adapters]]})
        if request.path.endswith("/load_lora_adapter"):
            self.policy.resume(Path(request.body["lora_path"]))
            self.adapters.append(request.body["lora_name"])
            return Answer(b"Success: LoRA adapter added.")
        if request.path.endswith("/unload_lora_adapter"):
            self.adapters.remove(request.body["lora_name"])
            return Answer(b"Success: LoRA adapter removed.")
        assert request.body["model"] == self.adapters[-1]
        with self.lock:
            return Answer(self.complete(request.body))

    def complete(self, body: dict[str, Any]) -> dict[str, Any]:
        images, messages = [], []
        for turn in body["messages"]:
            content: Any = turn["content"]
            content = [{"type": "text", "text": content}] if isinstance(content, str) else content
            for part in content:
                if part["type"] == "image_url":
                    images.append(Image.open(io.BytesIO(base64.b64decode(part["image_url"]["url"].partition(",")[2]))))
            parts = [one if one["type"] == "text" else {"type": "image"} for one in content]
            messages.append({"role": turn["role"], "content": parts})
        processor = self.policy.inputs.processor
        text = processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        inputs = processor(text=[text], images=images, return_tensors="pt")
        never = [int(one) for one in body["logit_bias"]]
        sampler = RowSampler(Sampling(body["temperature"]), [body["seed"]], suppressed=never)
        with torch.no_grad():
            output = self.policy.base.generate(
                **inputs, max_new_tokens=body["max_tokens"], do_sample=False, logits_processor=[sampler]
            )
        ids = output[0, inputs["input_ids"].shape[1] :].tolist()
        listed = [
            {"token": f"token_id:{i}", "logprob": float(p[0])} for i, p in zip(ids, sampler.logprobs, strict=True)
        ]
        ended = ids[-1] in self.policy.inputs.ends
        choice = {
            "message": {"role": "assistant", "content": "?"}, "finish_reason": "stop" if ended else "length",
            "token_ids": ids, "logprobs": {"content": listed},
        }  # fmt: skip
        return {"choices": [choice], "prompt_token_ids": inputs["input_ids"][0].tolist()}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("tiny"))


def test_every_step_samples_from_the_adapter_as_it_is(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(Player(base)) as server:
        rollouts = ServerRollouts(f"{server.address}#base", tmp_path / "adapters", OPTIONS.long_side)
        policy = LoraPolicy(str(base), OPTIONS, server=rollouts)
        train_grpo(RL, policy, _samples(tmp_path), [], tmp_path / "out", regulariser=entropy_bonus)
        chats = [one.body for one in server.chats if "messages" in one.body]
    rows = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    assert max(row["gap_largest"] for row in rows) < 1e-3, "the weights that are trained are those that sampled"
    names = [one["model"] for one in chats]
    assert all((one["top_k"], one["repetition_penalty"]) == (-1, 1.0) for one in chats), "not the checkpoint's own"
    assert names == [names[0]] * 3 + [names[3]] * 3 and names[0] != names[3], "a name for each step"
    assert rollouts.drifted == 0 and len({one["seed"] for one in chats}) == 6, "each rollout has a seed of its own"
    assert [one.name for one in (tmp_path / "adapters").iterdir()] == names[-1:], "older ones are removed"


def test_a_reply_to_another_prompt_is_not_learned_from(base: Path, tmp_path: Path) -> None:
    with serve(Player(base)) as server:
        rollouts = ServerRollouts(f"{server.address}#base", tmp_path, OPTIONS.long_side)
        policy = LoraPolicy(str(base), OPTIONS, server=rollouts)
        policy.rolling_out()
        shown = picture(0)
        letters = tuple(policy.tokenizer.convert_tokens_to_ids(list('final", "issues": []}</answer>')))
        spelt = Reply('final", "issues": []}</answer>', letters)  # one token, where the tokenizer encodes the text
        (drifted,) = policy.sample([asked(shown, spelt)], Sampling(1.0, max_tokens=2))
        assert (drifted.finish, rollouts.drifted) == ("length", 1)
        policy.sample([asked(shown, policy.reply_of(spelt.text))], Sampling(1.0, max_tokens=2))
        assert rollouts.drifted == 1


def test_a_server_that_does_not_load_adapters_is_named(base: Path, tmp_path: Path) -> None:
    with serve(lambda request: Answer({"data": [{"id": "base"}]})) as server:
        policy = LoraPolicy(
            str(base), OPTIONS, server=ServerRollouts(f"{server.address}#base", tmp_path, OPTIONS.long_side)
        )
        with pytest.raises(BackendError, match="start it with --enable-lora"):
            policy.rolling_out()
