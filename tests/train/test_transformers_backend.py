"""The Hugging Face backend on a tiny model of its kind, taught here to give one reply; needs the extra `hf`."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from pictures import noise_picture  # noqa: E402
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers  # noqa: E402

from snellen.assessor import Assessor  # noqa: E402
from snellen.backend import BackendError, Sampling  # noqa: E402
from snellen.backends import open_backend  # noqa: E402
from snellen.backends.rating_tokens import RATINGS  # noqa: E402
from snellen.backends.transformers import HfBackend  # noqa: E402
from snellen.backends.transformers_sampler import RowSampler, restricted  # noqa: E402
from snellen.options import ModelOptions  # noqa: E402
from snellen.protocol import open_protocol  # noqa: E402
from snellen.reply import Answer, render_reply  # noqa: E402

REPLIES = [render_reply(None, Answer(None, rating, "final"), 1) for rating in (3.47, 3.47, 3.47, 4.25)]
"""What it is taught: three times in four 3.47, otherwise 4.25."""
CPU = ModelOptions(device="cpu")
PIECE = r"[0-9.,}]|[^0-9.,}]+"
TEMPLATE = (
    "{% for message in messages %}{% for part in message['content'] %}"
    "{{ '<image>' if part['type'] == 'image' else part['text'] }}{% endfor %}<end>{% endfor %}"
)


def tokenizer() -> Any:
    pieces = dict.fromkeys(re.findall(PIECE, "0123456789" + "".join(REPLIES)))
    vocabulary = {piece: index for index, piece in enumerate(["<unk>", "<pad>", "<end>", "<image>", *pieces])}
    fast = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    fast.pre_tokenizer = pre_tokenizers.Split(Regex(PIECE), "isolated")
    fast.decoder = decoders.Fuse()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=fast,
        unk_token="<unk>",
        pad_token="<pad>",
        eos_token="<end>",
        additional_special_tokens=["<image>"],
    )


def network(words: Any) -> Any:
    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    vision = transformers.CLIPVisionConfig(**small, image_size=32, patch_size=16)
    text = transformers.LlamaConfig(
        **small, vocab_size=len(words), max_position_embeddings=1024, bos_token_id=None, pad_token_id=1, eos_token_id=2
    )
    settings = {"image_token_index": 3, "vision_feature_layer": -1, "vision_feature_select_strategy": "default"}
    config = transformers.LlavaConfig(vision_config=vision, text_config=text, **settings)
    return transformers.LlavaForConditionalGeneration(config)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tiny")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        words = tokenizer()
        model = network(words)
        images = transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
        processor = transformers.LlavaProcessor(
            images, words, patch_size=16, vision_feature_select_strategy="default", chat_template=TEMPLATE,
            num_additional_image_tokens=1,
        )  # fmt: skip
        processor.save_pretrained(path)
        model.generation_config.eos_token_id, model.generation_config.pad_token_id = 2, 1
        model.save_pretrained(path)
        backend = HfBackend(str(path), CPU)
        teach(backend)
        backend.model.save_pretrained(path)
    return path


def teach(backend: HfBackend) -> None:
    inputs = backend._batch([conversation()], "")
    ids = [backend.tokenizer.encode(reply, add_special_tokens=False) + [2] for reply in REPLIES]
    rows = torch.cat([inputs["input_ids"].expand(len(ids), -1), torch.tensor(ids)], dim=1)
    prompt = inputs["input_ids"].shape[1]
    pixels = inputs["pixel_values"].expand(len(ids), -1, -1, -1)
    optimizer = torch.optim.Adam(backend.model.parameters(), lr=5e-3)
    for _ in range(150):
        logits = backend.model(input_ids=rows, attention_mask=torch.ones_like(rows), pixel_values=pixels).logits
        loss = torch.nn.functional.cross_entropy(logits[:, prompt - 1 : -1].flatten(0, 1), rows[:, prompt:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


PICTURE = noise_picture(400, 400)


def conversation() -> Any:
    return open_protocol("snellen").conversation(
        "How good is the technical quality of this picture?", [PICTURE.view()], []
    )


def test_a_path_without_a_checkpoint_is_refused() -> None:
    with pytest.raises(BackendError, match="give the folder of a checkpoint"):
        open_backend("hf:nowhere")


def test_greedy_reply_and_its_exact_rating_distribution(folder: Path) -> None:
    backend = HfBackend(str(folder), CPU)
    (reply,) = backend.reply([conversation()], Sampling(max_tokens=200))
    assert reply.text == REPLIES[0]
    assert reply.finish == "stop"
    assert len(reply.token_ids) == len(reply.logprobs) == len(re.findall(PIECE, REPLIES[0])) + 1
    assert reply.rating is not None
    probs = dict(zip(reply.rating.values.tolist(), reply.rating.probs.tolist(), strict=True))
    by_hand = dict(zip(RATINGS, probabilities(backend, RATINGS), strict=True))
    total = sum(by_hand.values())
    assert total > 0.95  # it has learned its lesson, so these are nearly all there is
    for rating, expected in by_hand.items():
        assert probs.get(float(rating), 0.0) == pytest.approx(expected / total, abs=2e-3)
    exact = sum(float(rating) * weight for rating, weight in by_hand.items()) / total
    assert reply.rating.mean == pytest.approx(exact, abs=1e-3)
    assert max(by_hand, key=by_hand.__getitem__) == "3.47"
    assert 0.05 < by_hand["4.25"] < 0.5  # and the second way is open, although it was not written
    assert reply.rating_mass is not None and total - 1e-3 < reply.rating_mass <= 1.0


def probabilities(backend: HfBackend, ratings: tuple[str, ...]) -> list[float]:
    """Of writing each rating, digit by digit, with the reply before it given: one pass over all of them."""
    inputs = backend._batch([conversation()], REPLIES[0].partition("3.47")[0])
    digits = torch.tensor([backend.tokenizer.encode(rating, add_special_tokens=False) for rating in ratings])
    rows = torch.cat([inputs["input_ids"].expand(len(ratings), -1), digits], dim=1)
    pixels = inputs["pixel_values"].expand(len(ratings), -1, -1, -1)
    with torch.inference_mode():
        logits = backend.model(input_ids=rows, attention_mask=torch.ones_like(rows), pixel_values=pixels).logits
    logprobs = torch.log_softmax(logits[:, -5:-1], dim=-1).gather(2, digits[:, :, None])
    return logprobs.sum(dim=(1, 2)).exp().tolist()  # type: ignore[no-any-return]


def test_a_reply_whose_rating_is_not_recovered_gives_the_written_one(folder: Path) -> None:
    """As a model whose tokens of a number are not known: all but "5", so that little probability is recovered."""
    backend = HfBackend(str(folder), CPU)
    backend.number_texts = {token: text for token, text in backend.number_texts.items() if text in "5.0"}
    (assessed,) = Assessor(backend).assess([PICTURE])
    step = assessed.steps[-1]
    assert (assessed.score, step.rating_source, step.distribution) == (3.47, "written", None)
    assert step.reply.rating_mass is not None and step.reply.rating_mass < 0.8
    assert step.to_dict()["rating_mass"] == pytest.approx(step.reply.rating_mass, abs=1e-4)


def test_batch_and_score_only_give_the_same_rating(folder: Path) -> None:
    backend = open_backend(f"hf:{folder}")
    assert (backend.name, backend.version) == (folder.name, str(folder))
    alone, again = backend.reply([conversation()] * 2, Sampling(max_tokens=200))
    assert (alone.text, alone.token_ids, alone.logprobs) == (again.text, again.token_ids, again.logprobs)
    (rated,) = backend.rate([conversation()])
    assert (rated.text, rated.finish) == ("3.47", "rating")
    assert alone.rating is not None and rated.rating is not None
    assert rated.rating.mean == pytest.approx(alone.rating.mean, abs=1e-4)


def test_sampling_follows_the_seed(folder: Path) -> None:
    backend = HfBackend(str(folder), CPU)
    before = torch.random.get_rng_state()
    texts = [
        backend.reply([conversation()], Sampling(1.0, max_tokens=200, seed=seed))[0].text for seed in [0, 0, *range(8)]
    ]
    assert texts[0] == texts[1] == texts[2]
    assert len(set(texts)) > 1
    assert torch.equal(before, torch.random.get_rng_state())  # the caller's random numbers are left alone


def test_assessed_from_end_to_end(folder: Path) -> None:
    full = Assessor(f"hf:{folder}").assess([PICTURE])[0]
    quick = Assessor(f"hf:{folder}", score_only=True).assess([PICTURE])[0]
    assert full.error is None and full.score == pytest.approx(3.67, abs=0.15)
    assert quick.score == pytest.approx(full.score, abs=1e-4)


def test_nucleus_and_top_k_worked_by_hand() -> None:
    """Probabilities 0.5, 0.3, 0.15, 0.05."""
    ordered = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()

    def left(**given: float) -> list[float]:
        kept = torch.softmax(restricted(ordered, Sampling(1.0, **given)), dim=-1)  # type: ignore[arg-type]
        return [round(p, 4) for p in kept[0].tolist()]

    assert left() == [0.5, 0.3, 0.15, 0.05]
    assert left(top_p=0.8) == [0.625, 0.375, 0.0, 0.0]
    assert left(top_p=0.81) == [0.5263, 0.3158, 0.1579, 0.0]
    assert left(top_p=0.1) == left(top_k=1) == [1.0, 0.0, 0.0, 0.0]
    assert left(top_k=2, top_p=0.9) == [0.625, 0.375, 0.0, 0.0]


def test_each_row_draws_from_its_own_stream_with_the_stated_probabilities() -> None:
    logits = torch.tensor([0.2, 0.5, 0.3]).log()
    rows = 2000
    sampler = RowSampler(Sampling(1.0), range(rows), torch.tensor([1]))
    chosen = sampler(torch.zeros(rows, 1), logits.expand(rows, -1)).argmax(dim=-1)
    shares = torch.bincount(chosen, minlength=3) / rows
    # the standard error of a share of one half is 0.011
    assert shares.tolist() == pytest.approx([0.2, 0.5, 0.3], abs=0.045)
    assert sampler.logprobs[0].exp().tolist() == pytest.approx([[0.2, 0.5, 0.3][token] for token in chosen.tolist()])
    assert sampler.kept_probs[0].tolist() == [[pytest.approx(0.5)]] * rows
    again = RowSampler(Sampling(1.0), [7], torch.tensor([1]))(torch.zeros(1, 1), logits[None])
    assert again.argmax(dim=-1).tolist() == chosen[7:8].tolist()


def test_a_checkpoint_without_a_chat_template_or_processor_is_refused(folder: Path, tmp_path: Path) -> None:
    bare = shutil.copytree(folder, tmp_path / "bare")
    (bare / "chat_template.jinja").unlink()
    with pytest.raises(BackendError, match=r"hf:.*bare: the checkpoint has no chat template; use one that"):
        HfBackend(str(bare), CPU)
    for file in bare.glob("*processor*"):
        file.unlink()
    with pytest.raises(BackendError, match=r"hf:.*bare: .*; give the folder of a checkpoint for pictures and text"):
        HfBackend(str(bare), CPU)
