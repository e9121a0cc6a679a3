"""Other forms of a tuned model: adapters merged into their base, or one GGUF file for llama.cpp and Ollama.

The study itself keeps and serves adapters: a merge may answer differently, which the reload check would not see.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, get_args

from flowstudy.systems.slm.loading import ModelError, load_model

Form = Literal["merged", "gguf"]
GGUF_QUANTISATION: Final = "q8_0"


def export_model(folder: str | Path, form: Form, to: str | Path | None = None) -> Path:
    """Write `folder` (a saved model or adapter) in another form; returns the new folder.

    `merged` is bf16 safetensors with tokenizer, readable without PEFT. `gguf` goes through Unsloth, which builds
    llama.cpp on first use. `to` is a folder beside the model by default. Raises ModelError for an unknown form, a
    folder without a model, or when Unsloth cannot be loaded.
    """
    if form not in get_args(Form):
        raise ModelError(f"export of {folder}: expected one of {', '.join(get_args(Form))}, got {form!r}")
    source = Path(folder)
    target = Path(to) if to is not None else source.with_name(f"{source.name}-{form}")
    return _merged(source, target) if form == "merged" else _gguf(source, target)


def _merged(source: Path, target: Path) -> Path:
    import torch

    model, tokenizer = load_model(source, device="cpu")
    if hasattr(model, "merge_and_unload"):
        model = model.merge_and_unload()
    model.to(torch.bfloat16).save_pretrained(target, safe_serialization=True)
    tokenizer.save_pretrained(target)
    marker = source / "flowstudy.json"
    if marker.exists():
        (target / marker.name).write_bytes(marker.read_bytes())
    return target


def _gguf(source: Path, target: Path) -> Path:
    try:
        from unsloth import FastLanguageModel
    except (ImportError, NotImplementedError, RuntimeError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"export of {source}: expected Unsloth for GGUF, got {type(error).__name__}: {reason}; use form 'merged' "
            "and convert that folder with llama.cpp's convert_hf_to_gguf.py"
        ) from None
    model, tokenizer = FastLanguageModel.from_pretrained(str(source), local_files_only=True)
    model.save_pretrained_gguf(str(target), tokenizer, quantization_method=GGUF_QUANTISATION)
    return target
