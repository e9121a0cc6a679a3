"""What all importers share: inputs, requirement texts, and the finished record."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Any, Final

from flowstudy.corpus.example import Example
from flowstudy.corpus.importers.records import NO_TEXT, Imported, Source
from flowstudy.corpus.importers.redact import Redactor
from flowstudy.flows.schema import Flow, Input

#: Longer requirements are cut at the end of a sentence.
MAX_TEXT: Final = 4_000
_TAG: Final = re.compile(r"<(?:/?[a-zA-Z][^<>]*|!--.*?--)>", re.DOTALL)
_LINK: Final = re.compile(r"(?<!!)\[([^\[\]]+)\]\(https?://[^\s()]*\)")


def as_input(name: str, value: Any, redactor: Redactor) -> Input:
    """An input of a flow: scalars as text, everything secret masked."""
    if isinstance(value, str):
        pass
    elif value is None or isinstance(value, (bool, int, float)):
        value = json.dumps(value)
    name = redactor.text(name)
    return Input(name=name, value=redactor.value(value, name))


def humanised(name: str) -> str:
    """A name as words: `Get_user-v2` gives "Get user v2".

    >>> humanised("Reset-AADUserPassword")
    'Reset AAD User Password'
    """
    words = re.sub(r"[_\-]+|(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    return " ".join(words.split())


def cleaned(text: str) -> str:
    """A text without HTML tags, marks of headings, targets of links and runs of blanks, cut to MAX_TEXT characters."""
    text = _LINK.sub(r"\1", _TAG.sub(" ", text[: MAX_TEXT * 4].replace("\r", "\n")))
    lines = (" ".join(re.sub(r"^\s*#+\s", "", line).split()) for line in text.split("\n"))
    text = re.sub(r"\n{2,}", "\n\n", "\n".join(lines)).strip()
    if len(text) <= MAX_TEXT:
        return text
    cut = text[:MAX_TEXT]
    return cut[: max(cut.rfind(". "), cut.rfind("\n"), MAX_TEXT // 2) + 1].strip()


def finish(
    id: str,
    source: Source,
    flow: Flow,
    redactor: Redactor,
    lost: list[str],
    *,
    texts: Iterable[tuple[str, str]] = (),
    titles: Iterable[str] = (),
    features: dict[str, Any] | None = None,
    notes: Iterable[str] = (),
    licence: str = "",
) -> Imported:
    """The record of a converted flow, with the best text there is.

    A text beside the file comes first, then `texts` in it, each with what it is, then a title of at least three words.
    A shorter title, or the name of the file, is only a stand-in: the status is then `partly` and the reason
    `no requirement text`. The feature `requirement_from` says which it was.
    """
    titles = [*titles, *([source.title] if source.title else [])]
    requirement, origin = _requirement(source, texts, titles)
    known = [title for title in map(humanised, titles) if title]
    found = {"requirement_from": origin, **({"title": known[0]} if known else {}), **(features or {})}
    example = Example(
        id=short_id(redactor.text(id)),
        requirement=redactor.text(requirement),
        references=[flow],
        domain=source.domain,
        source="imported",
        features=redactor.value(found),
        licence=licence or source.licence,
    )
    complete = origin != "stand-in"
    lost = [redactor.text(item) for item in dict.fromkeys(lost)]
    reason = "; ".join(([] if complete else [NO_TEXT]) + lost[:3])
    status = "converted" if complete and not lost else "partly"
    return Imported(example.id, status, example, lost, redactor.count, reason, list(notes))  # type: ignore[arg-type]


def _requirement(source: Source, texts: Iterable[tuple[str, str]], titles: Iterable[str]) -> tuple[str, str]:
    for text, origin in ((source.text, source.text_from), *texts):
        text = cleaned(text)
        if len(text.split()) >= 3:
            return text, origin
    names = [humanised(title) for title in titles]
    long = next((name for name in names if len(name.split()) >= 3), None)
    if long:
        return cleaned(long), "title"
    stem = re.split(r"[/\\]", source.id)[-1].rsplit(".", 1)[0]
    return next((name for name in names if name), "") or humanised(stem) or "Workflow", "stand-in"


def short_id(id: str) -> str:
    """An id of at most 200 characters; a longer one keeps its end behind a digest."""
    if len(id) <= 200:
        return id or "workflow"
    return f"{hashlib.sha256(id.encode()).hexdigest()[:12]}-{id[-180:]}"
