"""Inputs of a vision-language model of transformers: its processor, and conversations as padded tensors."""

from __future__ import annotations

import importlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from PIL import Image

from snellen.backend import BackendError, Conversation
from snellen.image import View
from snellen.options import ModelOptions

LONG_SIDE = 1024
"""Longest side of a view that is shown, px, where the options name none."""
THINK = "<think>"


def adapter_base(folder: str | Path) -> str | None:
    """Return the base model of the LoRA adapter in a folder; None for a folder without one."""
    file = Path(folder) / "adapter_config.json"
    return str(json.loads(file.read_text(encoding="utf-8"))["base_model_name_or_path"]) if file.is_file() else None


def open_processor(path: str, **where: Any) -> Any:
    """Return the processor of a checkpoint, without its part for videos where that cannot be opened.

    The part for videos of Qwen2.5-VL and Qwen3-VL needs torchvision, pictures do not. The processor of an adapter is
    that of its base model.

    Args:
        path: a folder, or the name of a model in the local cache.
        where: arguments of `from_pretrained`, such as `revision`.

    Raises:
        BackendError: the checkpoint has no processor, or none for pictures and text.
    """
    transformers = importlib.import_module("transformers")
    path = adapter_base(path) or path
    try:
        try:
            return transformers.AutoProcessor.from_pretrained(path, **where)
        except (ImportError, ValueError, OSError, TypeError, AttributeError) as error:
            processor = _without_video(path, where)
            if processor is None:
                raise error
            return processor
    except (ImportError, ValueError, OSError, TypeError, AttributeError) as error:
        remedy = "give the folder of a checkpoint for pictures and text"
        if "torchvision" in str(error):
            remedy = 'install torchvision: pip install "snellen[hf]" torchvision'
        problem = " ".join(str(error).split())
        raise BackendError(f"hf:{path}: its processor cannot be opened ({problem:.300}); {remedy}") from error


def _without_video(path: str, where: dict[str, Any]) -> Any:
    """Return the processor of a checkpoint built from its image processor and its tokenizer; None where it has no part
    for videos."""
    transformers = importlib.import_module("transformers")
    mapping = importlib.import_module("transformers.models.auto.processing_auto").PROCESSOR_MAPPING_NAMES
    config = transformers.AutoConfig.from_pretrained(path, **where)
    name = mapping.get(config.model_type)
    whole = getattr(transformers, name, None) if isinstance(name, str) else None
    if whole is None or "video_processor" not in _init_names(whole):
        return None

    class Parts(transformers.ProcessorMixin):  # type: ignore[misc, name-defined]
        """Comes after the checkpoint's own class, which hands all its parts on, the missing one as None."""

        def __init__(self, *parts: Any, **others: Any) -> None:
            super().__init__(*(part for part in parts if part is not None), **others)

    class Pictures(whole, Parts):  # type: ignore[misc, valid-type]
        """The processor for pictures and text."""

        attributes = ["image_processor", "tokenizer"]  # transformers 4

        @classmethod
        def get_attributes(cls) -> list[str]:  # transformers 5
            return ["image_processor", "tokenizer"]

    Pictures.__name__ = Pictures.__qualname__ = whole.__name__
    images = transformers.AutoImageProcessor.from_pretrained(path, **where)
    tokenizer = transformers.AutoTokenizer.from_pretrained(path, **where)
    return Pictures(images, tokenizer, chat_template=tokenizer.chat_template)


def _init_names(cls: type) -> tuple[str, ...]:
    start: Any = vars(cls).get("__init__", object.__init__)
    code: Any = getattr(start, "__wrapped__", start)
    return tuple(code.__code__.co_varnames[: code.__code__.co_argcount])


