"""Metric: scores of tensors of pictures, for training loops and evaluation code of PyTorch. It imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from snellen.assessor import Assessor
from snellen.backends import open_backend

if TYPE_CHECKING:
    import torch


class Metric:
    """A callable that scores a batch of pictures: `Metric()(images)`.

    Scores are MOS, 1 (bad) to 5 (excellent), higher is better. There are no gradients: the score can be measured, and
    be a reward, but not a loss. A picture's score does not depend on its batch. A Metric pickles, so it may be an
    attribute of a data set whose loader has workers; each worker then opens the model itself.

    Args:
        model: a name or folder for `open_backend`.
        threads: threads of a model of snellen-1's format, None for all: 1 in each of several workers.
        score_only: one round and no text: faster. With False the score is that of `snellen assess`.
        options: those of `Assessor`.
    """

    lower_better = False
    score_range = (1.0, 5.0)

    def __init__(
        self, model: str = "snellen-1", threads: int | None = None, score_only: bool = True, **options: Any
    ) -> None:
        backend = open_backend(model, threads=threads, options=options.get("options"))
        self.assessor = Assessor(backend, score_only=score_only, **options)

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Return the scores of pictures, (N,) float32 on the device of `images`.

        Args:
            images: (N, 3, H, W) or (N, 1, H, W), RGB or gray, sRGB, 0 to 1; of any float type and on any device.

        Raises:
            ValueError: another shape, values outside 0..1, or a picture that gets no score, with its number.
        """
        shape, low, high = tuple(images.shape), 0.0, 0.0
        if len(shape) != 4 or shape[1] not in (1, 3) or not images.is_floating_point():
            raise ValueError(f"images are floats (N, 3, H, W) or (N, 1, H, W), not {images.dtype} {shape}")
        pixels = images.detach().float().cpu().numpy().transpose(0, 2, 3, 1)
        if pixels.size:
            low, high = float(pixels.min()), float(pixels.max())
        if not (low >= -1e-6 and high <= 1 + 1e-6):
            raise ValueError(f"values are between 0 and 1, not {low:.4g} to {high:.4g}; scale or clip them")
        levels = np.round(np.clip(pixels, 0.0, 1.0) * 255.0).astype(np.uint8)
        scores = []
        for number, one in enumerate(self.assessor.stream(levels)):
            if one.score is None:
                raise ValueError(f"picture {number} of the batch: {one.error}")
            scores.append(one.score)
        return images.detach().float().new_tensor(scores)
