"""Prove a trained adapter on vLLM: python scripts/served_adapter.py SERVER_PYTHON MODEL_FOLDER [PART ...].

`snellen train sft` teaches the tiny Qwen2.5-VL of taught_qwen.py other words; `snellen train merge` writes a
checkpoint. Parts: train; merged (greedy replies of the merged weights in hf: and at a vLLM server, and the
log-probability of each of their tokens; where two part, the server's two best tokens are near-ties); rollouts (two
steps of `snellen train rl` whose rollouts a vLLM server samples, which loads the adapter anew before each). See
servers.py for SERVER_PYTHON.
"""

from __future__ import annotations

import json
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safetensors.numpy import load_file
from servers import WORK, check, free_port, server, snellen, vllm
from taught_qwen import BOX, QUESTION, picture

from snellen.backend import Conversation, Reply, Sampling
from snellen.backends import open_backend
from snellen.backends.openai import PATH, OpenAIBackend
from snellen.image import load
from snellen.options import ModelOptions
from snellen.protocol import open_protocol
from snellen.reply import Answer, Issue, Rationale, render_reply
from snellen.vocabulary import KINDS

ADAPTER, MERGED = WORK / "adapter", WORK / "merged"
LORA = "[lora]\nrank = 8\nalpha = 16\n"
WORDS = Rationale("It is very noisy.", "A crisp sky.", "Noise in the sky.", "Look at the sky.")
"""Other words than the model was taught."""
REPLIES = 20
"""Greedy replies that are compared."""
TOKENS = 200
NEAR = 0.05
"""Largest difference of two log-probabilities that counts as a near-tie."""


def toml(name: str, text: str) -> str:
    """Write a configuration and return its path."""
    file = WORK / name
    file.write_text(text, encoding="utf8")
    return str(file)


def train(model: Path, steps: int = 60) -> None:
    """Teach the words by SFT with LoRA and merge the adapter."""
    rng, lines = np.random.default_rng(2), []
    for folder in (WORK / "demonstrations", ADAPTER, MERGED):
        shutil.rmtree(folder, ignore_errors=True)
    (WORK / "demonstrations").mkdir(parents=True)
    for number in range(10):
        shown, rating = picture(rng)
        path = (WORK / "demonstrations" / f"{number}.png").resolve()
        Image.fromarray(shown.pixels).save(path)
        reply = render_reply(WORDS, Answer(BOX, rating, "crop", (Issue("noise", 4, BOX),)), 1)
        rounds = [{"region": [0.0, 0.0, 1.0, 1.0], "rating": rating, "issues": 1, "reply": reply}]
        split = "train" if number < 8 else "val"
        line = {"path": str(path), "split": split, "mos": rating, "first": rating, "first_std": 0.5, "rounds": rounds}
        lines.append(line)
    conversations = WORK / "demonstrations.jsonl"
    conversations.write_text("".join(json.dumps(one) + "\n" for one in lines), encoding="utf8")
    config = toml(
        "sft.toml",
        f'model = "hf:{model}"\nconversations = "{conversations}"\nout = "{ADAPTER}"\n{LORA}[options]\n'
        f"steps = {steps}\nbatch = 4\nmicrobatch = 4\nrate = 5e-3\nwarmup = 2\nweight_decay = 0.0\n",
    )
    snellen("train", "sft", "--config", config)
    snellen("train", "merge", "--model", f"hf:{ADAPTER}", "--out", str(MERGED))
    check(f"{steps} steps of SFT with LoRA, merged", (MERGED / "model.safetensors").is_file())


