"""What an importer gives back for each workflow, and the limits within which it reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from flowstudy.corpus.example import Example

#: Larger JSON and YAML files, and longer lines of JSON Lines files, are refused without being read.
MAX_BYTES: Final = 32 * 1024 * 1024
#: YAML takes many times its size in memory and time; larger YAML files are refused.
MAX_YAML_BYTES: Final = 8 * 1024 * 1024
#: Workflows with more steps, or deeper nesting, are refused.
MAX_STEPS: Final = 5_000
MAX_DEPTH: Final = 100
#: Deepest nesting of actions in a source; the deepest public one has 11 levels.
MAX_LEVELS: Final = 40

Status = Literal["converted", "partly", "refused", "passed_over"]


@dataclass(frozen=True)
class Imported:
    """One workflow of a source.

    `converted`: the whole structure and a requirement are in `example`; `lost` is empty.
    `partly`: `example` is there, but `lost` names what is not, or no text was found (`reason` is then
    `no requirement text`, and the requirement is a stand-in made of the workflow's name).
    `refused`: `example` is None and `reason` says why. `passed_over`: a file that holds no workflow. `redacted` counts
    secrets and addresses that were masked.
    `notes` are harmless remarks, such as an encoding other than UTF-8.
    """

    id: str
    status: Status
    example: Example | None = None
    lost: list[str] = field(default_factory=list)
    redacted: int = 0
    reason: str = ""
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Source:
    """Where a workflow comes from: its id, a text found beside it and where, a name that stands around it, options."""

    id: str
    text: str = ""
    text_from: str = ""
    title: str = ""
    drop_plumbing: bool = False
    domain: str = "imported"
    licence: str = ""


class Refused(Exception):
    """Why something cannot be converted, in words for the report."""


class NoWorkflow(Refused):
    """What a file is that holds no workflow at all."""


NO_TEXT: Final = "no requirement text"
