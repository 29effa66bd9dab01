"""Backends: one module for each kind of model, and `open_backend`, the one opener."""

from __future__ import annotations

from pathlib import Path

from snellen.backend import Backend, model_folder
from snellen.options import ModelOptions
from snellen.usage import MissingExtra

OPTIONS = {
    "hf": ("long_side", "min_pixels", "max_pixels", "device", "device_map", "dtype", "attention", "revision"),
    "openai": ("long_side", "timeout", "concurrency", "structured"),
    "openai-batch": ("long_side", "structured"),
}
"""The fields of `ModelOptions` that each kind of model has; the others have none."""


def open_backend(model: str | Path, *, threads: int | None = None, options: ModelOptions | None = None) -> Backend:
    """Open a model.

    Args:
        model: "snellen-1" (bundled), a folder with card.json (a model of the same format), "hf:PATH" (transformers),
            "openai:URL#MODEL" (a chat completions server), "openai-batch:JOB#MODEL" (files of requests for one) or
            "scripted:FILE" (fixed replies).
        threads: threads of a model of snellen-1's format, None for all that it can use; others ignore it.
        options: how a vision-language model is opened.

    Raises:
        ValueError: `model` has none of these forms, or not one of the options that are set.
        BackendError: the model cannot be opened.
    """
    kind, _, rest = str(model).partition(":")
    options = options or ModelOptions()
    options.require(OPTIONS.get(kind, ()), str(model))
    if model == "snellen-1" or model_folder(model) is not None:
        from snellen.backends.onnx import Snellen1Backend

        return Snellen1Backend(model_folder(model), threads)
    if kind == "scripted" and rest:
        from snellen.backends.scripted import ScriptedBackend

        return ScriptedBackend(Path(rest))
    if kind == "hf" and rest:
        try:
            from snellen.backends.transformers import HfBackend
        except ImportError as error:
            raise MissingExtra(f"hf: models need {error.name}", "hf") from error
        return HfBackend(rest, options)
    if kind == "openai" and rest:
        from snellen.backends.openai import OpenAIBackend

        return OpenAIBackend(rest, **options.given())
    if kind == "openai-batch" and rest:
        from snellen.backends.openai_batch import BatchBackend

        return BatchBackend(rest, **options.given())
    if model and Path(model).is_dir():
        raise ValueError(
            f"folder {str(model)!r} holds no model: it has no card.json; for a checkpoint of transformers "
            f"use hf:{model}"
        )
    raise ValueError(
        f"unknown model {str(model)!r}; use snellen-1, a folder with card.json, hf:PATH, openai:URL#MODEL, "
        "openai-batch:JOB#MODEL or scripted:FILE"
    )
