"""Training: supervised fine-tuning and GRPO of any `snellen.backend.Policy`; snellen1/ holds snellen-1's own stages."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def best_device() -> torch.device:
    """Return the GPU of this process where there is one, else the CPU."""
    import torch  # here, so that `snellen train --help` needs no extra

    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))  # set by `accelerate launch`
