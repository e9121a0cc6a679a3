"""Tokenizers, loaded in one way wherever a small model is converted, trained, judged or asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

#: Families whose tokenizers were published with another splitting of words than the models were trained with; where
#: the config tells of an old transformers, `fix_mistral_regex` puts the right one in (and does nothing elsewhere).
_MISTRAL: Final = frozenset({"mistral", "mistral3", "voxtral", "ministral", "pixtral"})


def load_tokenizer(source: str | Path, **options: Any) -> Any:
    """The tokenizer of a model folder or hub name. `options` are those of transformers.

    Raises OSError or ValueError, as transformers does, where there is none.
    """
    from transformers import AutoTokenizer

    local = bool(options.get("local_files_only"))
    fix = {"fix_mistral_regex": True} if needs_mistral_fix(source, local=local) else {}
    return AutoTokenizer.from_pretrained(str(source), **fix, **options)


def needs_mistral_fix(source: str | Path, *, local: bool = False) -> bool:
    """Whether a folder or hub name is a model of Mistral's families; False where there is no config to tell, as beside
    an adapter: its tokenizer was saved as it was loaded for training."""
    from transformers import PreTrainedConfig

    try:
        config, _ = PreTrainedConfig.get_config_dict(str(source), local_files_only=local or Path(source).exists())
    except (OSError, ValueError):
        return False
    return config.get("model_type") in _MISTRAL
