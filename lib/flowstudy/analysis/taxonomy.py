"""The kinds of errors: definitions, decision rules, keys. A YAML file, so a team can extend it."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Final

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

#: Keys that the tagger itself needs; no category may use them.
RESERVED_KEYS: Final = frozenset({"s", "u", "j", "q", "/", "?", "f"})


class TaxonomyError(ValueError):
    """A taxonomy file that cannot be used; the message names the file, the category and the rule."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Group(_Part):
    """A family of categories."""

    title: str
    description: str = ""


class Category(_Part):
    """One kind of error: what it is, one example, and the rule that decides doubtful cases."""

    group: str
    title: str
    definition: str
    example: str = ""
    rule: str = ""
    key: str = Field(default="", max_length=1)
    aliases: list[str] = Field(default_factory=list)


class Taxonomy(_Part):
    """Groups and categories, in the order in which people see them."""

    groups: dict[str, Group]
    categories: dict[str, Category]

    def resolve(self, name: str) -> str | None:
        """Today's name of a category that may be an earlier name; None when it is unknown."""
        if name in self.categories:
            return name
        return next((now for now, category in self.categories.items() if name in category.aliases), None)

    def resolve_all(self, names: Iterable[str]) -> tuple[list[str], list[str]]:
        """Known names (today's, in order, once each) and unknown ones."""
        pairs = [(name, self.resolve(name)) for name in names]
        return list(dict.fromkeys(now for _, now in pairs if now)), [name for name, now in pairs if now is None]

    def title(self, name: str) -> str:
        """What people read; the name itself for an unknown category."""
        known = self.resolve(name)
        return self.categories[known].title if known else name

    def of_group(self, group: str) -> dict[str, Category]:
        """The categories of one group."""
        return {name: category for name, category in self.categories.items() if category.group == group}

    def page(self) -> str:
        """The page that an annotator reads once, as Markdown."""
        lines = ["# Kinds of errors", ""]
        for name, group in self.groups.items():
            lines += [f"## {group.title}", "", group.description, ""]
            for category in self.of_group(name).values():
                key = f" [{category.key}]" if category.key else ""
                lines.append(f"- **{category.title}**{key}: {category.definition} *{category.example}* {category.rule}")
            lines.append("")
        return "\n".join(lines)


def load_taxonomy(*, extra: str | Path | None = None) -> Taxonomy:
    """The shipped taxonomy; the groups and categories of the file `extra` are added or replaced.

    Raises TaxonomyError naming the file for unknown fields or groups and for keys that are used twice.
    """
    taxonomy = _shipped()
    if extra is not None:
        more = _read(Path(extra))
        taxonomy = Taxonomy(
            groups={**taxonomy.groups, **more.groups}, categories={**taxonomy.categories, **more.categories}
        )
    _check(taxonomy, str(extra or "shipped"))
    return taxonomy


@functools.cache
def _shipped() -> Taxonomy:
    text = resources.files("flowstudy.analysis").joinpath("taxonomy.yaml").read_text(encoding="utf-8")
    return Taxonomy.model_validate(yaml.safe_load(text))


def _read(path: Path) -> Taxonomy:
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        return Taxonomy.model_validate({"groups": {}, "categories": {}, **raw})
    except (OSError, yaml.YAMLError, ValidationError, TypeError) as error:
        rule = "expected groups and categories as in the shipped file"
        raise TaxonomyError(f"taxonomy {path}: {rule}, got {error}") from None


def _check(taxonomy: Taxonomy, where: str) -> None:
    owners: dict[str, str] = {}
    for name, category in taxonomy.categories.items():
        what, key = f"taxonomy {where}: category {name}", category.key
        if category.group not in taxonomy.groups:
            raise TaxonomyError(f"{what}: expected a group of {', '.join(taxonomy.groups)}, got {category.group!r}")
        if key in RESERVED_KEYS:
            raise TaxonomyError(f"{what}: key {key!r} is the tagger's; choose another")
        if key and owners.setdefault(key, name) != name:
            raise TaxonomyError(f"{what}: key {key!r} belongs to {owners[key]}; choose another")
