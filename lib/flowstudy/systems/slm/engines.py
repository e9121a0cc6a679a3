"""Two ways to load a base model for training: Unsloth where it loads, plain transformers + peft otherwise."""

from __future__ import annotations

import importlib
import os
import warnings
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from flowstudy.systems.slm.prepare import TrainingError
from flowstudy.systems.slm.tokenizer import load_tokenizer, needs_mistral_fix

Method = Literal["lora", "full", "qlora"]
Engine = Literal["auto", "unsloth", "trl"]
_LINEAR: Final = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


class Loaded(NamedTuple):
    """A model ready to train. `why` says in words why this engine was taken."""

    model: Any
    tokenizer: Any
    engine: str
    why: str
    context: int


class Lora(NamedTuple):
    """Size of the adapters."""

    rank: int = 16
    alpha: int = 32


def load_base(base: str, method: Method, engine: Engine, lora: Lora, seed: int, context: int | None = None) -> Loaded:
    """The base model with adapters (`lora`, `qlora`) or all weights trainable (`full`).

    `auto` takes Unsloth on CUDA when it can be imported, and says why when not. Raises TrainingError when `unsloth` is
    asked for and cannot be loaded, or when the base cannot be read.
    """
    import torch

    cuda, unsloth = torch.cuda.is_available(), None
    if engine == "auto" and not cuda:
        why = "no CUDA card, so plain TRL, which computes logits of answer tokens alone there"
    else:
        unsloth, why = _unsloth(engine)
    if engine == "unsloth" and unsloth is None:
        raise TrainingError(f"engine unsloth: {why}; install the extra `unsloth` with uv, or use engine='trl'")
    if method == "qlora" and not cuda:
        raise TrainingError("method qlora: expected a CUDA GPU for 4-bit weights, got none; use method='lora'")
    size = context or _context(base)
    loader = _with_unsloth if unsloth is not None else _with_peft
    try:
        model, tokenizer = loader(unsloth, base, method, lora, seed, size, torch, cuda)
    except (OSError, KeyError) as error:
        raise _unreadable(base, error) from None
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return Loaded(model, tokenizer, "unsloth" if unsloth is not None else "trl", why, size)


def _unsloth(engine: Engine) -> tuple[Any, str]:
    if engine == "trl":
        return None, "plain TRL was asked for"
    os.environ.setdefault("UNSLOTH_DISABLE_STATISTICS", "1")  # it would download a page to be counted
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module: Any = importlib.import_module("unsloth")
    except (ImportError, NotImplementedError, RuntimeError, OSError) as error:
        reason = f"{type(error).__name__}: {str(error)[:150]}".replace("\n", " ")
        return None, f"Unsloth does not load here ({reason}), so plain TRL"
    return module, f"Unsloth {getattr(module, '__version__', '')} loads here"


def _unreadable(base: str, error: Exception) -> TrainingError:
    return TrainingError(f"base model {base}: expected a model folder or a known name, got: {str(error)[:300]}")


def _context(base: str) -> int:
    """Longest sequence to train on: what the model can take, at most 4,096 tokens."""
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(base, local_files_only=Path(base).exists())
    except (OSError, ValueError) as error:
        raise _unreadable(base, error) from None
    return min(int(getattr(config, "max_position_embeddings", 4096)), 4096)


def _with_unsloth(
    unsloth: Any, base: str, method: Method, lora: Lora, seed: int, context: int, torch: Any, cuda: bool
) -> tuple[Any, Any]:
    model, tokenizer = unsloth.FastLanguageModel.from_pretrained(
        base, max_seq_length=context, dtype=None if cuda else torch.float32, load_in_4bit=method == "qlora",
        full_finetuning=method == "full", local_files_only=Path(base).exists(),
    )  # fmt: skip
    if method != "full":
        model = unsloth.FastLanguageModel.get_peft_model(
            model, r=lora.rank, lora_alpha=lora.alpha, lora_dropout=0, bias="none", target_modules=_LINEAR,
            use_gradient_checkpointing="unsloth" if cuda else False, random_state=seed,
        )  # fmt: skip
    return model, load_tokenizer(base) if needs_mistral_fix(base) else tokenizer


def _with_peft(
    _: Any, base: str, method: Method, lora: Lora, seed: int, context: int, torch: Any, cuda: bool
) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    local = Path(base).exists()
    four_bit = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16)
    model = AutoModelForCausalLM.from_pretrained(
        base, dtype=torch.bfloat16 if cuda else torch.float32, local_files_only=local,
        quantization_config=four_bit if method == "qlora" else None,
    )  # fmt: skip
    tokenizer = load_tokenizer(base, local_files_only=local)
    if method != "full":
        from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training

        torch.manual_seed(seed)
        model = prepare_model_for_kbit_training(model) if method == "qlora" else model
        config = LoraConfig(r=lora.rank, lora_alpha=lora.alpha, target_modules=_LINEAR, task_type="CAUSAL_LM")
        adapted: Any = get_peft_model(model, config)
        return adapted, tokenizer
    return model, tokenizer
