# mypy: disable-error-code="no-untyped-call"
"""A Qwen2.5-VL or Qwen3-VL of some ten thousand random weights, and the tokenizer of its small world.

A token is a whole part of prompt or reply that never changes, a digit, or a single character, so that a conversation
has about a hundred tokens and a CPU samples thousands of them in a minute.
"""

from __future__ import annotations

import json
import re
import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from snellen.protocol import DEFAULT_QUESTION, first_prompt, later_prompt
from snellen.region import Region
from snellen.reply import VIEW_MARK, Answer, Rationale, render_box, render_reply

ASKED, CROP = Region(0.3, 0.3, 0.7, 0.7), Region(0.25, 0.25, 0.75, 0.75)
"""The box that a reply asks for, and the crop that the zoom policy makes of it in a picture of 640 px."""
GREY = Rationale("The picture is grey.", "Keep the light even.", "Nothing else.", "The rating follows.")
BLUISH = Rationale("The picture is bluish.", "Keep the pattern clear.", "Nothing else.", "The rating follows.")
"""Reasons of replies to the two kinds of pictures of the toy task."""
SIDES = {"qwen2.5": 56, "qwen3": 64}
"""Long side of a view by family, px: that of two tokens, so that the image processor need not scale it once more."""
SPECIAL = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>",
    "<|video_pad|>",
)  # fmt: skip
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for content in message['content'] %}"
    "{% if content['type'] == 'text' %}{{ content['text'] }}{% else %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def pieces() -> list[str]:
    """Return the parts of prompts and replies that are one token each, longest first."""
    prompts = [first_prompt(DEFAULT_QUESTION), later_prompt(DEFAULT_QUESTION, CROP)]
    parts = [part for prompt in prompts for part in prompt.split(VIEW_MARK) if part]
    final = Answer(None, 1.0, "final")
    reasons = [(None, 1), *((one, number) for one in (GREY, BLUISH) for number in (1, 2))]
    parts += [render_reply(one, final, number).partition(render_box(None))[0] for one, number in reasons]
    parts += [', "rating": ', ', "tool": "', 'crop", "issues": []}</answer>']
    parts += ['final", "issues": []}</answer>', render_box(ASKED), render_box(None), "user\n", "assistant\n"]
    return sorted(parts, key=len, reverse=True)


def make_tokenizer(parts: Sequence[str] | None = None) -> Any:
    """Return the tokenizer, with its chat template. parts: texts of one token each, longest first; else `pieces`."""
    parts = pieces() if parts is None else parts
    words = [*SPECIAL, *parts, *string.digits, *sorted(set(string.printable) - set(string.digits)), "<unk>"]
    tokens = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    pattern = "|".join([*(re.escape(part) for part in parts), r"[\s\S]"])
    tokens.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), "isolated")
    tokens.decoder = decoders.Fuse()
    return _fast(tokens, unk_token="<unk>", clean_up_tokenization_spaces=False)


def bpe_tokenizer(corpus: Sequence[str], size: int) -> Any:
    """Return a tokenizer of `size` tokens trained on a corpus, with one token for each digit, as Qwen's."""
    pattern = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    tokens = Tokenizer(models.BPE())
    parts = pre_tokenizers.Split(Regex(pattern), "isolated")
    bytes_of = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokens.pre_tokenizer = pre_tokenizers.Sequence([parts, bytes_of])
    tokens.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=list(SPECIAL), initial_alphabet=alphabet)
    tokens.train_from_iterator(corpus, trainer)
    return _fast(tokens)


def _fast(tokens: Tokenizer, **options: Any) -> Any:
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokens,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=list(SPECIAL),
        **options,
    )
    fast.chat_template = TEMPLATE
    return fast


def marks_of(tokenizer: Any) -> dict[str, Any]:
    """Return the ids of the tokens that mark pictures, by their names in a configuration of Qwen-VL."""
    names = {name: f"<|{name}|>" for name in ("image_pad", "video_pad", "vision_start", "vision_end")}
    return {
        f"{name.removesuffix('_pad')}_token_id": tokenizer.convert_tokens_to_ids(word) for name, word in names.items()
    }


def make_model(
    folder: Path,
    family: str = "qwen2.5",
    seed: int = 0,
    *,
    width: int = 48,
    layers: int = 2,
    vision_width: int = 32,
    spread: float = 0.02,
    pixels: int = 128 * 128,
    dtype: torch.dtype = torch.float32,
    parts: Sequence[str] | None = None,
) -> Path:
    """Write a model with random weights, tokenizer and processor to a folder, and return it.

    family: "qwen2.5" or "qwen3". width, layers: of the language model; width is a multiple of 48. vision_width: of the
    vision tower. spread: standard deviation of the random weights; pretraining so small a model needs a larger one than
    the classes' own. pixels: most that the image processor leaves of a view. parts: see `make_tokenizer`.
    """
    tokenizer = make_tokenizer(parts)
    ids: dict[str, int] = {name: tokenizer.convert_tokens_to_ids(name) for name in SPECIAL}
    text: dict[str, Any] = {
        "vocab_size": len(tokenizer), "hidden_size": width, "intermediate_size": 2 * width,
        "num_hidden_layers": layers, "num_attention_heads": 3, "num_key_value_heads": 3, "head_dim": width // 3,
        "max_position_embeddings": 8192,
        "bos_token_id": ids["<|endoftext|>"], "eos_token_id": ids["<|im_end|>"], "pad_token_id": ids["<|endoftext|>"],
        "tie_word_embeddings": False, "initializer_range": spread,
    }  # fmt: skip
    rope = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [width // 6 - 4, 2, 2]}
    vision: dict[str, Any] = {
        "depth": layers, "hidden_size": vision_width, "intermediate_size": 2 * vision_width, "num_heads": 2,
        "out_hidden_size": width,
        "spatial_merge_size": 2, "temporal_patch_size": 2, "initializer_range": spread,
    }  # fmt: skip
    named = marks_of(tokenizer)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if family == "qwen3":
            patch, name = 16, "Qwen3VLProcessor"
            text["rope_parameters"] = rope | {"mrope_interleaved": True}
            vision |= {"patch_size": 16, "num_position_embeddings": 256, "deepstack_visual_indexes": [0]}
            config: Any = transformers.Qwen3VLConfig(text_config=text, vision_config=vision, **named)
            model: Any = transformers.Qwen3VLForConditionalGeneration(config)
        else:
            patch, name = 14, "Qwen2_5_VLProcessor"
            text["rope_parameters"] = rope
            vision |= {"patch_size": 14, "window_size": 112, "fullatt_block_indexes": [1]}
            config = transformers.Qwen2_5_VLConfig(text_config=text, vision_config=vision, **named)
            model = transformers.Qwen2_5_VLForConditionalGeneration(config)
    model.generation_config = transformers.GenerationConfig(
        eos_token_id=[ids["<|im_end|>"], ids["<|endoftext|>"]], pad_token_id=ids["<|endoftext|>"]
    )
    model.to(dtype).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_processor(folder, name, patch, pixels)
    return folder


def write_processor(folder: Path, name: str, patch: int, pixels: int) -> None:
    """Write the files that a processor of the class `name` is opened from, beside a saved tokenizer."""
    processor = {
        "image_processor_type": "Qwen2VLImageProcessor", "processor_class": name, "patch_size": patch, "merge_size": 2,
        "temporal_patch_size": 2, "min_pixels": 4 * patch**2, "max_pixels": pixels,
        "image_mean": [0.48, 0.46, 0.41], "image_std": [0.27, 0.26, 0.28],
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"processor_class": name}))
