"""Training: the vision encoder, supervised fine-tuning, and what reinforcement learning needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def best_device() -> torch.device:
    """Return a GPU where there is one, else the CPU."""
    import torch  # here, so that `snellen train --help` needs no extra

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
