"""Processes that train the seed model together."""

from __future__ import annotations

import os
from typing import Any, NamedTuple


class Team(NamedTuple):
    """The processes that train together; alone unless started by `torchrun`."""

    rank: int
    size: int

    @classmethod
    def join(cls) -> Team:
        """Meet the others, as the environment of `torchrun` says."""
        rank, size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
        if size > 1:
            import torch

            torch.set_num_threads(1)
            torch.distributed.init_process_group("gloo")
        return cls(rank, size)

    def told(self, number: float) -> float:
        """The first process's number, the same for all."""
        if self.size == 1:
            return number
        import torch

        shared = torch.tensor([number], dtype=torch.float64)
        torch.distributed.broadcast(shared, 0)
        return float(shared[0])

    def average_gradients(self, model: Any) -> None:
        """Every process goes on with the mean of all gradients."""
        if self.size == 1:
            return
        import torch

        gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in model.parameters()]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        torch.distributed.all_reduce(flat)
        pieces = (flat / self.size).split([gradient.numel() for gradient in gradients])
        for parameter, piece in zip(model.parameters(), pieces, strict=True):
            parameter.grad = piece.view_as(parameter)

    def leave(self) -> None:
        """Part from the others."""
        if self.size > 1:
            import torch

            torch.distributed.destroy_process_group()
