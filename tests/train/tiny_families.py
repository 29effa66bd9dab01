"""Tiny random models of other families, beside `tiny_vlm`: Qwen3-VL and Idefics3."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tiny_qwen import TEMPLATE, marks_of
from tiny_vlm import _tokenizer, make_tiny_vlm
from transformers import (
    GenerationConfig,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3ImageProcessor,
    Idefics3Processor,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)

FAMILIES = ("qwen2.5-vl", "qwen3-vl", "idefics3")
IDEFICS_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }}:"
    "{% for content in message['content'] %}"
    "{% if content['type'] == 'image' %}<image>{% else %}{{ content['text'] }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}"
)


def make_tiny(family: str, folder: Path) -> Path:
    """Write model, tokenizer and processor of one of FAMILIES to a folder and return it."""
    make = {"qwen2.5-vl": make_tiny_vlm, "qwen3-vl": make_tiny_qwen3, "idefics3": make_tiny_idefics3}[family]
    return make(folder)


def _text(tokenizer: Any, **more: Any) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 8192,
        "bos_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id, **more,
    }  # fmt: skip


def _save(model: Any, tokenizer: Any, folder: Path) -> None:
    ends = [tokenizer.eos_token_id, tokenizer.pad_token_id]
    # as real checkpoints have it: settings that must not reach our replies
    model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        eos_token_id=ends, do_sample=True, top_k=1, repetition_penalty=1.5
    )
    model.save_pretrained(folder)


def make_tiny_qwen3(folder: Path) -> Path:
    """A Qwen3-VL; its processor has a part for videos, which needs torchvision."""
    torch.manual_seed(0)
    tokenizer = _tokenizer()
    rope = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [3, 3, 2], "mrope_interleaved": True}
    config = Qwen3VLConfig(
        text_config=_text(tokenizer, head_dim=16, rope_parameters=rope),
        vision_config={
            "depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": 32,
            "patch_size": 16, "spatial_merge_size": 2, "temporal_patch_size": 2, "num_position_embeddings": 64,
            "deepstack_visual_indexes": [0],
        },
        **marks_of(tokenizer),
    )  # fmt: skip
    _save(Qwen3VLForConditionalGeneration(config), tokenizer, folder)
    tokenizer.save_pretrained(folder)
    sides = {"patch_size": 16, "merge_size": 2, "temporal_patch_size": 2, "processor_class": "Qwen3VLProcessor"}
    images = {"image_processor_type": "Qwen2VLImageProcessor", "min_pixels": 64 * 64, "max_pixels": 128 * 128}
    (folder / "preprocessor_config.json").write_text(json.dumps(sides | images))
    videos = {"video_processor_type": "Qwen3VLVideoProcessor"}
    (folder / "video_preprocessor_config.json").write_text(json.dumps(sides | videos))
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    return folder


def make_tiny_idefics3(folder: Path) -> Path:
    """An Idefics3 (also SmolVLM's design), which cuts a picture into tiles; their number depends on its shape."""
    torch.manual_seed(0)
    tokenizer = _tokenizer()
    images = Idefics3ImageProcessor(size={"longest_edge": 64}, max_image_size={"longest_edge": 32})
    processor = Idefics3Processor(images, tokenizer, image_seq_len=4, chat_template=IDEFICS_TEMPLATE)
    vision = {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 32,
        "patch_size": 8,
    }  # fmt: skip
    config = Idefics3Config(
        text_config={"model_type": "llama", **_text(tokenizer)},
        vision_config=vision,
        image_token_id=int(tokenizer.vocab["<image>"]),
        scale_factor=2,
    )
    _save(Idefics3ForConditionalGeneration(config), tokenizer, folder)
    processor.save_pretrained(folder)
    return folder
