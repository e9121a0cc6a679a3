"""`study.yaml` -> the parameters of each notebook. Unknown keys are errors; what was asked and resolved is kept."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Annotated, Any, Final, cast, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from rapidfuzz import process

from flowstudy.analysis.decision import LEAST_SCORE, MARGIN
from flowstudy.analysis.economics import Economics
from flowstudy.corpus.environments import corpus_path
from flowstudy.dependencies import library_files, notebook_source
from flowstudy.files import hash_file, hash_json
from flowstudy.matrix import Matrix
from flowstudy.systems.baselines import BASELINES
from flowstudy.systems.mixed import parts_of
from flowstudy.systems.prompts import PromptError, load_prompt
from flowstudy.systems.records import RetrieverName, SystemSpec, is_recorded
from flowstudy.systems.roster import system_of
from flowstudy.systems.slm.engines import Engine, Method
from flowstudy.systems.slm.recipe import Recipe
from flowstudy.systems.slm.variants import TUNED, Variant, models_to_train

#: The notebooks in the order of the story.
NOTEBOOKS: Final = ("01_explore_data", "02_fine_tune", "03_prompt", "04_score", "05_tag_errors", "06_decide")


class StudyError(ValueError):
    """A study that cannot run as asked; the message says what to change."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Examples(_Section):
    train: int | None = Field(default=None, ge=0)
    validation: int | None = Field(default=None, ge=0)
    dev: int | None = Field(default=None, ge=0)
    dev_ood: int | None = Field(default=None, ge=0)
    test: int | None = Field(default=None, ge=0)
    ood: int | None = Field(default=None, ge=0)


ModelName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]*$")]


class FineTune(_Section):
    base: str = "smollm2"
    method: str = Field(default="lora", pattern="^(full|lora|qlora)$")
    engine: str = Field(default="auto", pattern="^(auto|unsloth|trl)$")
    adapter: str = Field(default="auto", pattern="^(auto|train)$")
    epochs: float = Field(default=1.5, gt=0)
    learning_rate: float | None = Field(default=None, gt=0)
    max_minutes: float = Field(default=90.0, gt=0)
    gpus: int = Field(default=0, ge=0)
    variants: dict[ModelName, Variant] = Field(default_factory=dict)


class Retrieval(_Section):
    retriever: RetrieverName = "trained"
    encoder: str = "minilm"
    suggestions: int = Field(default=8, ge=0)


class Prompting(_Section):
    max_cost_usd: float | None = Field(default=5.0, ge=0)
    concurrency: int = Field(default=8, ge=1, le=32)
    timeout_s: float = Field(default=120.0, gt=0)
    load_levels: list[Annotated[int, Field(ge=1, le=512)]] = Field(default=[1, 4, 16, 32])
    dry_run: bool = False


class Tagging(_Section):
    items: int = Field(default=20, ge=1)
    sampling: str = Field(default="worst", pattern="^(worst|random|stratified|disagreements|adjudicate)$")
    taxonomy: str = ""


class Statistics(_Section):
    resamples: int = Field(default=9999, ge=99)
    margin: float = Field(default=MARGIN, gt=0, lt=1)
    least_score: float = Field(default=LEAST_SCORE, ge=0, lt=1)


