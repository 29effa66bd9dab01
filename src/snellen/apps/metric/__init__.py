"""Scores of tensors: `Metric` for PyTorch, and the same as a metric of pyiqa (`import snellen.apps.metric.pyiqa`)."""

from __future__ import annotations

from snellen.apps.metric.metric import Metric

__all__ = ["Metric"]
