"""Opens the processor of a checkpoint; where torchvision is missing, without its part for videos."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any


def open_processor(path: str) -> Any:
    """Return the processor of the checkpoint `path`: tokenizer, image processor, chat template.

    The processors of Qwen2-VL and later hold a video processor, which needs torchvision; pictures do not. Raises
    OSError, ValueError or ImportError where it cannot be opened.
    """
    transformers: Any = importlib.import_module("transformers")
    try:
        return transformers.AutoProcessor.from_pretrained(path, local_files_only=True)
    except (ImportError, OSError, ValueError, TypeError) as error:
        kind = _processor_class(Path(path))
        if kind is None or "video_processor" not in kind.get_attributes():
            raise
        images = transformers.AutoImageProcessor.from_pretrained(path, local_files_only=True)
        tokenizer = transformers.AutoTokenizer.from_pretrained(path, local_files_only=True)
        if tokenizer.chat_template is None:
            raise ValueError(f"{path} has no chat template") from error
        return _without_videos(kind)(images, tokenizer, chat_template=tokenizer.chat_template)


def _processor_class(folder: Path) -> Any:
    for name in ("processor_config.json", "preprocessor_config.json", "tokenizer_config.json"):
        if (folder / name).is_file():
            found = json.loads((folder / name).read_text(encoding="utf8")).get("processor_class")
            if found:
                return getattr(importlib.import_module("transformers"), found, None)
    return None


def _without_videos(kind: Any) -> Any:
    def get_attributes(cls: Any) -> list[str]:
        return [name for name in kind.get_attributes() if name != "video_processor"]

    # of the same name, which is written into saved folders
    return type(kind.__name__, (kind,), {"get_attributes": classmethod(get_attributes)})
