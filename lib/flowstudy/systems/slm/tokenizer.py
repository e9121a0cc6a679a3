"""The tokenizer of the seed model: one token per pointer, flow logic and operator, and BPE over lower-cased text.

Requirements keep their case all the same: values are pointed at, and the text of the words comes from the
requirement. Only what the model spells is in lower case. A pointer swallows the space before it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from flowstudy.flows.query import OPERATORS
from flowstudy.flows.schema import FLOW_LOGIC
from flowstudy.systems.pointers import MAX_CHOICES, MAX_INPUTS, MAX_SUGGESTIONS, MAX_WORDS

PAD, BEGIN, END, UNKNOWN = "<pad>", "<begin>", "<end>", "<unknown>"
#: Units that BPE may not cross: line breaks with their indentation, ` | name = `, references, digits, words, signs.
_UNITS: Final = (
    r"\n *| \| [a-z_]+ :?= ?|\{\{(?:step|trigger)\.(?:record|item|\d)?|\d| ?[a-z]+|_[a-z]+|\.(?:record|item)|\}\}|"
    r"[=<>!^]+| ?[^\sa-z\d]|\s"
)


def pointer_tokens() -> list[str]:
    """`<s0>`.., `<w0>`.., `<i0>`.., `<c0>`..: every pointer is one token."""
    many = (("s", MAX_SUGGESTIONS), ("w", MAX_WORDS), ("i", MAX_INPUTS), ("c", MAX_CHOICES))
    return [f"<{kind}{number}>" for kind, most in many for number in range(most)]


def train_tokenizer(texts: Iterable[str], vocabulary: int = 2560, context: int = 2048) -> Any:
    """A `PreTrainedTokenizerFast` trained on `texts`; its whole vocabulary has about `vocabulary` entries."""
    from tokenizers import (
        AddedToken,
        Regex,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        processors,
        trainers,
    )
    from transformers import PreTrainedTokenizerFast

    spelled = [
        *sorted(FLOW_LOGIC, key=len, reverse=True),
        *(o for o in OPERATORS if o.isupper() and o not in ("ON", "NOT")),
    ]
    whole = [*pointer_tokens(), *spelled]
    core = Tokenizer(models.BPE())
    core.normalizer = normalizers.Lowercase()
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_UNITS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    core.decoder = decoders.ByteLevel()
    # added before training, so that BPE never sees them; ids of BPE follow those of the special tokens
    core.add_special_tokens([PAD, BEGIN, END, UNKNOWN])
    core.add_tokens([AddedToken(token, normalized=False, lstrip=token[0] == "<") for token in whole])
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(whole), special_tokens=[PAD, BEGIN, END, UNKNOWN],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False, min_frequency=3,
    )  # fmt: skip
    core.train_from_iterator(texts, trainer)
    core.add_tokens([AddedToken(token, normalized=False, lstrip=token[0] == "<") for token in whole])
    core.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A", special_tokens=[(BEGIN, core.token_to_id(BEGIN))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token=PAD, bos_token=BEGIN, eos_token=END, unk_token=UNKNOWN,
        model_max_length=context, clean_up_tokenization_spaces=False, padding_side="right",
    )  # fmt: skip


def load_tokenizer(folder: str | Path) -> Any:
    """The tokenizer of a saved model. Raises ValueError naming the folder when there is none."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    except (OSError, ValueError) as error:
        raise ValueError(f"model {folder}: expected a saved tokenizer, got: {str(error)[:200]}") from None
