"""The small model: shipped seed weights, fine-tuning, generation, and the LiteLLM provider `slm/<name>`.

Importing this package imports no torch; each module loads what it needs when it is called.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

#: The folder of the shipped seed model.
SEED_MODEL: Final = Path(__file__).parent / "seed"


def serve(name: str, model_dir: str | Path, **options: Any) -> str:
    """Register a model folder as LiteLLM provider `slm/<name>`; see `flowstudy.systems.slm.provider.serve`."""
    from flowstudy.systems.slm.provider import serve as _serve

    return _serve(name, model_dir, **options)
