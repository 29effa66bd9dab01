# mypy: disable-error-code="no-untyped-call"
"""A Qwen2.5-VL of a few thousand random weights, with a tokenizer trained on the spot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tiny_qwen import SPECIAL, TEMPLATE, bpe_tokenizer, marks_of, write_processor
from transformers import (
    AutoImageProcessor,
    AutoTokenizer,
    GenerationConfig,
    ProcessorMixin,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
)

from snellen.protocol import first_prompt, later_prompt
from snellen.region import Region
from snellen.reply import Answer, Issue, Rationale, render_reply

BOX = Region(0.1, 0.2, 0.5, 0.9)
FIRST = Rationale("It is soft and noisy.", "A clean sky and a crisp face.", "Noise in the sky.", "Look at the sky.")


def replies(rating: float = 3.0) -> tuple[str, str]:
    """A first reply that asks for a crop, and the second one."""
    noise = (Issue("noise", 3, BOX),)
    return (
        render_reply(FIRST, Answer(BOX, rating, "crop", noise), 1),
        render_reply(FIRST, Answer(None, rating, "final", noise), 2),
    )


def make_tiny_vlm(folder: Path) -> Path:
    """Write model, tokenizer and processor to a folder and return it."""
    torch.manual_seed(0)
    tokenizer = _tokenizer()
    ids: dict[str, Any] = {name: tokenizer.convert_tokens_to_ids(name) for name in SPECIAL}
    text = {
        "vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 8192,
        "bos_token_id": ids["<|endoftext|>"], "eos_token_id": ids["<|im_end|>"], "pad_token_id": ids["<|endoftext|>"],
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [2, 3, 3]},
    }  # fmt: skip
    vision = {
        "depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": 32, "patch_size": 14,
        "spatial_merge_size": 2, "temporal_patch_size": 2, "window_size": 112, "fullatt_block_indexes": [1],
    }  # fmt: skip
    config = Qwen2_5_VLConfig(text_config=text, vision_config=vision, **marks_of(tokenizer))
    model = Qwen2_5_VLForConditionalGeneration(config)
    ends = [ids["<|im_end|>"], ids["<|endoftext|>"]]
    # as real checkpoints have it: settings that sampling for training must not take over
    model.generation_config = GenerationConfig(eos_token_id=ends, do_sample=True, temperature=0.1, top_k=1)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_processor(folder, "Qwen2_5_VLProcessor", 14, 112 * 112)
    return folder


class PictureProcessor(Qwen2_5_VLProcessor):
    """The processor of Qwen2.5-VL without its part for videos, which needs torchvision."""

    def __init__(self, image_processor: Any, tokenizer: Any) -> None:
        self.image_token, self.video_token = "<|image_pad|>", "<|video_pad|>"
        self.image_token_id = tokenizer.convert_tokens_to_ids(self.image_token)
        self.video_token_id = tokenizer.convert_tokens_to_ids(self.video_token)
        ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=TEMPLATE)

    @classmethod
    def get_attributes(cls) -> list[str]:
        return ["image_processor", "tokenizer"]

    @classmethod
    def of(cls, folder: Path) -> PictureProcessor:
        """Open the processor of a folder of `make_tiny_vlm`."""
        return cls(AutoImageProcessor.from_pretrained(folder), AutoTokenizer.from_pretrained(folder))


def _tokenizer() -> Any:
    question = "How good is the technical quality of this picture?"
    corpus = [first_prompt(question), later_prompt(question, BOX), *replies(3.47), *replies(2.18)]
    return bpe_tokenizer(corpus, 500)
