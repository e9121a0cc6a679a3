"""A fine-tuned Llama-shaped model as GGUF, which OpenVINO GenAI (and llama.cpp, Ollama) read.

Metadata and tokenizer are copied from the GGUF that the base came as; the tensors are those of the model in float16.
GGUF stores the rows of query and key projections interleaved (halves of each head taken in turn), as llama.cpp does.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np

_TOP: Final = {"embed_tokens": "token_embd", "norm": "output_norm"}
_LAYER: Final = {
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}  # fmt: skip
#: `general.file_type` of a file whose tensors are mostly float16.
_MOSTLY_F16: Final = 1


def write_gguf(model: Any, origin: str | Path, out: str | Path) -> None:
    """Write the weights of a loaded transformers model to the file `out`, with the metadata of the file `origin`.

    Tied embeddings stay tied: without an output tensor the embedding is used. Raises ValueError for a tensor that GGUF
    has no name for.
    """
    import gguf
    import numpy as np

    reader = gguf.GGUFReader(str(origin))
    writer = gguf.GGUFWriter(str(out), str(reader.fields["general.architecture"].contents()))
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name == "general.architecture":
            continue
        value = _MOSTLY_F16 if field.name == "general.file_type" else field.contents()
        inner = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, value, field.types[0], sub_type=inner)
    config = model.config
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        data = tensor.detach().cpu().float().numpy()
        if name.endswith("q_proj.weight"):
            data = interleaved(data, config.num_attention_heads)
        if name.endswith("k_proj.weight"):
            data = interleaved(data, config.num_key_value_heads)
        writer.add_tensor(_name(name), data if data.ndim == 1 else data.astype(np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def interleaved(rows: np.ndarray, heads: int) -> np.ndarray:
    """Rows of a projection as GGUF stores them: of each head, the first of both halves, then the second, and so on."""
    return rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def _name(name: str) -> str:
    """The GGUF name of a transformers tensor."""
    stem, _, kind = name.removeprefix("model.").rpartition(".")
    if stem in _TOP:
        return f"{_TOP[stem]}.{kind}"
    if stem == "lm_head":
        return f"output.{kind}"
    _, number, rest = stem.split(".", 2) if stem.startswith("layers.") else ("", "", stem)
    if rest not in _LAYER:
        raise ValueError(f"tensor {name}: expected one of a Llama-shaped model, got another; serve it by URL")
    return f"blk.{number}.{_LAYER[rest]}.{kind}"
