"""Trained adapters that are kept, so that nothing is trained twice: in the cache of this machine, and shipped.

An adapter is found by the hash of all that made it: base, examples, catalogues, prompt file, recipe and the versions
of what trains. The one of the shipped corpus with the full recipe is shipped (`make adapter` makes it again).
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from flowstudy.corpus.example import Example
from flowstudy.files import hash_file
from flowstudy.flows.catalogue import Catalogue
from flowstudy.systems.prompts import load_prompt
from flowstudy.systems.retrieval import Ranker
from flowstudy.systems.slm.bases import Base
from flowstudy.systems.slm.data import Teaching
from flowstudy.systems.slm.recipe import Recipe
from flowstudy.systems.slm.report import TrainingReport
from flowstudy.systems.uses import makings_hash
from flowstudy.systems.weights import WeightsError, cache_home, cached_folder

#: The folder of the shipped adapter.
SHIPPED: Final = Path(__file__).parent / "adapter"
#: Raised when the code of training changes in a way that gives other weights.
VERSION: Final = 2
WEIGHTS: Final = ("adapter_model.safetensors", "model.safetensors")
_FILES: Final = (*WEIGHTS, "adapter_config.json", "config.json", "generation_config.json", "tokenizer.json",
                 "tokenizer_config.json", "chat_template.jinja", "flowstudy.json")  # fmt: skip


def training_key(
    base: Base, examples: Sequence[Example], catalogues: Mapping[str, Catalogue], recipe: Recipe, teaching: Teaching,
    rankers: Mapping[str, Ranker] | None = None,
) -> str:  # fmt: skip
    """SHA-256 over everything that decides what is learnt; of `rankers`, what they are fitted from and how. How long
    training may take, how often it is judged and on which machine it runs do not belong to it."""
    plain = recipe._replace(engine="auto", max_minutes=0.0, evaluations=0, patience=0, judged=0, reloads=0)
    facts: dict[str, Any] = {
        "version": VERSION,
        "base": [base.name, base.sha256 or base.revision],
        "prompt": load_prompt(teaching.prompt).hash,
        "teaching": teaching._asdict(),
        "recipe": plain._asdict(),
        "rankers": sorted({ranker.fingerprint() for ranker in (rankers or {}).values()}),
    }
    return makings_hash(facts, sorted(examples, key=lambda e: e.id), catalogues)


def find(key: str, minutes: float = 0.0) -> Path | None:
    """The folder of a kept or shipped adapter of this training; None when there is none. A training that the time limit
    cut short is found again only by one with the same limit."""
    shipped = SHIPPED / "key.txt"
    if shipped.exists() and shipped.read_text(encoding="utf-8").split()[0] == key:
        return SHIPPED
    folders = [cache_home() / _name(key), cache_home() / _name(key, minutes)]
    return next((folder for folder in folders if (folder / ".complete").exists()), None)


def _name(key: str, minutes: float | None = None) -> str:
    return f"adapters/{key[:40]}" + ("" if minutes is None else f"-{minutes:g}-minutes")


def keep(key: str, out: Path, minutes: float | None = None) -> None:
    """Keep the training in `out` (model, curve, report) under its key, and under the limit of `minutes` that cut it
    short if one did. A cache that cannot be written keeps nothing: the model is in `out` all the same."""

    def fill(folder: Path) -> None:
        copy(out, folder)
        seal(folder, key)

    try:
        cached_folder(_name(key, minutes), fill)
    except WeightsError as error:
        print(f"the adapter is not kept for other runs: {error}")


def seal(folder: Path, key: str) -> None:
    """Write the key of a training and the SHA-256 of its weights beside them."""
    (folder / "key.txt").write_text(f"{key}\n{digest(folder)}\n", encoding="utf-8")


def copy(out: Path, folder: Path) -> None:
    """Model, curve and report of a training into `folder`, flat."""
    for name in _FILES:
        if (out / "model" / name).exists():
            shutil.copyfile(out / "model" / name, folder / name)
    for name in ("curve.jsonl", "report.json"):
        if (out / name).exists():
            shutil.copyfile(out / name, folder / name)


def take(kept: Path, out: Path, base: Base) -> TrainingReport:
    """The kept training into `out`, as if it had been trained there; returns its report, which says where it is from.

    Raises WeightsError when its weights were made on another base, or are not those that were kept.
    """
    facts = json.loads((kept / "report.json").read_text(encoding="utf-8"))
    if facts.get("sha256", "") != base.sha256:
        raise WeightsError(
            f"adapter {kept.name}: expected one for base {base.name} {base.sha256[:12]}, got one for "
            f"{facts.get('base')} {str(facts.get('sha256'))[:12]}; train it again with `adapter: train`"
        )
    wanted, got = (kept / "key.txt").read_text(encoding="utf-8").split()[1], digest(kept)
    if got != wanted:
        raise WeightsError(
            f"adapter {kept}: expected weights with SHA-256 {wanted[:12]}, got {got[:12]}; delete that folder (the "
            "shipped one: fetch it again), or train with `adapter: train`"
        )
    model = out / "model"
    partial = out / ".model.part"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for name in _FILES:
        if (kept / name).exists():
            shutil.copyfile(kept / name, partial / name)
    if kept == SHIPPED:
        _add_tokenizer(base, partial)
    shutil.rmtree(model, ignore_errors=True)
    partial.rename(model)
    if (kept / "curve.jsonl").exists():
        shutil.copyfile(kept / "curve.jsonl", out / "curve.jsonl")
    known = {field.name for field in dataclasses.fields(TrainingReport)}
    report = TrainingReport(**{name: value for name, value in facts.items() if name in known})
    report.model_dir = str(model)
    report.made = "shipped with the library" if kept == SHIPPED else f"kept from an earlier run ({kept.name[:12]})"
    report.write(out / "before.json")
    report.write(out / "report.json")
    return report


def _add_tokenizer(base: Base, folder: Path) -> None:
    """The shipped adapter leaves the tokenizer to its base."""
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        if not (folder / name).exists() and (Path(base.source) / name).exists():
            shutil.copyfile(Path(base.source) / name, folder / name)


def digest(folder: Path) -> str:
    """SHA-256 of the weights."""
    return hash_file(next(path for name in WEIGHTS if (path := folder / name).exists()))
