"""A sweep: the `matrix` of study.yaml as many runs that share what they can.

Every cell of the matrix is one run of the same six notebooks. Cells that agree in everything a notebook depends on
stand on one shared run of it: `shared/data-<hash>` prepares the corpus (notebook 01), `shared/model-<hash>` fine-tunes
on it (02), `cells/<name>` does the rest. A system that takes part in several cells answers in one of them; the others
borrow its journal, whose keys make sure that only answers to the same prompts count.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from flowstudy.corpus.environments import corpus_name, corpus_path
from flowstudy.files import hash_json
from flowstudy.matrix import AXES, Matrix, Values
from flowstudy.sharing import Member
from flowstudy.study import NOTEBOOKS, Study, StudyError, choose_systems, with_parts
from flowstudy.systems.baselines import BASELINES
from flowstudy.systems.capabilities import UNTUNED
from flowstudy.systems.mixed import parts_of
from flowstudy.systems.readiness import readiness
from flowstudy.systems.records import SystemSpec, is_recorded
from flowstudy.systems.slm.variants import PREFIX

#: Notebooks that cells may share, each with the name of the shared runs that hold it.
SHARED = {"01_explore_data": "data", "02_fine_tune": "model"}


class Cell(NamedTuple):
    """One cell: its values on the axes, the study it is, and why it cannot run here ("" when it can)."""

    name: str
    values: Values
    study: Study
    skipped: str = ""


def expand(study: Study) -> list[Cell]:
    """The cells of the study's matrix; names are unique and safe for a folder.

    Raises StudyError for a matrix without cells, and for a system or corpus that does not exist.
    """
    cells: dict[str, Cell] = {}
    for values in study.matrix.combinations():
        one, used = _apply(study, values)
        cells.setdefault(
            json.dumps(one.model_dump(mode="json"), sort_keys=True), Cell("", used, one, _why_not(one, used))
        )
    if not cells:
        raise StudyError(
            "matrix of study.yaml: expected at least one cell, got none; give an axis, as in seeds: [7, 8]"
        )
    return _named(list(cells.values()))


def members(cells: Iterable[Cell]) -> dict[str, Member]:
    """Every run that a sweep is made of, by its folder (`shared/...` before the `cells/...` that stand on it)."""
    shared: dict[str, Member] = {}
    own: dict[str, Member] = {}
    for cell in cells:
        if cell.skipped:
            continue
        base, key = None, []  # type: str | None, list[Any]
        parameters = cell.study.parameters("")
        for notebook, kind in SHARED.items():
            key.append(parameters[notebook])
            name = f"shared/{kind}-{_short_hash(key)}/"
            shared.setdefault(name, Member(cell.study, (notebook,), base))
            base = name
        rest = tuple(name for name in NOTEBOOKS if name not in SHARED)
        own[f"cells/{cell.name}/"] = Member(cell.study, rest, base, values=cell.values)
    return shared | _with_borrowed(own)


def _with_borrowed(cells: dict[str, Member]) -> dict[str, Member]:
    """Let each system answer in the first of the smallest cells that it takes part in."""
    owners: dict[str, str] = {}
    for place, member in sorted(cells.items(), key=lambda item: len(item[1].study.systems)):
        borrows: dict[str, str] = {}
        parameters = member.study.parameters("")
        for name, spec in member.study.systems.items():
            if not is_fixed(spec):
                made_from = _made_from(parameters, spec)
                owner = owners.setdefault(json.dumps([made_from, spec.model_dump(mode="json")]), place)
                borrows |= {} if owner == place else {name: owner}
        cells[place] = member._replace(borrows=borrows)
    return cells


def _made_from(parameters: dict[str, dict[str, Any]], spec: SystemSpec) -> Any:
    """What the answers of a system depend on besides its specification: a trained model, the training examples, or
    the judged examples alone."""
    data = parameters["01_explore_data"]
    if spec.model.startswith(PREFIX) and spec.model != UNTUNED:
        return [data, parameters["02_fine_tune"]]
    if spec.shots or spec.retriever == "trained":
        return data
    return {**data, "examples": {**data["examples"], "train": None}}


def _apply(study: Study, values: Values) -> tuple[Study, Values]:
    """The study of one cell and the values that made a difference to it."""
    used = dict(values)
    systems = _systems(study, values)
    over = {"model": "models", "strategy": "strategies", "retriever": "retrievers", "shots": "shots"}
    changes = {field: values[axis] for field, axis in over.items() if axis in values}
    if "systems" not in values:
        changes.pop("model", None)  # the model was what the systems are chosen by
    if all(is_fixed(spec) for spec in systems.values()):
        named = "systems" if "systems" in values else "models"
        used = {axis: value for axis, value in used.items() if axis not in over.values() or axis == named}
    seed = values.get("seeds", study.seed)
    study = study.model_copy(update={"seed": seed})
    systems = {
        name: study.completed(spec).model_copy(update={} if is_fixed(spec) else changes)
        for name, spec in systems.items()
    }
    with_parts(systems, systems)
    examples = study.examples.model_copy(update={"train": values.get("training_sizes", study.examples.train)})
    corpus = _corpus(values.get("corpora", study.corpus))
    return study.model_copy(
        update={"systems": systems, "examples": examples, "corpus": corpus, "matrix": Matrix()}
    ), used


def _systems(study: Study, values: Values) -> dict[str, SystemSpec]:
    """The systems of a cell: the one that it names, or whose model, with the parts of a hybrid; or all of the study."""
    if "systems" in values:
        return with_parts(study.systems, choose_systems(study.systems, [values["systems"]]))
    if "models" in values:
        known = next((n for n, spec in study.systems.items() if spec.model == values["models"]), values["models"])
        return with_parts(study.systems, choose_systems(study.systems, [known]))
    return study.systems


def is_fixed(spec: SystemSpec) -> bool:
    """Whether model, strategy, retriever and shots mean nothing to a system: baselines and hybrids."""
    return spec.model in BASELINES or is_recorded(spec.model) or bool(parts_of(spec))


def _corpus(corpus: str) -> str:
    if corpus != "shipped" and not corpus_path(corpus).is_file():
        raise StudyError(f"corpus {corpus} of the matrix: expected a JSON Lines file, got no file; check the path")
    return corpus_name(corpus)


def _why_not(study: Study, values: Values) -> str:
    """Why a cell cannot run here: a system that it names cannot, or none of the study's can."""
    reasons = not_run(study)
    named = "systems" in values or "models" in values
    return next(iter(reasons.values()), "") if named or len(reasons) == len(study.systems) else ""


