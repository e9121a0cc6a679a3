"""The small model: bases, fine-tuning, kept adapters, generation, and the LiteLLM provider `slm/<name>`.

Importing this package imports no torch; each module loads what it needs when it is called.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any


def base_folder(name: str) -> Path:
    """The folder of a base model; see `flowstudy.systems.slm.bases.find_base`."""
    from flowstudy.systems.slm.bases import find_base

    return Path(find_base(name).source)


def serve(name: str, model_dir: str | Path, **options: Any) -> str:
    """Register a model folder as LiteLLM provider `slm/<name>`; see `flowstudy.systems.slm.provider.serve`."""
    from flowstudy.systems.slm.provider import serve as _serve

    return _serve(name, model_dir, **options)
