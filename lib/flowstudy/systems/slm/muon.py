"""Muon (Keller Jordan, 2024, https://kellerjordan.github.io/posts/muon/): momentum whose update is made orthogonal.

In float32 on processors that only emulate bfloat16, up to 50 times slower; there `torch.optim.Muon` cannot be used.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any


@functools.cache
def fast_bf16() -> bool:
    """Whether this processor multiplies bfloat16 itself; elsewhere it is emulated, and float32 is faster."""
    facts = Path("/proc/cpuinfo")
    return facts.exists() and "avx512_bf16" in facts.read_text(encoding="utf-8")


def new_muon(matrices: Sequence[Any], lr: float, momentum: float = 0.95, decay: float = 0.01) -> Any:
    """A torch optimizer for matrices. `lr` is scaled by sqrt(max(1, rows / columns))."""
    import torch

    class Muon(torch.optim.Optimizer):
        """Muon."""

        @torch.no_grad()
        def step(self, closure: Any = None) -> None:  # type: ignore[override]
            """One update of all matrices that have a gradient."""
            for group in self.param_groups:
                for matrix in group["params"]:
                    if matrix.grad is not None:
                        _update(matrix, self.state[matrix], group)

    return Muon(matrices, {"lr": lr, "momentum": momentum, "decay": decay})


def _update(matrix: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
    import torch

    if "momentum" not in state:
        state["momentum"] = torch.zeros_like(matrix)
    average = state["momentum"].mul_(group["momentum"]).add_(matrix.grad)
    wanted = matrix.grad.add(average, alpha=group["momentum"])
    update = orthogonal(wanted.bfloat16() if wanted.is_cuda or fast_bf16() else wanted).float()
    scale = max(1.0, matrix.shape[0] / matrix.shape[1]) ** 0.5
    matrix.mul_(1 - group["lr"] * group["decay"]).add_(update, alpha=-group["lr"] * scale)


def orthogonal(matrix: Any, steps: int = 5) -> Any:
    """Roughly the nearest orthogonal matrix (all singular values near 1), by a quintic Newton-Schulz iteration."""
    turned = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = turned / (turned.norm() + 1e-7)
    for _ in range(steps):
        square = x @ x.T
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x.T if matrix.shape[0] > matrix.shape[1] else x
