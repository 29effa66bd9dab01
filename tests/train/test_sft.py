"""Supervised fine-tuning of snellen-1's decoder on demonstrated decisions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from snellen.assessor import Assessor
from snellen.backend import Round
from snellen.data.sample import Sample
from snellen.image import load
from snellen.train.sft import SftOptions, batch_of, train_sft, validate
from snellen.train.snellen1.demonstrations import demonstrations
from snellen.train.snellen1.policy import Snellen1Policy

Samples = tuple[list[Sample], list[Sample]]


def all_rounds(policy: Snellen1Policy, samples: Samples) -> list[Round]:
    return [*demonstrations(policy, samples[0], True), *demonstrations(policy, samples[1], False)]


def test_every_demonstration_comes_once_per_epoch() -> None:
    seen = [i for step in range(5) for i in batch_of(10, 4, step, seed=1)]
    assert sorted(seen[:10]) == sorted(seen[10:]) == list(range(10)) and seen[:10] != seen[10:]
    assert batch_of(10, 4, 3, seed=1) == seen[12:16] and batch_of(10, 4, 3, seed=2) != seen[12:16]


def test_it_learns_the_decisions(policy: Snellen1Policy, samples: Samples, tmp_path: Path) -> None:
    rounds = all_rounds(policy, samples)
    options = SftOptions(steps=40, batch=8, rate=1e-2, warmup=5, validate_every=20)
    before = validate(policy, rounds, 3)
    train_sft(options, policy, rounds, rounds, tmp_path)
    after = validate(policy, rounds, 3)
    assert before > 1.0 and after < 0.1
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert rows[-1]["held_out"] == pytest.approx(after, abs=1e-4) and len(rows) == 40
    done = Assessor(policy).assess([load(sample.path) for sample in samples[1]])
    wanted = [one.reply.token_ids for one in demonstrations(policy, samples[1], False)]
    assert [step.reply.token_ids for step in done[0].steps] == wanted, "greedy, it decides as demonstrated"


def test_microbatches_add_up_to_the_batch(policy: Snellen1Policy, samples: Samples, tmp_path: Path) -> None:
    rounds, weights = all_rounds(policy, samples), []
    for microbatch in (2, 100):
        policy.decoder.load_state_dict(policy.reference.state_dict())
        options = SftOptions(steps=1, batch=6, microbatch=microbatch, warmup=1)
        train_sft(options, policy, rounds, [], tmp_path / str(microbatch))
        weights.append([parameter.detach().clone() for parameter in policy.parameters()])
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(*weights, strict=True))


def test_two_steps_then_resume_equals_four_steps(policy: Snellen1Policy, samples: Samples, tmp_path: Path) -> None:
    rounds, weights = all_rounds(policy, samples), []
    for out, stops in (("a", [None]), ("b", [2, None])):
        for stop in stops:
            policy.decoder.load_state_dict(policy.reference.state_dict())
            train_sft(SftOptions(steps=4, batch=3, warmup=1), policy, rounds, rounds, tmp_path / out, stop=stop)
        weights.append([parameter.detach().clone() for parameter in policy.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*weights, strict=True))
    assert len((tmp_path / "b" / "log.jsonl").read_text().splitlines()) == 4


def test_nothing_to_learn_from_is_refused(policy: Snellen1Policy, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no demonstrations"):
        train_sft(SftOptions(), policy, [], [], tmp_path)
