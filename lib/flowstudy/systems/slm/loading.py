"""A model and its tokenizer from a folder, checked before it is asked.

Nothing is downloaded here: a model is a folder, or a name that the Hugging Face cache already has.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from flowstudy.systems.slm.template import template_hash


class ModelError(ValueError):
    """A model folder that cannot be used; the message names it and says what is wrong."""


def load_model(folder: str | Path, *, device: str | None = None) -> tuple[Any, Any]:
    """Model and tokenizer of a folder, adapters on top of their base. float32 on a CPU, bfloat16 on a GPU.

    Raises ModelError naming the folder when files are missing, cut short or of another shape.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    from flowstudy.systems.slm.tokenizer import load_tokenizer

    folder = Path(folder)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    dtype = torch.bfloat16 if device.startswith("cuda") else torch.float32
    try:
        adapter = folder / "adapter_config.json"
        if adapter.exists():
            from peft import PeftModel

            config = json.loads(adapter.read_text(encoding="utf-8"))
            name = config["base_model_name_or_path"]
            base = AutoModelForCausalLM.from_pretrained(name, dtype=dtype, local_files_only=True)
            model: Any = PeftModel.from_pretrained(base, str(folder))
        else:
            model = AutoModelForCausalLM.from_pretrained(str(folder), dtype=dtype, local_files_only=True)
        tokenizer = load_tokenizer(folder)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"model {folder}: expected a saved model or adapter, got: {str(error)[:300]}") from None
    return model.to(device).eval(), tokenizer


def check_template(folder: Path) -> None:
    """Raise ModelError when a tuned model was trained with another template than the one that asks it now."""
    path = folder / "flowstudy.json"
    if not path.exists():
        return
    trained = json.loads(path.read_text(encoding="utf-8")).get("template_hash")
    if trained != template_hash():
        wanted = template_hash()[:12]
        raise ModelError(f"model {folder}: expected template {wanted}, got {str(trained)[:12]}; fine-tune again")


def fingerprint(folder: str | Path) -> str:
    """SHA-256 over the weights, configs and tokenizer of a model folder, for keys and manifests."""
    digest = hashlib.sha256()
    for path in sorted(Path(folder).glob("*")):
        if path.suffix in (".safetensors", ".json") and path.name not in ("training.json",):
            digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