class Study(_Section):
    """A study with its profile applied; `systems` are complete specifications."""

    corpus: str = "shipped"
    sealed: bool = False
    seed: int = 7
    examples: Examples = Field(default_factory=Examples)
    fine_tune: FineTune = Field(default_factory=FineTune)
    retrieval: Retrieval = Field(default_factory=Retrieval)
    prompting: Prompting = Field(default_factory=Prompting)
    systems: dict[str, SystemSpec] = Field(default_factory=dict)
    tagging: Tagging = Field(default_factory=Tagging)
    statistics: Statistics = Field(default_factory=Statistics)
    economics: Economics = Field(default_factory=Economics)
    matrix: Matrix = Field(default_factory=Matrix)

    def completed(self, spec: SystemSpec) -> SystemSpec:
        """A system with the seed, the number of suggestions and, if it names none, the retriever of the study."""
        retriever = spec.retriever if "retriever" in spec.model_fields_set else self.retrieval.retriever
        common = {"seed": self.seed, "suggestions": self.retrieval.suggestions, "retriever": retriever}
        return spec.model_copy(update=common)

    def tuned(self) -> tuple[Recipe, Variant]:
        """How the model `slm/tuned` is trained: the recipe and what its systems ask of it."""
        given = models_to_train(self.systems.values(), self.fine_tune.variants)[TUNED]
        made = self.fine_tune
        method, engine = cast(Method, made.method), cast(Engine, made.engine)
        recipe = Recipe(method, engine, epochs=made.epochs, rate=made.learning_rate, max_minutes=made.max_minutes)
        return recipe._replace(seed=self.seed), Variant(**{"seed": self.seed, **given})

    def parameters(self, run_dir: str) -> dict[str, dict[str, Any]]:
        """The papermill parameters of every notebook, JSON types only."""
        corpus = {"run_dir": run_dir, "seed": self.seed}
        tables = {**corpus, "resamples": self.statistics.resamples}
        suggested = {"suggestions": self.retrieval.suggestions, "encoder": self.retrieval.encoder}
        training = {
            **self.fine_tune.model_dump(exclude={"variants", "gpus"}),
            **suggested,
            "models": models_to_train(self.systems.values(), self.fine_tune.variants),
            "retrievers": ["trained"] if any(spec.retriever == "trained" for spec in self.systems.values()) else [],
            "usd_per_hour": self.economics.host_usd_per_hour,
        }
        systems = [spec.model_dump(mode="json") for spec in self.systems.values()]
        return {
            "01_explore_data": {
                **corpus,
                "corpus": self.corpus,
                "examples": self.examples.model_dump(),
                "sealed": self.sealed,
            },
            "02_fine_tune": {**corpus, **training},
            "03_prompt": {**corpus, **self.prompting.model_dump(), **suggested, "systems": systems},
            "04_score": dict(tables),
            "05_tag_errors": {**corpus, "annotator": "", **self.tagging.model_dump()},
            "06_decide": {**corpus, **self.statistics.model_dump(), "economics": self.economics.model_dump()},
        }


def load_study(
    path: str | Path = "study.yaml", profile: str = "laptop", corpus: str | None = None, systems: str | None = None
) -> Study:
    """Read `study.yaml`, apply a profile and the overrides of the command line.

    `systems` is a list separated by spaces or commas: names from the file, `slm` for all local ones, or LiteLLM
    model names (`openai/gpt-4o`). Raises StudyError naming the key and the closest right one.
    """
    try:
        raw = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise StudyError(f"{path}: expected a readable YAML file, got: {error}") from None
    if not isinstance(raw, dict):
        raise StudyError(f"{path}: expected a mapping of keys, got {type(raw).__name__}")
    profiles = raw.pop("profiles", {})
    if profile not in profiles:
        hint = closest(profile, sorted(profiles))
        raise StudyError(f"profile {profile!r} of {path}: expected one of {sorted(profiles)}{hint}; PROFILE= names one")
    merged = _merge(raw, profiles[profile] or {})
    systems_given = {name: spec for name, spec in (merged.get("systems") or {}).items() if spec is not None}
    merged["systems"] = {name: {"name": name, **spec} for name, spec in systems_given.items()}
    if corpus:
        merged["corpus"] = corpus
    study = _validate(merged, path)
    with_parts(study.systems, study.systems)
    if systems:
        study.systems = choose_systems(study.systems, re.split(r"[\s,]+", systems.strip()))
    study.systems = {name: study.completed(spec) for name, spec in study.systems.items()}
    return study


