"""Weights spread over processes (FSDP2 of torch), for models that one device cannot hold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from accelerate import PartialState
from torch import Tensor


class Shards:
    """A model whose decoder layers and vision blocks, and the rest as one part, are spread over all processes.

    model: of transformers, with `_no_split_modules`. Its parameters become DTensors in place: make the optimiser
    afterwards. Gradients come out as the mean over the processes.

    Raises ValueError in a run of one process.
    """

    def __init__(self, model: Any) -> None:
        from torch.distributed.fsdp import FSDPModule, fully_shard

        self.first = PartialState().is_main_process  # it also sets up the processes' group
        if PartialState().num_processes == 1:
            raise ValueError("shard needs several processes; start them with accelerate launch, or leave shard out")
        names = set(model._no_split_modules or ())
        for module in list(model.modules()):
            if type(module).__name__ in names:
                fully_shard(module)
        fully_shard(model)
        self.parts: list[Any] = [module for module in model.modules() if isinstance(module, FSDPModule)]

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """Keep the whole weights on every process, so that processes may run unequal numbers of passes: rollouts."""
        for part in self.parts:
            part.set_reshard_after_forward(False, recurse=False)
            part.unshard()
        try:
            yield
        finally:
            for part in self.parts:
                part.set_reshard_after_forward(True, recurse=False)
                part.reshard()


def whole(value: Any) -> Any:
    """Return a structure of dicts and lists with every sharded tensor put together; all processes must call it."""
    if isinstance(value, dict):
        return {name: whole(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(whole(one) for one in value)
    return value.full_tensor() if hasattr(value, "full_tensor") else value


def spread(value: Tensor, like: Tensor) -> Tensor:
    """Return a whole tensor sharded as `like` is."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    if not isinstance(like, DTensor) or value.dim() == 0:
        return value
    return distribute_tensor(value.to(like.device), like.device_mesh, like.placements)
