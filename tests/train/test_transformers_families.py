# mypy: disable-error-code="no-untyped-call"
"""The hf: backend on tiny random models of three families: opening, batches, cached branches, sampling, levels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from pictures import noise_picture  # noqa: E402
from tiny_families import FAMILIES, make_tiny  # noqa: E402

from snellen.assessor import Assessor  # noqa: E402
from snellen.backend import Sampling, Turn  # noqa: E402
from snellen.backends.rating_tokens import Branch  # noqa: E402
from snellen.backends.transformers import HfBackend  # noqa: E402
from snellen.backends.transformers_inputs import Inputs  # noqa: E402
from snellen.options import ModelOptions  # noqa: E402
from snellen.protocol import LevelsProtocol, SnellenProtocol  # noqa: E402
from snellen.region import Region  # noqa: E402

NOISE = 1e-4
"""Largest difference of a log-probability between a batch and one by one, float32."""


@pytest.fixture(scope="module", params=FAMILIES)
def backend(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> HfBackend:
    folder = make_tiny(request.param, tmp_path_factory.mktemp(request.param))
    return HfBackend(str(folder), ModelOptions(device="cpu"))


def asked(width: int = 96, height: int = 64, question: str = "How good?", seed: int = 0) -> Any:
    return SnellenProtocol().conversation(question, [noise_picture(width, height, seed).view()], [])


def second_round() -> Any:
    picture = noise_picture(120, 90, 7)
    views = [picture.view(), picture.view(Region(0.1, 0.2, 0.5, 0.9))]
    return SnellenProtocol().conversation("How good?", views, [Turn("assistant", "It is soft.")])


def batch() -> list[Any]:
    return [asked(), asked(64, 130, "How sharp is this picture, and why?", 1), second_round(), asked(200, 40, seed=2)]


def test_a_batch_gives_what_each_row_gets_alone(backend: HfBackend) -> None:
    together = backend.reply(batch(), Sampling(max_tokens=10))
    for conversation, reply in zip(batch(), together, strict=True):
        (alone,) = backend.reply([conversation], Sampling(max_tokens=10))
        assert reply.token_ids == alone.token_ids
        assert reply.logprobs == pytest.approx(alone.logprobs, abs=NOISE)
    assert backend.reply([], Sampling()) == []


def test_logprobs_are_those_of_the_model_without_the_settings_of_its_checkpoint(backend: HfBackend) -> None:
    """A repetition penalty of the checkpoint would show in every token that the prompt holds."""
    (reply,) = backend.reply([second_round()], Sampling(max_tokens=6))
    inputs = backend._batch([second_round()], "")
    extra = torch.tensor([reply.token_ids])
    whole = {
        name: torch.cat([value, extra if name == "input_ids" else torch.full_like(extra, name == "attention_mask")], 1)
        if value.shape == inputs["input_ids"].shape
        else value
        for name, value in inputs.items()
    }
    with torch.inference_mode():
        logits = backend.model(**whole).logits[0, -len(reply.token_ids) - 1 : -1]
    expected = torch.log_softmax(logits, dim=-1).gather(1, extra.T)[:, 0]
    assert reply.logprobs == pytest.approx(expected.tolist(), abs=NOISE)


@pytest.mark.parametrize("lines", [True, False])
def test_branches_read_from_the_cache_are_those_of_a_whole_pass(
    backend: HfBackend, lines: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert backend.reader.lines, "the branches of a row share a line"
    monkeypatch.setattr(backend.reader, "lines", lines)
    kept = sorted(backend.number_texts)
    made = backend._generate(batch(), Sampling(max_tokens=6), "", kept)
    starts = {0: 2, 1: 0, 2: 4, 3: 3}
    digits = [token for token, text in backend.number_texts.items() if text in ("3", ".", "4")]
    branches = [Branch(row, tuple(digits[:length])) for row in starts for length in (0, 1, 2, 3)]
    branches.append(Branch(0, made.ids[0][2:4]))  # what generation wrote itself, which is compared with what it saw
    found = backend.reader.read(made, starts, branches)
    assert found is not None and backend.reader.works
    for branch, row in zip(branches, found, strict=True):
        whole = backend._whole(made, batch(), "", starts, branch)
        assert torch.allclose(row, whole, atol=1e-6), branch


def test_a_cache_that_cannot_be_continued_is_not_trusted(backend: HfBackend) -> None:
    kept = sorted(backend.number_texts)
    made = backend._generate([asked()], Sampling(max_tokens=4), "", kept)
    likely = int(made.kept_probs[0, 2].argmax())
    made.kept_probs[0, 2, likely] = 1.0 - made.kept_probs[0, 2, likely]  # as if generation had seen something else
    try:
        assert backend.reader.read(made, {0: 0}, [Branch(0, made.ids[0][:2])]) is None
        assert backend.reader.works is False
        following = backend._following(made, [asked()], "", {0: 0})
        (found,) = following([Branch(0, (kept[0],))])
        whole = backend._whole(made, [asked()], "", {0: 0}, Branch(0, (kept[0],)))
        assert list(found.values()) == pytest.approx(whole.tolist())
    finally:
        backend.reader.works = True


def test_rollouts_of_a_group_differ_and_do_not_depend_on_the_batch(backend: HfBackend) -> None:
    hot = Sampling(1.0, max_tokens=6, seed=3)
    group = backend.reply([asked()] * 4, hot)
    assert len({reply.token_ids for reply in group}) == 4
    mixed = backend.reply([asked(64, 130, seed=1), asked(), second_round(), asked()], hot)
    assert [mixed[1].token_ids, mixed[3].token_ids] == [group[0].token_ids, group[1].token_ids]
    other = backend.reply([asked()], Sampling(1.0, max_tokens=6, seed=4))
    assert other[0].token_ids != group[0].token_ids


def test_levels_are_a_softmax_over_the_words_after_the_stem(backend: HfBackend) -> None:
    levels = LevelsProtocol().levels
    assert levels is not None
    picture = noise_picture(96, 64)
    conversation = LevelsProtocol().conversation("How would you rate it?", [picture.view()], [])
    rated, again = backend.rate_levels([conversation, asked()], levels.stem, levels.ratings)
    weights = {word: word_probability(backend, conversation, levels.stem, word) for word in levels.ratings}
    total = sum(weights.values())
    expected = sum(levels.ratings[word] * weight for word, weight in weights.items()) / total
    assert rated.rating is not None and rated.rating.mean == pytest.approx(expected, abs=1e-4)
    assert rated.rating_mass == pytest.approx(total, rel=1e-3)
    assert rated.rating.values.tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert again.rating is not None and again.rating.mean != rated.rating.mean
    (found,) = Assessor(backend, "levels", question="How would you rate it?").assess([picture])
    assert found.score == pytest.approx(expected, abs=1e-4)
    assert found.steps[0].note is not None and "levels with a probability of" in found.steps[0].note


def word_probability(backend: HfBackend, conversation: Any, stem: str, word: str) -> float:
    inputs = backend._batch([conversation], f"{stem} {word}")
    count = len(backend.tokenizer.encode(f"{stem} {word}")) - len(backend.tokenizer.encode(stem))
    with torch.inference_mode():
        logprobs = torch.log_softmax(backend.model(**inputs).logits[0], dim=-1)
    ids = inputs["input_ids"][0]
    return float(sum(logprobs[at - 1, ids[at]] for at in range(len(ids) - count, len(ids))).exp())


def test_a_template_that_opens_the_thoughts_gives_them_back(backend: HfBackend) -> None:
    template = backend.inputs.processor.chat_template
    try:
        backend.inputs.processor.chat_template = template + "{% if add_generation_prompt %}<think>\n{% endif %}"
        (reply,) = backend.reply([asked()], Sampling(max_tokens=3))
        assert reply.text.startswith("<think>")
        ids = backend.inputs.batch([asked()], "<think></think><answer>")["input_ids"][0]
        assert backend.tokenizer.decode(ids).endswith("<think>\n</think><answer>")
        assert backend.tokenizer.decode(ids).count("<think>\n") == 1
    finally:
        backend.inputs.processor.chat_template = template


def test_limits_of_pixels_set_how_many_tokens_a_picture_takes(tmp_path: Path) -> None:
    folder = str(make_tiny("qwen2.5-vl", tmp_path))
    tokens = [
        HfBackend(folder, ModelOptions(device="cpu", max_pixels=limit)).inputs.batch([asked(300, 300)])["input_ids"]
        for limit in (60 * 60, 170 * 170)
    ]
    counts = [int((ids == 5).sum()) for ids in tokens]  # <|image_pad|>; a token for 28 x 28 px
    assert counts == [4, 36]
    backend = HfBackend(folder, ModelOptions(device="cpu", long_side=90, dtype="bfloat16", attention="eager"))
    assert (backend.model.dtype, backend.model.config._attn_implementation) == (torch.bfloat16, "eager")
    conversation = asked(180, 120)
    view = conversation[0].views[0]
    backend.inputs.batch([conversation])
    assert backend.inputs.picture(view).size == (90, 60)
    assert backend.box_scale(view) == (84.0, 56.0)  # as the model sees it: multiples of 28 px
    with pytest.raises(ValueError, match="dtype is float32, bfloat16 or float16, not int8"):
        HfBackend(folder, ModelOptions(dtype="int8"))


def test_limits_of_pixels_of_another_family_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Idefics3.* has no limits of pixels; use --long-side instead"):
        HfBackend(str(make_tiny("idefics3", tmp_path)), ModelOptions(device="cpu", max_pixels=4096))


def test_one_beginning_of_sequence_although_template_and_tokenizer_both_write_it(tmp_path: Path) -> None:
    """As Gemma: its template begins with the token, and its tokenizer adds it."""
    from tiny_families import IDEFICS_TEMPLATE
    from tokenizers.processors import TemplateProcessing

    backend = HfBackend(str(make_tiny("idefics3", tmp_path)), ModelOptions(device="cpu"))
    words, processor = backend.tokenizer, backend.inputs.processor
    words.bos_token = "<|endoftext|>"
    start = words.bos_token_id
    words.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", start)]
    )
    assert words("a")["input_ids"][0] == start
    for template in ("{{ bos_token }}" + IDEFICS_TEMPLATE, IDEFICS_TEMPLATE):
        processor.chat_template = template
        ids = Inputs(processor, ModelOptions()).batch([asked()])["input_ids"][0].tolist()
        assert ids.count(start) == 1 and ids[0] == start