def conversations() -> list[Conversation]:
    """Return first rounds about pictures of coloured blocks, from dark to bright.

    Half have another question than was taught, to which so small a model replies with much that makes no sense and is
    different each time. The pictures have the size that the model sees, as two image processors may scale a picture
    differently.
    """
    rng, protocol, asked = np.random.default_rng(3), open_protocol("snellen"), []
    others = [f"How much {kind} is in this picture?" for kind in KINDS[: REPLIES // 2]]
    for question in [QUESTION] * (REPLIES - len(others)) + others:
        low = rng.integers(0, 200)
        blocks = rng.integers(low, low + 56, (*rng.integers(2, 12, 2), 3), dtype=np.uint8)
        shown = load(Image.fromarray(blocks).resize((112, 84), Image.Resampling.NEAREST))
        asked.append(protocol.conversation(question, [shown.view()], []))
    return asked


def near_tie(backend: OpenAIBackend, asked: Conversation, here: Reply, there: Reply, greedy: Sampling) -> bool:
    """Print where two replies part, and return whether the server's two best tokens there are nearly as probable."""
    answer: Any = backend.server.run(backend.server.post(PATH, lambda: backend.request(asked, greedy)))
    at = next(i for i, pair in enumerate(zip(here.text + "\0", there.text + "\1", strict=False)) if pair[0] != pair[1])
    written = 0
    for token in answer["choices"][0]["logprobs"]["content"]:
        written += len(token["token"])
        if written > at:
            break
    first, second = (one["logprob"] for one in token["top_logprobs"][:2])
    print(f"     part at character {at}: {here.text[at - 20 : at + 8]!r} and {there.text[at - 20 : at + 8]!r};"
          f" log-probabilities of the two best {first:.4f} and {second:.4f}")  # fmt: skip
    return bool(first - second < NEAR)


def merged(python: str) -> None:
    """Compare greedy replies of the merged weights in hf: and at a server."""
    asked, greedy, port = conversations(), Sampling(max_tokens=TOKENS), free_port()
    here = open_backend(f"hf:{MERGED}", options=ModelOptions(device="cpu")).reply(asked, greedy)
    words, different = sum("Noise in the sky" in one.text for one in here), len({one.text for one in here})
    check(f"hf: {words} of {REPLIES} replies have words of the adapter; {different} are different",
          words >= REPLIES // 2 and different > REPLIES // 4)  # fmt: skip
    with server(vllm(python, MERGED, port), port, WORK / "merged.log"):
        # by default a reply that cannot be read is asked for again, held to a schema: no greedy reply
        backend = OpenAIBackend(f"http://127.0.0.1:{port}/v1#tiny", timeout=600, structured="never")
        there = backend.reply(asked, greedy)
        parted = [one for one in zip(asked, here, there, strict=True) if one[1].text.strip() != one[2].text.strip()]
        ties = sum(near_tie(backend, *one, greedy) for one in parted)
    equal = REPLIES - len(parted)
    lengths = sorted(len(one.token_ids) for one in here)
    check(f"greedy replies of hf: and vLLM, {lengths[0]} to {lengths[-1]} tokens: {equal} of {REPLIES} equal;"
          f" of the others {ties} part at a near-tie", equal + ties == REPLIES and equal >= 0.95 * REPLIES)  # fmt: skip
    same = [one for one in zip(here, there, strict=True) if one[0].text.strip() == one[1].text.strip()]
    gap = max(float(np.abs(np.subtract(one.logprobs, other.logprobs)).max()) for one, other in same)
    check(f"log-probabilities of the tokens of equal replies differ by at most {gap:.1e}", gap < 1e-3)


def rollouts(python: str, model: Path) -> None:
    """Take two steps of GRPO whose rollouts a vLLM server samples."""
    manifest, out, port = WORK / "rollouts.jsonl", WORK / "rl", free_port()
    shutil.rmtree(out, ignore_errors=True)
    paths = sorted((WORK / "demonstrations").resolve().glob("*.png"))[:4]
    lines = [json.dumps({"path": str(path), "mos": 3.0, "split": "train"}) + "\n" for path in paths]
    manifest.write_text("".join(lines), encoding="utf8")
    config = toml(
        "rl.toml",
        f'model = "hf:{model}"\nstart = "{ADAPTER}"\nout = "{out}"\nmanifest = "{manifest}"\nheld_out = 0\n'
        # so small a model hardly ever draws a reply that can be read, so what changes the adapter is the entropy
        f'server = "http://127.0.0.1:{port}/v1#tiny"\nregulariser = "entropy"\n{LORA}[options]\nsteps = 2\n'
        f"real = 2\nsynthetic = 0\nrollouts = 2\nmax_tokens = {TOKENS}\nwarmup = 1\nrate = 1e-2\nstrength = 1.0\n"
        "microbatch = 2\n",
    )
    command = [*vllm(python, model, port), "--enable-lora", "--max-lora-rank", "8", "--max-loras", "2",
               "--logprobs-mode", "processed_logprobs"]  # fmt: skip
    with server(command, port, WORK / "rollouts.log", VLLM_ALLOW_RUNTIME_LORA_UPDATING="True"):
        snellen("train", "rl", "--config", config)
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text(encoding="utf8").splitlines()]
    for row in rows:
        print("     ", {name: row.get(name) for name in ("step", "reward", "entropy", "gap", "gap_largest")})
    said = (WORK / "rollouts.log").read_text(encoding="utf8", errors="replace")
    check(
        f"{len(rows)} steps of GRPO; the server loaded an adapter for each",
        len(rows) == 2 <= said.count("Loaded new LoRA"),
    )
    first, last = (load_file(folder / "adapter_model.safetensors") for folder in (ADAPTER, out))
    change = max(float(np.abs(last[name] - first[name]).max()) for name in first)
    check(f"the steps changed weights of the adapter by up to {change:.4f}", change > 1e-3)
    gap = max(row["gap_largest"] for row in rows)
    check(f"log-probabilities of sampling and training differ by at most {gap:.1e}", gap < 1e-2)


def main() -> None:
    """Run the parts in order."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # so that servers end too
    python, model, parts = sys.argv[1], Path(sys.argv[2]), sys.argv[3:] or ["train", "merged", "rollouts"]
    if "train" in parts:
        train(model)
    if "merged" in parts:
        merged(python)
    if "rollouts" in parts:
        rollouts(python, model)


if __name__ == "__main__":
    main()
