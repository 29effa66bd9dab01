"""Training: the vision encoder, supervised fine-tuning, and what reinforcement learning needs."""

from __future__ import annotations

import torch


def best_device() -> torch.device:
    """A GPU when there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
