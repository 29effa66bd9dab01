"""LoRA on a tiny random Qwen2.5-VL: log-probabilities, the reference policy, GRPO, SFT, resume."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("peft")

from tiny_vlm import PictureProcessor, make_tiny_vlm, replies
from transformers import AutoModelForImageTextToText

from snellen.assessment import Assessment
from snellen.backend import Conversation, Reply, Round, Sampling
from snellen.data.sample import Sample
from snellen.image import Picture
from snellen.protocol import DEFAULT_QUESTION, SnellenProtocol
from snellen.region import FULL, Region
from snellen.train.advantage import CREDIT
from snellen.train.demonstrations import Demonstrations
from snellen.train.grpo import RlOptions, actions_of, train_grpo
from snellen.train.lora import LoraOptions, LoraPolicy
from snellen.train.regularizers import entropy_bonus
from snellen.train.rewards import Truth
from snellen.train.rollout import Rollout, roll_out_each
from snellen.train.sft import SftOptions, train_sft, validate

OPTIONS = LoraOptions(rank=4, alpha=8, long_side=112)
CROP = Region(0.1, 0.2, 0.6, 0.9)
RL = RlOptions(
    steps=2,
    real=1,
    synthetic=0,
    rollouts=2,
    max_tokens=6,
    rate=1e-2,
    warmup=1,
    microbatch=4,
    checkpoint_every=1,
    mask_truncated=False,
)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_vlm(tmp_path_factory.mktemp("tiny"))


def opened(folder: Path, start: Path | None = None, **options: bool) -> LoraPolicy:
    chosen = LoraOptions(**vars(OPTIONS) | options)
    return LoraPolicy(str(folder), chosen, start=start, processor=PictureProcessor.of(folder))


def picture(seed: int, width: int = 160, height: int = 120) -> Picture:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return Picture(pixels, f"picture {seed}")


def asked(shown: Picture, first: Reply | None = None) -> Conversation:
    views = [shown.view(), shown.view(CROP)]
    turns = [first.turn()] if first else []
    return SnellenProtocol().conversation(DEFAULT_QUESTION, views[: 1 + len(turns)], turns)


def two_rounds(policy: LoraPolicy, seed: int = 0) -> list[Round]:
    """A sampled first round, and a sampled second one after it."""
    shown = picture(seed, 160 + 20 * seed)
    (first,) = policy.sample([asked(shown)], Sampling(1.0, max_tokens=8, seed=seed))
    (second,) = policy.sample([asked(shown, first)], Sampling(1.0, max_tokens=6, seed=seed))
    return [Round(asked(shown), first), Round(asked(shown, first), second)]


def test_recomputed_log_probabilities_are_those_of_sampling_padded_or_not(folder: Path) -> None:
    policy = opened(folder)
    rounds = [one for seed in (0, 1) for one in two_rounds(policy, seed)]
    sampled = torch.tensor([logprob for one in rounds for logprob in one.reply.logprobs])
    together = policy.logprobs(rounds)
    alone = torch.cat([policy.logprobs([one]).policy for one in rounds])
    assert together.policy.tolist() == pytest.approx(sampled.tolist(), abs=2e-4)
    assert alone.tolist() == pytest.approx(sampled.tolist(), abs=2e-4)
    assert len(together.policy) == sum(len(one.reply.token_ids) for one in rounds)
    assert (together.entropy >= 0).all()


def test_a_new_adapter_is_the_reference_and_a_changed_one_is_not(folder: Path) -> None:
    policy = opened(folder)
    rounds = two_rounds(policy)
    found = policy.logprobs(rounds)
    assert found.kl is not None
    assert found.reference.tolist() == pytest.approx(found.policy.tolist(), abs=1e-6)
    assert float(found.kl.detach().abs().max()) < 1e-6
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(0.05)
    changed = policy.logprobs(rounds)
    assert changed.kl is not None and float(changed.kl.detach().max()) > 1e-4
    assert changed.reference.tolist() == pytest.approx(found.reference.tolist(), abs=1e-6)


def test_a_sampled_reply_stays_as_it_was_sampled_in_the_next_round(folder: Path) -> None:
    """Random tokens do not survive decoding and encoding, so the ids themselves must be in the next round's input."""
    policy = opened(folder)
    first, second = two_rounds(policy)
    again = policy.tokenizer.encode(first.reply.text, add_special_tokens=False)
    assert again != list(first.reply.token_ids)
    inputs = policy.encode(second.conversation)["input_ids"][0].tolist()
    ids = list(first.reply.token_ids)
    places = [i for i in range(len(inputs)) if inputs[i : i + len(ids)] == ids]
    end = policy.tokenizer.eos_token_id
    assert len(places) == 1 and inputs[places[0] + len(ids)] == end, "the turn is closed"
    closed = Reply("x", (*ids, end))
    closed_inputs = policy.encode(asked(picture(0), closed))["input_ids"][0].tolist()
    assert closed_inputs == inputs, "an end token that was sampled is not doubled"


