"""Sentence embeddings for `strings="similar"`, where an encoder is installed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flowstudy.metrics.strings import Encoder


class NoEncoder(ImportError):
    """No sentence encoder is installed; the message says what to install."""


def sentence_encoder(model: str | Path) -> Encoder:
    """An encoder for `flow_similarity` and `score_pairs`: a sentence-transformers model, by folder or by name.

    A name that is not on this machine is downloaded by sentence-transformers. Code that comes with a model is never
    run. Raises `NoEncoder` where the package is missing, and what the package raises for a model that it cannot load.
    """
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError:
        raise NoEncoder(
            f"no encoder for model {str(model)!r}: expected the package sentence-transformers, got none; "
            "run `pip install sentence-transformers`, or leave `encoder` out to compare by letters"
        ) from None
    loaded = SentenceTransformer(str(model), trust_remote_code=False)

    def encode(texts: Sequence[str]) -> list[list[float]]:
        return loaded.encode(list(texts), show_progress_bar=False).tolist()

    return encode
