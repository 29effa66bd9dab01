"""Scoring of millions of pictures with Ray Data: the command `snellen ray`, and `Judge` for pipelines of your own."""

from __future__ import annotations

from snellen.apps.ray.judge import Judge

__all__ = ["Judge"]
