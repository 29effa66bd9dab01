"""Train, merge and serve a LoRA adapter: python scripts/served_adapter.py train MODEL_FOLDER
then, with a server (see servers.py) of build/servers/merged: python scripts/served_adapter.py compare URL#MODEL
and with a server of MODEL_FOLDER that loads adapters: python scripts/served_adapter.py rollouts URL#MODEL MODEL_FOLDER

`train` teaches the tiny Qwen2.5-VL of taught_qwen.py other words by SFT and merges the adapter. `compare` counts greedy
replies that are equal in hf: and at the server, and prints where others part. `rollouts` takes two steps of GRPO.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image
from servers import WORK, check
from taught_qwen import BOX, QUESTION, picture

from snellen.backend import Conversation, Sampling, open_backend
from snellen.backends.openai import OpenAIBackend
from snellen.cli import main as main_command
from snellen.options import ModelOptions
from snellen.protocol import open_protocol
from snellen.region import FULL
from snellen.reply import Answer, Issue, Rationale, render_reply
from snellen.train.demonstrations import Demonstrations
from snellen.train.lora import LoraOptions, LoraPolicy
from snellen.train.merge import merge
from snellen.train.sft import SftOptions, train_sft

ADAPTER, MERGED = WORK / "adapter", WORK / "merged"
OPTIONS = LoraOptions(rank=8, alpha=16)
TOKENS = 160
WORDS = Rationale("It is very noisy.", "A crisp sky.", "Noise in the sky.", "Look at the sky.")
"""Other words than the model was taught."""


def train(model: Path, steps: int = 12) -> None:
    """Teach the words by SFT, save the adapter, merge it."""
    rng, lines = np.random.default_rng(2), []
    folder = WORK / "demonstrations"
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(8):
        shown, rating = picture(rng)
        path = folder / f"{number}.png"
        Image.fromarray(shown.pixels).save(path)
        noise = (Issue("noise", 4, FULL),)
        first = render_reply(WORDS, Answer(BOX, rating, "crop", noise), 1)
        lines.append({"path": str(path), "rounds": [{"region": [0.0, 0.0, 1.0, 1.0], "reply": first}]})
    policy = LoraPolicy(str(model), OPTIONS)
    options = SftOptions(steps=steps, batch=4, microbatch=4, rate=5e-3, warmup=2, weight_decay=0.0,
                         checkpoint_every=steps, validate_every=steps)  # fmt: skip
    demonstrations = Demonstrations(lines, policy.reply_of)
    train_sft(options, policy, demonstrations, demonstrations[:2], ADAPTER)
    merge(ADAPTER, MERGED)
    print(f"     {steps} steps of SFT, merged")


def conversations(count: int) -> list[Conversation]:
    """Return first rounds with new pictures."""
    rng = np.random.default_rng(3)
    return [open_protocol("snellen").conversation(QUESTION, [picture(rng)[0].view()], []) for _ in range(count)]


def compare(address: str, count: int = 20) -> None:
    """Compare greedy replies of the merged weights in hf: and at a server."""
    asked, greedy = conversations(count), Sampling(max_tokens=TOKENS)
    here = open_backend(f"hf:{MERGED}", options=ModelOptions(device="cpu")).reply(asked, greedy)
    there = OpenAIBackend(address, timeout=600).reply(asked, greedy)
    equal = [one.text.strip() == other.text.strip() for one, other in zip(here, there, strict=True)]
    for one, other, same in zip(here, there, equal, strict=True):
        if not same:
            at = next((i for i, (a, b) in enumerate(zip(one.text, other.text, strict=False)) if a != b), -1)
            print(f"     part at character {at}: {one.text[at - 20 : at + 8]!r} and {other.text[at - 20 : at + 8]!r};"
                  f" the server's least sure token has probability {np.exp(min(other.logprobs)):.2f}")  # fmt: skip
    words = sum("very noisy" in one.text for one in here)
    check(f"merged weights: {words} of {count} replies have the words of the adapter", words == count)
    check(f"greedy replies of hf: and the server equal in {sum(equal)} of {count}", sum(equal) >= 0.95 * count)


def rollouts(address: str, model: Path) -> None:
    """Take two steps of GRPO whose rollouts the server samples, with the adapter loaded anew before each."""
    pictures = WORK / "rollouts.jsonl"
    with pictures.open("w", encoding="utf8") as file:
        for path in sorted((WORK / "demonstrations").glob("*.png"))[:4]:
            file.write(json.dumps({"path": str(path.resolve()), "mos": 3.0, "split": "train"}) + "\n")
    out = WORK / f"rl-{int(time.time())}"
    config = WORK / "rl.toml"
    config.write_text(
        f'model = "hf:{model}"\nstart = "{ADAPTER}"\nout = "{out}"\nmanifest = "{pictures}"\nserver = "{address}"\n'
        f"held_out = 0\n[lora]\nrank = {OPTIONS.rank}\nalpha = {OPTIONS.alpha}\n[options]\nsteps = 2\nreal = 2\n"
        f"synthetic = 0\nrollouts = 2\nmax_tokens = {TOKENS}\nwarmup = 1\nmicrobatch = 2\n",
        encoding="utf8",
    )
    assert main_command(["train", "rl", str(config)]) == 0
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text(encoding="utf8").splitlines()]
    steps = [row for row in rows if "gap" in row]
    for row in steps:
        print("     ", {name: row.get(name) for name in ("step", "gap", "gap_largest", "drifted", "reward")})
    check(f"{len(steps)} steps, each with its adapter from the server", len(steps) == 2)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["train", folder]:
            train(Path(folder))
        case ["compare", url]:
            compare(url)
        case ["rollouts", url, folder]:
            rollouts(url, Path(folder))
        case _:
            sys.exit(__doc__)
