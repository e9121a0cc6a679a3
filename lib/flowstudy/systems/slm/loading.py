"""A fine-tuned model and its tokenizer from a folder, checked before it is asked."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from flowstudy.files import hash_file
from flowstudy.systems.slm.bases import Base, find_base
from flowstudy.systems.slm.template import template_hash
from flowstudy.systems.slm.tokenizer import load_tokenizer


class ModelError(ValueError):
    """A model folder that cannot be used; the message names it and says what is wrong."""


def facts_of(folder: str | Path) -> dict[str, Any]:
    """What `flowstudy.json` beside a tuned model says: base, its hash, method, template; {} for other folders."""
    path = Path(folder) / "flowstudy.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def base_of(folder: str | Path) -> Base:
    """The base of a tuned model. Raises ModelError when the base that is found here is another one."""
    facts = facts_of(folder)
    if "base" not in facts:
        raise ModelError(f"model {folder}: expected `base` in flowstudy.json, got none; fine-tune again")
    base = find_base(facts["base"])
    trained = facts.get("sha256", "")
    if trained and base.sha256 and trained != base.sha256:
        raise ModelError(
            f"model {folder}: expected its base {base.name} with SHA-256 {trained[:12]}, got {base.sha256[:12]}; "
            "an adapter answers only on the weights that it was trained on: fine-tune again"
        )
    return base


def load_model(folder: str | Path, *, device: str | None = None) -> tuple[Any, Any]:
    """Model and tokenizer of a folder, adapters merged into their base. float32 on a CPU, bfloat16 on a GPU.

    Raises ModelError naming the folder when files are missing, cut short or of another shape, or when the chat template
    is another than in training.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    folder = Path(folder)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    dtype = torch.bfloat16 if device.startswith("cuda") else torch.float32
    try:
        if (folder / "adapter_config.json").exists():
            from peft import PeftModel

            source = base_of(folder).source
            base = AutoModelForCausalLM.from_pretrained(source, dtype=dtype)
            model: Any = PeftModel.from_pretrained(base, str(folder)).merge_and_unload()
        else:
            model = AutoModelForCausalLM.from_pretrained(str(folder), dtype=dtype, local_files_only=True)
        tokenizer = load_tokenizer(folder, local_files_only=True)
    except ModelError:
        raise
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"model {folder}: expected a saved model or adapter, got: {str(error)[:300]}") from None
    check_template(folder, tokenizer)
    return model.to(device).eval(), tokenizer


def check_template(folder: Path, tokenizer: Any) -> None:
    """Raise ModelError when a tuned model was trained with another chat template than the one that asks it now."""
    trained, wanted = facts_of(folder).get("template_hash"), template_hash(tokenizer)
    if trained is not None and trained != wanted:
        got = str(trained)[:12]
        raise ModelError(f"model {folder}: expected chat template {wanted[:12]}, got {got}; fine-tune again")


def fingerprint(folder: str | Path) -> str:
    """SHA-256 over the weights, configs and tokenizer of a model folder, for keys and manifests."""
    digest = hashlib.sha256()
    for path in sorted(Path(folder).glob("*")):
        if path.suffix in (".safetensors", ".json", ".gguf", ".jinja") and path.name != "report.json":
            digest.update(path.name.encode() + hash_file(path).encode())
    return digest.hexdigest()
