"""A metric of pyiqa: after `import snellen.apps.metric.pyiqa`, `pyiqa.create_metric("snellen")` gives it.

`create_metric` looks a name up in a table, and builds the architecture that the table names from a registry. pyiqa's
entry points reach the registry only (0.1.16), so this import fills both.
"""

from __future__ import annotations

from typing import Any

import torch
from pyiqa.default_model_configs import DEFAULT_CONFIGS
from pyiqa.utils.registry import ARCH_REGISTRY

from snellen.apps.metric.metric import Metric


class Snellen(torch.nn.Module):
    """The architecture of the metric: pictures (N, 3, H, W) or (N, 1, H, W), 0 to 1, become scores (N,), 1 to 5.

    Args:
        score_only: one round: faster. By default the score is that of `snellen score`.
        options: those of `Metric`; `create_metric` passes them on.
    """

    def __init__(self, score_only: bool = False, **options: Any) -> None:
        super().__init__()
        self.metric = Metric(score_only=score_only, **options)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the scores.

        Raises:
            ValueError: a gradient is asked for (`as_loss=True`), which there is none of; or as `Metric`.
        """
        if torch.is_grad_enabled() and images.requires_grad:
            raise ValueError("snellen gives no gradients; use it as a metric or a reward, without as_loss=True")
        return self.metric(images)


ARCH_REGISTRY.register(Snellen)
DEFAULT_CONFIGS["snellen"] = {"metric_opts": {"type": "Snellen"}, "metric_mode": "NR", "score_range": "1, 5"}
