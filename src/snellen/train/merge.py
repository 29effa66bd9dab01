"""Merges a trained LoRA adapter into its base model: a checkpoint that any server or the hf: backend opens."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch

from snellen.backend import BackendError
from snellen.backends.transformers_inputs import adapter_base, open_processor
from snellen.train.lora import module, open_base


def merge(adapter: Path, out: Path) -> None:
    """Write the base model of the adapter in folder `adapter`, with the adapter's update added to its weights,
    W + (alpha / rank) B A, to folder `out`, in the base model's precision, with processor and generation settings.

    Raises BackendError where `adapter` holds none, or its base model is gone.
    """
    path = adapter_base(adapter)
    if path is None:
        problem = f"{adapter} holds no adapter (adapter_config.json is missing)"
        raise BackendError(f"{problem}; give the folder of a training run")
    base = open_base(path, "", torch.device("cpu"))
    model: Any = module("peft").PeftModel.from_pretrained(base, str(adapter)).merge_and_unload()
    out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(out)
    if not Path(path).is_dir():
        open_processor(path, local_files_only=True).save_pretrained(out)
        return
    for one in Path(path).iterdir():  # tokenizer and processor as they are, for servers too
        described = one.suffix in (".json", ".jinja", ".txt", ".model") and not one.name.endswith(".index.json")
        if described and not (out / one.name).exists():
            shutil.copy(one, out / one.name)
