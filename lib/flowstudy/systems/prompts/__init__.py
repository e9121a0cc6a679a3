"""Versioned prompt files and how they are filled in.

`<family>/v<number>.md` has a front matter (`reads: json | outline | text`, what the model is asked to write, and
`changes`, a line on what it changes; with `shots: turns` examples are earlier turns of the conversation, asked as the
stage asks, which small models need) and one section per stage and role, headed `## whole / user`; a section
`## rules / text` is text that other sections show as `{{ rules }}`. A variant `extends` another prompt: it has its
sections, and those of its own in their place. Sections are Jinja2 templates, filled in a sandbox: a requirement is only
ever text. The hash of the file, and of what it extends, goes into every call. `json` means the newest version,
`json/v2` that one; a name that ends in `.md` is the path of a file of your own.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, get_args

import yaml

from flowstudy.corpus.example import Example
from flowstudy.flows.catalogue import Catalogue
from flowstudy.flows.outline import to_outline
from flowstudy.flows.schema import Component, Flow, Trigger
from flowstudy.systems.prompts import offering
from flowstudy.systems.prompts.offering import ENCODED, Conditions
from flowstudy.systems.records import Suggestion, SystemSpec

Stage = Literal["whole", "outline", "inputs", "repair"]
Reads = Literal["json", "outline", "text"]
HERE: Final = Path(__file__).parent
_HEADING: Final = re.compile(r"^## (\w+) / (system|user|text)[ \t]*\n", re.MULTILINE)


class PromptError(ValueError):
    """A prompt file that is missing or not as described above."""


class Shot(NamedTuple):
    """A training example shown in the prompt, with the suggestions that its own prompt would have and the catalogue
    that they are from; None for that of the requirement asked about."""

    example: Example
    suggestions: Sequence[Suggestion] = ()
    catalogue: Catalogue | None = None


class Prompt(NamedTuple):
    """A prompt file: `name` is family and version, `hash` the SHA-256 of the file (and of what it extends), `turns`
    whether shots are earlier turns of the conversation."""

    name: str
    reads: Reads
    hash: str
    sections: dict[tuple[str, str], str]
    turns: bool = False

    def stages(self) -> set[str]:
        return {stage for stage, role in self.sections if role != "text"}


class Rendered(NamedTuple):
    """Messages ready to send."""

    messages: list[dict[str, str]]
    prompt: str
    prompt_hash: str
    reads: Reads


def load_prompt(name: str) -> Prompt:
    """The prompt file called `json`, `json/v2` or `path/to/file.md`. Raises PromptError naming what is wrong."""
    own, extends = _read(name)
    if not extends:
        return own
    base, further = _read(extends)
    if further or base.reads != own.reads:
        raise PromptError(
            f"prompt {own.name}: expected `extends` to name a prompt that reads {own.reads} and extends none itself, "
            f"got {extends!r}"
        )
    both = hashlib.sha256(f"{base.hash} {own.hash}".encode()).hexdigest()
    return own._replace(hash=both, sections={**base.sections, **own.sections}, turns=base.turns or own.turns)


def _read(name: str) -> tuple[Prompt, str]:
    """A prompt file as it stands, and the name of the prompt that it extends."""
    if name.endswith(".md"):
        path = Path(name)
        if not path.is_file():
            raise PromptError(f"prompt {name}: expected a file, got none; check the path")
    else:
        folder = HERE / name.partition("/")[0]
        path = _shipped(name, folder.stat().st_mtime_ns if folder.is_dir() else 0)
    stat = path.stat()
    return _load(path, stat.st_mtime_ns, stat.st_size)


@functools.lru_cache(maxsize=64)
def _shipped(name: str, _mtime: int) -> Path:
    family, _, version = name.partition("/")
    found = sorted(HERE.glob(f"{family}/v*.md"), key=lambda path: int(re.sub(r"\D", "", path.stem) or 0))
    chosen = [path for path in found if not version or path.stem == version]
    if not re.fullmatch(r"[\w-]+", family) or not chosen:
        known = sorted({f"{path.parent.name}/{path.stem}" for path in HERE.glob("*/v*.md")})
        raise PromptError(f"prompt {name!r}: expected one of {', '.join(known)} or the path of an .md file")
    return chosen[-1]


@functools.lru_cache(maxsize=64)
def _load(path: Path, _mtime: int, _size: int) -> tuple[Prompt, str]:
    raw = path.read_bytes()
    match = re.fullmatch(r"---\n(.*?)\n---\n(.*)", raw.decode("utf-8"), re.DOTALL)
    if match is None:
        raise PromptError(f"prompt {path}: expected a front matter between two lines `---`, got none")
    front = yaml.safe_load(match[1])
    if not isinstance(front, dict) or front.get("reads") not in get_args(Reads):
        raise PromptError(f"prompt {path}: expected `reads:` one of {', '.join(get_args(Reads))}, got {front!r}")
    pieces = _HEADING.split(match[2])[1:]
    sections = {(pieces[n], pieces[n + 1]): pieces[n + 2].strip("\n") for n in range(0, len(pieces), 3)}
    if not sections:
        raise PromptError(f"prompt {path}: expected sections headed `## stage / role`, got none")
    name = f"{path.parent.name}/{path.stem}"
    turns = front.get("shots") == "turns"
    return Prompt(name, front["reads"], hashlib.sha256(raw).hexdigest(), sections, turns), str(front.get("extends", ""))


def render(
    spec: SystemSpec,
    stage: Stage,
    requirement: str,
    suggestions: Sequence[Suggestion],
    catalogue: Catalogue,
    shots: Sequence[Shot] = (),
    *,
    flow: Flow | None = None,
    step: Component | Trigger | None = None,
    faults: Sequence[str] = (),
    conditions: Conditions = ENCODED,
) -> Rendered:
    """The messages of one stage.

    `flow` (the outline so far) and `step` (whose inputs are asked for) belong to the stage `inputs`, `faults` to
    `repair`; `conditions` says how the corpus writes them. Raises PromptError when the prompt file has no such stage.
    """
    prompt = load_prompt(spec.prompt)
    if stage not in prompt.stages():
        raise PromptError(f"prompt {prompt.name}: expected a stage {stage!r}, got {sorted(prompt.stages())}")
    clean = requirement.encode("utf-8", "replace").decode("utf-8")
    values: dict[str, Any] = {
        "requirement": clean, "catalogue": catalogue, "suggestions": suggestions, "flow": flow,
        "faults": faults, "shots": shown_shots(prompt.reads, stage, shots, catalogue, step), "conditions": conditions,
        "annotated": annotated(shots),
        "offers": offering.lines(suggestions, catalogue),
        "offered": offering.outline_lines(suggestions, catalogue),
        "outline": to_outline(flow) if flow is not None else "",
        "numbered_outline": to_outline(flow, numbered=True) if flow is not None else "",
        "annotation": step.annotation if isinstance(step, Component) else None, **_asked(flow, step, catalogue),
    }  # fmt: skip
    return Rendered(fill(prompt, stage, values), prompt.name, prompt.hash, prompt.reads)


def fill(prompt: Prompt, stage: str, values: dict[str, Any]) -> list[dict[str, str]]:
    """The messages of one stage, its sections filled in with `values`."""
    values = dict(values)
    for (name, role), text in prompt.sections.items():
        if role == "text":
            values[name] = _fill(text, values)
    roles = [role for role in ("system", "user") if (stage, role) in prompt.sections]
    messages = [{"role": role, "content": _fill(prompt.sections[stage, role], values)} for role in roles]
    if prompt.turns:
        asked = prompt.sections[stage, "user"]
        for shot in values.get("shots", ()):
            turn = [("user", _fill(asked, values | shot)), ("assistant", shot["answer"])]
            messages[-1:-1] = [{"role": role, "content": text} for role, text in turn]
    return [message for message in messages if message["content"]]


def shown_shots(
    reads: Reads, stage: Stage, shots: Sequence[Shot], catalogue: Catalogue, step: Component | Trigger | None = None
) -> list[dict[str, Any]]:
    """Each shot as `requirement`, its own `offers` and the `answer` that the stage asks for; for `inputs`, only shots
    with that step, each with the `steps` of its flow that the answer may name."""
    shown = []
    for shot in shots:
        own, flow = shot.catalogue or catalogue, shot.example.flow
        same = offering.same_step(flow, step) if stage == "inputs" and step is not None else None
        if stage == "inputs" and same is None:
            continue
        offers, offered = offering.lines(shot.suggestions, own), offering.outline_lines(shot.suggestions, own)
        one = {
            "requirement": shot.example.requirement, "offers": offers, "offered": offered,
            "numbered_outline": to_outline(flow.without_inputs(), numbered=True),
        }  # fmt: skip
        shown.append({**one, "answer": stage_answer(reads, stage, shot, same), **_asked(flow, same, own)})
    return shown


def annotated(shots: Sequence[Shot]) -> bool:
    """Whether an example that is shown says which words its steps cover: only then are models asked for that."""
    return any(component.annotation for shot in shots for component in shot.example.flow.components)


def _asked(flow: Flow | None, step: Component | Trigger | None, catalogue: Catalogue) -> dict[str, str]:
    """The step whose inputs are asked for, and the steps of its flow with what they return."""
    return {
        "steps": offering.numbered_steps(flow, catalogue) if flow is not None and step is not None else "",
        "step_line": offering.step_line(step, catalogue) if step is not None else "",
        "step_place": f"component {step.order}" if isinstance(step, Component) else "the trigger",
    }


def stage_answer(reads: Reads, stage: Stage, shot: Shot, step: Component | Trigger | None = None) -> str:
    """What a model should write for an example: in prompts as an answer of a shot, in training as the target.

    The stage `inputs` needs the `step` of the example's flow whose inputs are asked for.
    """
    flow = _part(shot.example.flow, stage, step)
    if reads == "outline":
        return to_outline(flow, numbered=True)
    if stage == "inputs" and step is not None:
        return json.dumps({i.name: i.value for i in step.inputs}, ensure_ascii=False)
    return json.dumps(written(flow if stage == "outline" else flow.without_annotations()), ensure_ascii=False)


def written(flow: Flow) -> dict[str, Any]:
    """A flow as a JSON object without empty `inputs`, as models are asked to write it."""
    made = flow.to_dict()
    for part in [made["trigger"] or {}, *made["components"]]:
        if not part.get("inputs"):
            part.pop("inputs", None)
    return made


def _part(flow: Flow, stage: Stage, step: Component | Trigger | None) -> Flow:
    """The part of a flow that a stage writes; a single step is its first component, or its trigger."""
    if stage == "outline":
        return flow.without_inputs()
    if isinstance(step, Trigger):
        return Flow(trigger=step)
    if isinstance(step, Component):
        return Flow(components=[step.model_copy(update={"order": 1, "block": None, "annotation": None})])
    return flow


@functools.lru_cache(maxsize=256)
def _template(text: str) -> Any:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment

    return SandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined).from_string(text)


def _fill(text: str, values: dict[str, Any]) -> str:
    return str(_template(text).render(**values)).strip("\n")