def closest(name: str, known: list[str]) -> str:
    """The end of an error about a wrong name: the right name that is most alike; empty when there is none."""
    best = process.extractOne(name, known)
    return f"; closest: {best[0]!r}" if best else ""


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`over` on `base`, mappings key by key."""
    merged = dict(base)
    for key, value in over.items():
        nested = isinstance(base.get(key), dict) and isinstance(value, dict)
        merged[key] = _merge(base[key], value) if nested else value
    return merged


def _validate(raw: dict[str, Any], path: str | Path) -> Study:
    try:
        return Study.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            known = _known_keys(first["loc"][:-1])
            hint = closest(str(first["loc"][-1]), known)
            raise StudyError(f"key {where!r} of {path}: expected one of {known}{hint}") from None
        if first["type"] == "value_error":
            raise StudyError(f"{path}: {first['ctx']['error']}") from None
        got = json.dumps(first["input"], default=str)[:80]
        raise StudyError(f"key {where!r} of {path}: expected {first['msg'].lower()}, got {got}") from None


def _known_keys(path: tuple[Any, ...]) -> list[str]:
    model: Any = Study
    for part in path:  # a mapping such as `systems` has names of its own and values of one kind
        fields = getattr(model, "model_fields", None)
        model = fields[part].annotation if fields else get_args(model)[-1]
    return sorted(model.model_fields)


def choose_systems(known: dict[str, SystemSpec], names: list[str]) -> dict[str, SystemSpec]:
    """Systems by name, `slm` for all small local ones, or `provider/model`: the first known system of that model, or
    a new one. Raises StudyError naming the closest."""
    chosen: dict[str, SystemSpec] = {}
    for name in names:
        local = [n for n, spec in known.items() if spec.model.startswith("slm/")] if name == "slm" else []
        same = [n for n, spec in known.items() if spec.model == name and "/" in name][:1]
        if local or same or name in known:
            chosen |= {n: known[n] for n in local or same or [name]}
        elif "/" in name:
            spec = system_of(name)
            chosen[spec.name] = spec
        else:
            hint = closest(name, [*known, "slm"])
            raise StudyError(f"system {name!r}: expected a name of study.yaml or provider/model{hint}")
    return chosen


def with_parts(
    known: dict[str, SystemSpec], chosen: dict[str, SystemSpec], path: tuple[str, ...] = ()
) -> dict[str, SystemSpec]:
    """The chosen systems behind the parts that hybrids among them are computed from.

    Raises StudyError for a hybrid that is a part of itself.
    """
    found: dict[str, SystemSpec] = {}
    for name, spec in chosen.items():
        if name in path:
            raise StudyError(f"system {name}: expected parts without a cycle, got {' -> '.join([*path, name])}")
        if parts := parts_of(spec):
            found |= with_parts(known, choose_systems(known, list(parts)), (*path, name))
        found[name] = spec
    return found


def fingerprint(root: Path, notebook: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """What an executed notebook depends on besides the files of earlier notebooks: it is re-run when this changes.

    Parameters except the place of the run, the notebook's source, the modules and data files of the library behind
    its imports, the prompt files and recorded answers that its systems name, and the corpus file.
    """
    source = root / "notebooks" / f"{notebook}.ipynb"
    code = hash_json(notebook_source(source))
    depends: dict[str, Any] = {
        "parameters": {name: value for name, value in parameters.items() if name != "run_dir"},
        "code": {"notebook": code, "library": _library_hash(source)},
    }
    if names := _prompts_of(notebook, parameters):
        depends["prompts"] = {name: _prompt_hash(name) for name in names}
    if answers := sorted({s["model"] for s in parameters.get("systems", []) if is_recorded(s["model"])}):
        depends["answers"] = hash_files([Path(name) for name in answers])
    if parameters.get("corpus", "shipped") != "shipped":
        depends["corpus"] = hash_corpus(parameters["corpus"])
    return depends


def hash_corpus(corpus: str) -> str:
    """Hash of a corpus file and of the catalogues beside it."""
    path = corpus_path(corpus)
    return hash_files([path, *sorted(path.parent.glob("catalogue.*"))])


def _prompts_of(notebook: str, parameters: dict[str, Any]) -> list[str]:
    """Names of the prompt files that a notebook fills in."""
    if notebook == "02_fine_tune":
        return sorted({options.get("prompt", "outline") for options in parameters.get("models", {}).values()})
    return sorted({spec["prompt"] for spec in parameters.get("systems", []) if spec["model"] not in BASELINES})


def _prompt_hash(name: str) -> str:
    try:
        return load_prompt(name).hash
    except PromptError:
        return "missing"  # a system that names it is listed as not run, with the reason


@functools.cache
def _library_hash(source: Path) -> str:
    return hash_files(list(library_files(source)))


def hash_files(files: list[Path]) -> str:
    """One SHA-256 over names and contents, in order; a missing file counts by its name."""
    return hash_json([(file.name, hash_file(file) if file.is_file() else "missing") for file in files])