def test_the_input_is_that_of_the_chat_template(folder: Path) -> None:
    policy = opened(folder)
    first, _ = replies()
    shown = picture(0)
    conversation = asked(shown, policy.reply_of(first))
    inputs = policy.encode(conversation)
    text = policy.tokenizer.decode(inputs["input_ids"][0])
    assert text.count("<|im_start|>") == 4 and text.endswith("<|im_start|>assistant\n")
    assert f"assistant\n{first}<|im_end|>\n<|im_start|>user\n<|vision_start|>" in text
    assert inputs["image_grid_thw"].shape == (2, 3)
    pads = int((inputs["input_ids"] == policy.inputs.processor.image_token_id).sum())
    assert pads == int(inputs["mm_token_type_ids"].sum()) == int(inputs["image_grid_thw"].prod(dim=1).sum()) // 4


def test_conversations_draw_from_random_streams_of_their_own(folder: Path) -> None:
    policy = opened(folder)
    same = [asked(picture(0))] * 3
    drawn = [one.token_ids for one in policy.sample(same, Sampling(1.0, max_tokens=8, seed=1))]
    assert len(set(drawn)) == 3
    assert drawn == [one.token_ids for one in policy.sample(same, Sampling(1.0, max_tokens=8, seed=1))]
    assert drawn != [one.token_ids for one in policy.sample(same, Sampling(1.0, max_tokens=8, seed=2))]
    alone = policy.sample(same[:1], Sampling(1.0, max_tokens=8, seed=1))
    assert alone[0].token_ids == drawn[0], "independent of the batch"


def test_a_reply_that_was_cut_off_is_not_learned_from(folder: Path) -> None:
    policy = opened(folder)
    rounds = tuple(two_rounds(policy))
    assert [one.reply.finish for one in rounds] == ["length", "length"]
    rollout = Rollout(Truth(3.0, True, None), Assessment("a"), rounds, {}, 1.0, dict.fromkeys(CREDIT, 1.0))
    assert actions_of(policy, [rollout], RlOptions()) == []
    (batch,) = actions_of(policy, [rollout], RlOptions(mask_truncated=False))
    assert len(batch.sampled) == sum(len(one.reply.token_ids) for one in rounds)


