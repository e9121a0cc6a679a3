"""Prompts that are answered together: read in groups of like length, then kept side by side while they are answered.

Reading costs what it costs, and padding would cost as much again: only prompts of like length are read at once.
Writing costs little for each token, so all prompts are answered in one batch, and the cache of keys and values has room
to write in: the cache that grows with every token copies all that was read each time.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Final

#: Memory for keys and values: in a computer, and the share of what is free on a GPU.
CPU_BYTES: Final = 1e9
GPU_SHARE: Final = 0.3
#: How much shorter than the longest a prompt may be to be read with it.
SLACK: Final = 0.1


class Reading:
    """What was read, row by row, and the scores of each row's next token: `logits` (rows, vocabulary)."""

    def __init__(self, model: Any, cache: Any, mask: Any, logits: Any) -> None:
        self.model, self.cache, self.mask, self.logits = model, cache, mask, logits

    @classmethod
    def of(cls, model: Any, rows: Sequence[Sequence[int]], pad: int, room: int) -> Reading:
        """Read token rows, shortest first; `room` is how many tokens each answer may take."""
        import torch

        if not _plain(model):
            return _read(model, rows, pad)
        parts = [_read(model, group, pad) for group in _alike(rows)]
        width = max(part.mask.shape[1] for part in parts)
        mask = torch.cat([_left_padded(part.mask, width, 1) for part in parts])
        layers = [_side_by_side([part.cache.layers[n] for part in parts], width, room)
                  for n in range(len(parts[0].cache.layers))]  # fmt: skip
        return cls(model, _cache_of(layers), mask, torch.cat([part.logits for part in parts]))

    def keep(self, places: Sequence[int]) -> None:
        """Go on with these rows only."""
        import torch

        kept = torch.tensor(places, device=self.mask.device)
        self.cache.batch_select_indices(kept)
        self.mask, self.logits = self.mask[kept], self.logits[kept]

    def write(self, tokens: Any) -> None:
        """Add one token to each row, (rows,), and look at what may come next."""
        import torch

        self.mask = torch.cat([self.mask, self.mask.new_ones(len(self.mask), 1)], dim=1)
        places = self.mask.sum(-1, keepdim=True) - 1
        self.logits = _next(self.model, tokens[:, None], self.mask, places, self.cache)


def tokens_in_memory(model: Any) -> int:
    """How many tokens' keys and values fit into the memory that a batch may take; at least 4,096."""
    import torch

    config = model.config
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    each = 2 * config.num_hidden_layers * heads * size * model.dtype.itemsize
    free = torch.cuda.mem_get_info()[0] * GPU_SHARE if model.device.type == "cuda" else CPU_BYTES
    return max(4096, int(free / each))


def _alike(rows: Sequence[Sequence[int]]) -> list[list[Sequence[int]]]:
    """Rows, shortest first, in groups of like length."""
    groups: list[list[Sequence[int]]] = []
    for row in rows:
        if groups and len(groups[-1][0]) >= (1 - SLACK) * len(row):
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


def _plain(model: Any) -> bool:
    """Whether every layer attends to all that was read, so that its keys and values can be moved about."""
    from transformers.cache_utils import DynamicCache, DynamicLayer

    layers = DynamicCache(config=model.config).layers
    return all(type(layer) is DynamicLayer for layer in layers)


def _read(model: Any, rows: Sequence[Sequence[int]], pad: int) -> Reading:
    import torch
    from transformers.cache_utils import DynamicCache

    width, device = max(map(len, rows)), model.device
    ids = torch.tensor([[pad] * (width - len(row)) + list(row) for row in rows], device=device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=device)
    cache = DynamicCache(config=model.config)
    return Reading(model, cache, mask, _next(model, ids, mask, (mask.cumsum(-1) - 1).clamp(min=0), cache))


def _next(model: Any, ids: Any, mask: Any, places: Any, cache: Any) -> Any:
    out = model(
        input_ids=ids, attention_mask=mask, position_ids=places, past_key_values=cache, use_cache=True, logits_to_keep=1
    )
    return out.logits[:, -1]


def _left_padded(part: Any, width: int, dim: int) -> Any:
    import torch

    shape = list(part.shape)
    shape[dim] = width - shape[dim]
    return torch.cat([part.new_zeros(shape), part], dim=dim)


def _cache_of(layers: list[Any]) -> Any:
    from transformers.cache_utils import Cache

    return Cache(layers=layers)


def _side_by_side(parts: Sequence[Any], width: int, room: int) -> Any:
    """One layer for all rows, (rows, heads, `width` + `room`, size), what was read at the right of `width`."""
    import torch

    made = _roomy_layer()()
    keys = torch.cat([_left_padded(part.keys, width, 2) for part in parts])
    values = torch.cat([_left_padded(part.values, width, 2) for part in parts])
    made.take(keys, values, room)
    return made


@functools.cache
def _roomy_layer() -> Any:
    import torch
    from transformers.cache_utils import DynamicLayer

    class RoomyLayer(DynamicLayer):
        """Keys and values with room behind them, in which the next ones are written; `keys` and `values` are views."""

        def take(self, keys: Any, values: Any, room: int) -> None:
            """Hold these, and room for so many more."""
            self.lazy_initialization(keys, values)
            self._both = [torch.nn.functional.pad(part, (0, 0, 0, room)) for part in (keys, values)]
            self._see(keys.shape[-2])

        def _see(self, length: int) -> None:
            self.keys, self.values = (part[..., :length, :] for part in self._both)

        def update(self, key_states: Any, value_states: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
            """Write behind what is there, in more room when it is full."""
            start = self.get_seq_length()
            end = start + key_states.shape[-2]
            if end > self._both[0].shape[-2]:
                self.take(self.keys, self.values, room=max(64, end - start))
            for whole, new in zip(self._both, (key_states, value_states), strict=True):
                whole[..., start:end, :] = new
            self._see(end)
            return self.keys, self.values

        def batch_select_indices(self, indices: Any) -> None:
            """Hold these rows only."""
            length = self.get_seq_length()
            self._both = [part[indices] for part in self._both]
            self._see(length)

    return RoomyLayer