def not_run(study: Study) -> dict[str, str]:
    """The systems that cannot run here, with the reason. Small models are served when their notebook runs."""
    return {name: why for name in study.systems if (why := _missing(study, name))}


def _missing(study: Study, name: str) -> str:
    """Why a system cannot run here, or "". A hybrid needs both of its parts; the seed makes no difference."""
    spec = study.systems[name]
    if parts := parts_of(spec):
        return next((why for part in parts if (why := _missing(study, part))), "")
    if spec.model.startswith(PREFIX):
        return ""
    return _not_ready(spec.model_copy(update={"seed": 0}).model_dump_json(), study.prompting.max_cost_usd)


@functools.cache
def _not_ready(spec: str, limit_usd: float | None) -> str:
    state = readiness(SystemSpec.model_validate_json(spec), max_cost_usd=limit_usd)
    return "" if state.ready else f"{state.reason}; {state.fix}"


def _named(cells: Sequence[Cell]) -> list[Cell]:
    found: dict[str, Cell] = {}
    for cell in cells:
        words = [f"{AXES[axis]}{_word(axis, cell.values[axis])}" for axis in AXES if axis in cell.values]
        name = "-".join(words) or "study"
        if name in found or len(name) > 100:
            name = f"{name[:90]}-{_short_hash(cell.values)}"
        found[name] = cell._replace(name=name)
    return list(found.values())


def _word(axis: str, value: Any) -> str:
    text = Path(value).stem if axis == "corpora" else str(value)
    return re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("-.") or "x"


def _short_hash(value: Any) -> str:
    return hash_json(value)[:10]