def test_rollouts_differ_where_a_group_is_more_than_a_batch(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("snellen.train.rollout.BATCH_MEGAPIXELS", 0.02)  # one of our pictures
    done = roll_out_each(opened(folder), _samples(tmp_path)[:1] * 3, RL.rounds, RL.max_tokens, seed=0)
    assert len({rounds[0].reply.token_ids for _, rounds in done}) == 3


def test_kinds_of_actions_follow_the_answer(folder: Path) -> None:
    policy = opened(folder)
    reply = policy.reply_of(replies(3.47)[0])
    kinds = policy.action_kinds(reply)
    texts = [policy.tokenizer.decode([token]) for token in reply.token_ids]
    assert "".join(text for text, kind in zip(texts, kinds, strict=True) if kind == "rating").strip(" ,") == "3.47"
    zoom = "".join(text for text, kind in zip(texts, kinds, strict=True) if kind == "zoom")
    assert "0.10" in zoom and "0.90" in zoom and "crop" in zoom
    assert kinds[0] == "text" and kinds[-1] == "text"


def test_one_step_of_grpo_changes_only_the_adapter(folder: Path, tmp_path: Path) -> None:
    samples = _samples(tmp_path)
    policy = opened(folder)
    before = {name: value.clone() for name, value in policy.model.state_dict().items()}
    train_grpo(RL, policy, samples, [], tmp_path / "out", regulariser=entropy_bonus, stop=1)
    changed = {name for name, value in policy.model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed and all(".lora_" in name for name in changed)
    assert all("language_model" in name for name in changed), "the vision tower has no adapter"


def test_grpo_resumes_exactly(folder: Path, tmp_path: Path) -> None:
    samples = _samples(tmp_path)
    weights = []
    for out, stops in (("a", [None]), ("b", [1, None])):
        for stop in stops:
            policy = opened(folder)
            train_grpo(RL, policy, samples, [], tmp_path / out, regulariser=entropy_bonus, stop=stop)
        weights.append([parameter.detach().clone() for parameter in policy.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*weights, strict=True))
    assert any(bool(a.abs().sum() > 0) for a in weights[0])


def test_sft_raises_the_log_probability_of_the_demonstrations(folder: Path, tmp_path: Path) -> None:
    Image.fromarray(picture(0).pixels).save(tmp_path / "0.png")
    first, second = replies()
    rounds = [{"region": FULL.to_list(), "reply": first}, {"region": CROP.to_list(), "reply": second}]
    policy = opened(folder, checkpointing=True)
    demonstrations = Demonstrations([{"path": str(tmp_path / "0.png"), "rounds": rounds}], policy.reply_of)
    assert len(demonstrations) == 2 and demonstrations[1].conversation[1].token_ids

    def mean() -> float:
        return -validate(policy, demonstrations, 2)

    before = mean()
    options = SftOptions(steps=3, batch=2, microbatch=1, rate=5e-2, warmup=1)
    train_sft(options, policy, demonstrations, demonstrations, tmp_path / "out")
    assert mean() > before + 0.02
    alone = AutoModelForImageTextToText.from_pretrained(tmp_path / "out", local_files_only=True)
    inputs = policy.encode(demonstrations[0].conversation)
    with torch.no_grad():
        assert torch.allclose(alone(**inputs).logits, policy.model(**inputs).logits, atol=1e-5), "as hf: opens it"
    again = opened(folder, start=tmp_path / "out")
    found = again.logprobs(demonstrations)
    assert float(found.policy.detach().mean()) == pytest.approx(mean(), abs=1e-4)
    assert found.reference.tolist() == pytest.approx(found.policy.tolist(), abs=1e-5), "it starts as the reference"


def _samples(folder: Path) -> list[Sample]:
    samples = []
    for seed in range(3):
        path = folder / f"{seed}.png"
        Image.fromarray(picture(seed).pixels).save(path)
        samples.append(Sample(str(path), 2.0 + seed))
    return samples


def test_only_the_rating_and_what_ends_it_are_learned(folder: Path) -> None:
    policy = opened(folder)
    text = replies(3.47)[1]
    reply = policy.rating_of(text)
    learned = policy.tokenizer.decode([reply.token_ids[at] for at in reply.action_indices])
    before, _, after = text.rpartition('"rating": 3.47')
    assert learned.strip().startswith("3.47") and after.startswith(learned.strip().removeprefix("3.47"))
    assert len(reply.action_indices) <= 6 < len(reply.token_ids) and before
