"""TRL's trainer with the loss and the schedule of this study."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Callable
from typing import Any, Final

#: Share of the training in which the learning rate rises.
WARMUP: Final = 0.06
#: Options of glibc's `mallopt`.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4


def keep_memory() -> None:
    """Tell glibc to keep the memory that this process gives back: training on a CPU frees and asks for the same large
    blocks in every update, and each new page must be cleared by the system. Does nothing elsewhere."""
    if platform.system() == "Linux" and platform.libc_ver()[0] == "glibc":
        library = ctypes.CDLL(None)
        for option, value in ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 2**28)):
            library.mallopt(option, value)


def fast_bf16() -> bool:
    """Whether matrices are multiplied faster in bfloat16 than in float32 here: on CUDA, and on processors that have
    instructions for it."""
    import torch

    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    able = getattr(torch.cpu, "_is_avx512_bf16_supported", None), getattr(torch.cpu, "_is_amx_tile_supported", None)
    return any(check() for check in able if check is not None)


def trainer_class(prompt_weight: float, done: Callable[[], float], *, own_loss: bool) -> Any:
    """SFTTrainer with its batches in the order of the rows and a rate that rises and then falls with `done()` (0..1).

    With `own_loss` (one process only: it calls the model inside of what Accelerate wraps around it) the output layer is
    computed for the tokens that count alone: the prompt is most of an example, and its logits are a fifth of the work
    of a small model.
    """
    import torch
    from torch.nn.functional import cross_entropy
    from torch.optim.lr_scheduler import LambdaLR
    from torch.utils.data import SequentialSampler
    from transformers import Trainer
    from trl import SFTTrainer  # type: ignore[attr-defined]

    class InOrder(SFTTrainer):
        """Rows in their order, a rate by progress."""

        def _get_train_sampler(self, train_dataset: Any = None) -> Any:
            rows: Any = train_dataset if train_dataset is not None else self.train_dataset
            return SequentialSampler(rows)

        def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
            def share(_: int) -> float:
                at = min(1.0, done())
                return min(1.0, (at + 1e-3) / WARMUP) * (1.0 - at)

            used: Any = optimizer or self.optimizer
            self.lr_scheduler = LambdaLR(used, share)
            return self.lr_scheduler

        def compute_loss(self, *args: Any, **options: Any) -> Any:
            if torch.cuda.is_available():
                return super().compute_loss(*args, **options)
            return Trainer.compute_loss(self, *args, **options)  # TRL's own needs Triton, and so a GPU

    class CountingTokens(InOrder):
        """The loss over answer tokens, and over prompt tokens with a smaller weight."""

        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            core = self.accelerator.unwrap_model(model)
            core = core.get_base_model() if hasattr(core, "get_base_model") else core
            ids, labels, mask = inputs["input_ids"], inputs["labels"][:, 1:], inputs["attention_mask"]
            with torch.autocast(ids.device.type, torch.bfloat16, enabled=bool(self.args.bf16)):
                hidden = core.get_decoder()(input_ids=ids, attention_mask=mask).last_hidden_state[:, :-1]
                answers = labels != -100
                loss = _summed(core, hidden[answers], labels[answers], cross_entropy)
                count: Any = answers.sum() if num_items_in_batch is None else num_items_in_batch
                if prompt_weight > 0:
                    prompts = (labels == -100) & mask[:, 1:].bool()
                    loss = loss + prompt_weight * _summed(core, hidden[prompts], ids[:, 1:][prompts], cross_entropy)
                    count = count + prompt_weight * prompts.sum()
            loss = loss / count
            return (loss, None) if return_outputs else loss

    return CountingTokens if own_loss or prompt_weight > 0 else InOrder


def _summed(core: Any, hidden: Any, labels: Any, cross_entropy: Any) -> Any:
    return cross_entropy(core.get_output_embeddings()(hidden).float(), labels, reduction="sum")