class Inputs:
    """Maker of the inputs of one checkpoint.

    Args:
        processor: of `open_processor`; it must have a chat template.
        options: `long_side`, `min_pixels` and `max_pixels` count.

    Raises:
        ValueError: the processor has no limits of pixels, but the options do.
        BackendError: there is no chat template.
    """

    def __init__(self, processor: Any, options: ModelOptions) -> None:
        self.processor = processor
        self.tokenizer: Any = processor.tokenizer
        self.long_side = options.long_side or LONG_SIDE
        if not (getattr(processor, "chat_template", None) or getattr(self.tokenizer, "chat_template", None)):
            raise BackendError("the checkpoint has no chat template; use one that was trained to follow instructions")
        if getattr(processor, "chat_template", None) is None:
            processor.chat_template = self.tokenizer.chat_template
        self.tokenizer.padding_side = "left"
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        limit_pixels(processor.image_processor, options)
        self._sizes: WeakKeyDictionary[View, tuple[int, int]] = WeakKeyDictionary()

    def text(self, conversation: Conversation) -> str:
        """Return a conversation as the chat template words it, up to the place of the next reply."""
        messages = []
        for turn in conversation:
            content = [
                {"type": "image"} if isinstance(part, View) else {"type": "text", "text": part} for part in turn.parts()
            ]
            messages.append({"role": turn.role, "content": content})
        return str(self.processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))

    def batch(self, conversations: Sequence[Conversation], prefix: str = "") -> dict[str, Any]:
        """Return the tensors of a batch, padded on the left. prefix: beginning of every reply."""
        views = [[view for turn in conversation for view in turn.views] for conversation in conversations]
        texts = [self._forced(self.text(conversation), prefix) for conversation in conversations]
        # a template that writes the beginning-of-sequence token itself; the tokenizer would add a second one
        start = self.tokenizer.bos_token
        more = {"add_special_tokens": False} if start and all(text.startswith(start) for text in texts) else {}
        pictures = [[self.picture(view) for view in row] for row in views]
        images = pictures if any(pictures) else None
        encoded = dict(self.processor(text=texts, images=images, padding=True, return_tensors="pt", **more))
        self._remember([view for row in views for view in row], encoded)
        return encoded

    def _forced(self, text: str, prefix: str) -> str:
        """Return a prompt with the forced beginning of the reply; a template may have opened the thoughts already."""
        if prefix and self.opened(text):
            prefix = prefix.removeprefix(THINK) if prefix.startswith(THINK) else f"</think>{prefix}"
        return text + prefix

    def opened(self, text: str) -> str:
        """Return "<think>" where the chat template has begun the reply with it, else an empty text."""
        return THINK if text.rstrip().endswith(THINK) else ""

    def picture(self, view: View) -> Image.Image:
        """Return the pixels of a view as they go to the processor."""
        return Image.fromarray(view.shown(self.long_side))

    def _remember(self, views: Sequence[View], encoded: dict[str, Any]) -> None:
        """Keep the size at which the model sees each view, for models that write boxes in pixels."""
        grids, patch = encoded.get("image_grid_thw"), getattr(self.processor.image_processor, "patch_size", None)
        if grids is None or not isinstance(patch, int) or len(grids) != len(views):
            return
        for view, (_, rows, columns) in zip(views, grids.tolist(), strict=True):
            self._sizes[view] = (columns * patch, rows * patch)

    def size(self, view: View) -> tuple[int, int]:
        """Return (width, height) at which the model sees a view, px; that of `picture` where it is not known."""
        return self._sizes.get(view) or self.picture(view).size


def limit_pixels(image_processor: Any, options: ModelOptions) -> None:
    """Set the limits of pixels of an image processor of the Qwen-VL family; ValueError for any other."""
    limits = {"min_pixels": options.min_pixels, "max_pixels": options.max_pixels}
    given = {name: value for name, value in limits.items() if value is not None}
    if not given:
        return
    if "Qwen2VL" not in type(image_processor).__name__:
        raise ValueError(f"{type(image_processor).__name__} has no limits of pixels; use --long-side instead")
    size = dict(image_processor.size)
    for name, value in given.items():
        if hasattr(image_processor, name):  # transformers 4
            setattr(image_processor, name, value)
        size["shortest_edge" if name == "min_pixels" else "longest_edge"] = value
    image_processor.size = {edge: size[edge] for edge in ("shortest_edge", "longest_edge")}
