"""The seed model before its first update: its shape, and weights that lean towards copying and counting."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class SeedPlan:
    """What to train and for how long.

    `tokens` is the size of one update of one process, `longest` the longest row in it (with shots, `longest_shots`),
    `shots` the share of updates whose prompts have shots, `drafts` the share of other prompts with a draft, `drills`
    the share of updates that are drills (a quarter of it after the first fifth of the time).
    """

    hidden: int = 160
    layers: int = 6
    heads: int = 5
    inner: int = 432
    vocabulary: int = 4096
    context: int = 3072
    tokens: int = 3072
    longest: int = 1536
    longest_shots: int = 2304
    shots: float = 0.15
    drafts: float = 0.55
    rate: float = 0.01
    rate_small: float = 0.002
    prompt_loss: float = 0.1
    copying: float = 0.7
    waves: bool = True
    drills: float = 0.6
    minutes: float = 120.0
    decay: float = 0.6
    seed: int = 0


def new_model(tokenizer: Any, plan: SeedPlan) -> Any:
    """A Llama of the planned shape with random weights."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=plan.hidden, intermediate_size=plan.inner, num_hidden_layers=plan.layers,
        num_attention_heads=plan.heads, num_key_value_heads=plan.heads, max_position_embeddings=plan.context,
        tie_word_embeddings=True, initializer_range=0.05,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        pad_token_id=tokenizer.pad_token_id, bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    _lean_to_copying(model, plan)
    _count_in_waves(model, tokenizer, plan)
    return model


def _count_in_waves(model: Any, tokenizer: Any, plan: SeedPlan) -> None:
    """Start the embeddings of `<w0>`, `<w1>`, ... as sines and cosines of the number, so that "the next word" is the
    same rotation for all of them and need not be learned number by number."""
    import torch

    if not plan.waves:
        return
    embedding = model.get_input_embeddings().weight
    half = plan.hidden // 4
    speeds = math.pi * torch.logspace(0, -2.2, half)
    with torch.no_grad():
        for kind in "wsic":
            shift = torch.randn(plan.hidden) * 0.05
            for number in range(256):
                place = tokenizer.convert_tokens_to_ids(f"<{kind}{number}>")
                if place == tokenizer.unk_token_id:
                    break
                wave = torch.cat([torch.sin(number * speeds), torch.cos(number * speeds)]) * 0.07
                embedding[place, : 2 * half] = wave
                embedding[place] += shift


def _lean_to_copying(model: Any, plan: SeedPlan) -> None:
    """Start the attention near "look at the same token, pass it on" (after mimetic initialization, Trockman and
    Kolter, 2023, arXiv 2305.09828): pointing is copying, and copying is slow to emerge from random weights."""
    import torch

    if not plan.copying:
        return
    same = torch.eye(plan.hidden)
    with torch.no_grad():
        for place, layer in enumerate(model.model.layers):
            attention = layer.self_attn
            for matrix, size in ((attention.q_proj, 0.5), (attention.k_proj, 0.5)):
                matrix.weight.add_(same, alpha=size if place else 0.0)
            if place >= plan.layers // 2:
                attention.v_proj.weight.add_(same, alpha=plan.copying)
                attention.o_proj.weight.add_(same, alpha=plan.copying)


def save_seed(model: Any, tokenizer: Any, folder: Path, plan: SeedPlan, measures: dict[str, Any]) -> None:
    """bf16 safetensors, tokenizer, config, and what the model card is written from."""
    import copy

    import torch

    copy.deepcopy(model).to(torch.bfloat16).save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    facts = {"plan": asdict(plan), "parameters": sum(p.numel() for p in model.parameters()), "measures": measures}
    (folder / "training.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
