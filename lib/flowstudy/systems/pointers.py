"""The pointed outline: the outline of `flows.outline` in which a small model points instead of spelling.

The prompt numbers what can be pointed at: suggestions `<s4>`, their inputs `<i0>` and choices `<c1>`, and the words
of the requirement `<w7>`. The model then writes one short line per step:

    <w0><w4> <s0><i0><s3><i1><s5>=<c0>          trigger: words 0-4, suggestion 0, table = suggestion 3, condition ...
    1 <w6><w9> IF | condition = <s5>=<c1>       flow logic is spelled; so is everything that nothing points at
      2 <w10><w14> <s2><i0><w12><w14>           the value of the first input is the text of the words 12-14

`<wA><wB>` is the text from word A to word B. In front of a step it is the annotation. `resolve(point(flow))` is the
outline of the flow, always; text that looks like a pointer is escaped by a backslash (`<\\w3>`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from flowstudy.flows.catalogue import Catalogue, StepDef
from flowstudy.flows.outline import component_line, from_outline, to_outline
from flowstudy.flows.query import parse_query
from flowstudy.flows.schema import QUERY_INPUTS, Component, Flow, Input
from flowstudy.systems.records import Suggestion
from flowstudy.systems.words import words as stems

#: How many of each can be pointed at; what comes later in a list must be spelled.
MAX_WORDS, MAX_SUGGESTIONS, MAX_INPUTS, MAX_CHOICES = 256, 64, 12, 16
#: Words of the requirement named beside a suggestion.
MAX_ECHOES: Final = 3
_STEP_KINDS: Final = frozenset({"trigger", "action", "subflow"})
_WORD: Final = re.compile(r"[\w$€£#@%+&]+(?:[-'’.@&+]\w+|[:,]\d+)*%?")
_LINE: Final = re.compile(r"( *)(?:(\d+)(?: |(?=<)))?(?:(<w\d+><w\d+>) ?)?(.*)")
_TIGHT: Final = re.compile(r"( \| [^ |\"]+ :?=)(?=<)")  # `table =<s3>`: a tokenizer may have swallowed the space
_HEAD: Final = re.compile(r"<s(\d+)>")
_VALUE_POINTER: Final = re.compile(r"<w(\d+)>(?:<w(\d+)>)?|<([sc])(\d+)>|<\\(\\*[swic]\d+>)")
_LOOKALIKE: Final = re.compile(r"<(\\*[swic]\d+>)")
_REFERENCE: Final = re.compile(r"(\{\{[^{}]*\}\})")


class PointerError(ValueError):
    """A pointer that points at nothing."""


class Word(NamedTuple):
    """A numbered word: where it starts and ends in the requirement."""

    start: int
    end: int


@lru_cache(maxsize=512)
def words(requirement: str) -> tuple[Word, ...]:
    """The words that get a number, punctuation around them left out; at most MAX_WORDS."""
    return tuple(Word(*m.span()) for m in _WORD.finditer(requirement))[:MAX_WORDS]


def number_words(requirement: str) -> str:
    """The requirement with its words numbered.

    >>> number_words("Notify Ann, please.")
    'Notify<w0> Ann<w1>, please<w2>.'
    """
    pieces, last = [], 0
    for number, word in enumerate(words(requirement)):
        pieces += [escape(requirement[last : word.end]), f"<w{number}>"]
        last = word.end
    return "".join([*pieces, escape(requirement[last:])])


def suggestion_lines(
    suggestions: Sequence[Suggestion], catalogue: Catalogue | None = None, requirement: str = ""
) -> str:
    """The numbered list of suggestions as the prompt shows it: kind, name in words, description, inputs, choices.

    The columns of a suggested table stand in its line; other columns have lines of their own. With a requirement,
    the number of a suggestion is followed by the words of the requirement that speak of it (see `echoes`).
    """
    shown = list(enumerate(suggestions[:MAX_SUGGESTIONS]))
    tables = {s.name for _, s in shown if s.kind == "table"}
    heads = [f"<s{n}>{heard}" for n, heard in enumerate(echoes([s for _, s in shown], catalogue, requirement))]
    lines = []
    for number, item in shown:
        if item.kind == "column" and item.name.rpartition(".")[0] in tables:
            continue
        line = f"{heads[number]} {item.kind} {describe(item, catalogue)}"
        if item.kind == "table":
            own = [(n, s) for n, s in shown if s.kind == "column" and s.name.rpartition(".")[0] == item.name]
            line += "".join(f" {heads[n]} {_column_text(s.name, catalogue, short=True)}" for n, s in own)
        lines.append(line)
    return "\n".join(lines)


def echoes(suggestions: Sequence[Suggestion], catalogue: Catalogue | None, requirement: str) -> list[str]:
    """For each suggestion the pointers at the words of the requirement that share a stem with it, at most
    MAX_ECHOES: words that few other suggestions share come first, then the order of the requirement. A reader that
    only has to look a number up finds its place sooner than one that must compare words.
    """
    heard = [frozenset(stems(_spoken(item, catalogue))) for item in suggestions]
    if not any(heard) or not requirement:
        return [""] * len(heard)
    spread = Counter(stem for stems_ in heard for stem in stems_)
    said = [
        (n, stem) for n, word in enumerate(words(requirement)) for stem in stems(requirement[word.start : word.end])
    ]
    found = []
    for own in heard:
        rarest: dict[int, int] = {}
        for number, stem in said:
            if stem in own:
                rarest[number] = min(spread[stem], rarest.get(number, len(heard)))
        chosen = sorted(sorted(rarest, key=lambda n: (rarest[n], n))[:MAX_ECHOES])
        found.append("".join(f"<w{n}>" for n in chosen))
    return found


def _spoken(suggestion: Suggestion, catalogue: Catalogue | None) -> str:
    """What a suggestion is about, in words: name and description of a step, label and choices of a column."""
    if suggestion.kind == "column":
        table, _, name = suggestion.name.rpartition(".")
        known = catalogue.tables.get(table) if catalogue else None
        column = known.columns.get(name) if known else None
        return " ".join([name, column.label, *column.choices.values()] if column else [name])
    step = _step_def(suggestion, catalogue)
    return f"{suggestion.name} {step.description}" if step else suggestion.name


def describe(suggestion: Suggestion, catalogue: Catalogue | None = None) -> str:
    """One suggestion in words. Names are split into words, since the model points and need not spell them; a
    description that only repeats the name is left out."""
    name = _in_words(suggestion.name)
    if suggestion.kind == "column":
        return _column_text(suggestion.name, catalogue)
    step = _step_def(suggestion, catalogue)
    if step is None:
        return name
    about = " ".join(step.description.split()[:8]).rstrip(".,;:")
    extra = [w for w in about.lower().split() if len(w) > 3 and w[:4] not in name.lower()]
    inputs = [
        f"<i{n}> {_in_words(key)}{_choice_list(item.choices)}"
        for n, (key, item) in enumerate(step.inputs.items())
        if n < MAX_INPUTS
    ]
    return " ".join([f"{name}: {escape(about)}" if extra else name, *inputs])


def _in_words(name: str) -> str:
    return escape(re.sub(r"[._]+", " ", name).strip())


def _column_text(name: str, catalogue: Catalogue | None, *, short: bool = False) -> str:
    choices = _column(name, catalogue)
    return _in_words(name.rpartition(".")[2] if short else name) + _choice_list(list(choices.values()))


def _choice_list(choices: Sequence[str]) -> str:
    return "".join(f" <c{n}> {escape(label)}" for n, label in enumerate(choices[:MAX_CHOICES]))


def escape(text: str) -> str:
    """Text in which nothing looks like a pointer: `<w3>` becomes `<\\w3>`."""
    return _LOOKALIKE.sub(r"<\\\1", text)


def _step_def(suggestion: Suggestion, catalogue: Catalogue | None) -> StepDef | None:
    if catalogue is None or suggestion.kind not in _STEP_KINDS:
        return None
    shelf = {"trigger": catalogue.triggers, "action": catalogue.actions, "subflow": catalogue.subflows}[suggestion.kind]
    return shelf.get(suggestion.name)


def _column(name: str, catalogue: Catalogue | None) -> dict[str, str]:
    table, _, column = name.rpartition(".")
    known = catalogue.tables.get(table) if catalogue else None
    found = known.columns.get(column) if known else None
    return found.choices if found else {}


class _Pointing:
    """What can be pointed at in one prompt."""

    def __init__(self, suggestions: Sequence[Suggestion], requirement: str, catalogue: Catalogue | None) -> None:
        self.suggestions = list(suggestions[:MAX_SUGGESTIONS])
        self.requirement, self.catalogue, self.words = requirement, catalogue, words(requirement)
        self.starts = {word.start: n for n, word in enumerate(self.words)}
        self.ends = {word.end: n for n, word in enumerate(self.words)}
        self.numbers: dict[tuple[str, str], int] = {}
        for number, item in enumerate(self.suggestions):
            self.numbers.setdefault((item.kind, item.name), number)
            if item.kind == "column":
                self.numbers.setdefault(("column", item.name.rpartition(".")[2]), number)

    def span(self, value: str, near: tuple[int, int] | None = None) -> tuple[int, int] | None:
        """The words whose text is `value`: inside the words `near` when it can be, else the first occurrence."""
        if near is not None:
            inside = self._find(value, self.words[near[0]].start, self.words[near[1]].end)
            if inside:
                return inside
        return self._find(value, 0, len(self.requirement)) if len(value) > 2 else None

    def _find(self, value: str, start: int, end: int) -> tuple[int, int] | None:
        at = self.requirement.find(value, start, end) if value else -1
        while at >= 0:
            first, last = self.starts.get(at), self.ends.get(at + len(value))
            if first is not None and last is not None:
                return first, last
            at = self.requirement.find(value, at + 1, end)
        return None


def point(flow: Flow, suggestions: Sequence[Suggestion], requirement: str, catalogue: Catalogue | None = None) -> str:
    """The pointed outline of a flow, as the model should write it for this prompt. Empty flow: empty text."""
    to = _Pointing(suggestions, requirement, catalogue)
    lines = [line for line in to_outline(Flow(inputs=flow.inputs, outputs=flow.outputs)).split("\n") if line]
    if flow.trigger is not None:
        lines.append(_point_step(to, "trigger", flow.trigger.type, flow.trigger.inputs, None))
    depth: dict[int | None, int] = {None: 0}
    for component in flow.components:
        level = depth.get(component.block, 0)
        depth[component.order] = level + 1
        kind = "" if component.is_logic else component.category
        text = _point_step(to, kind, component.key, component.inputs, component)
        lines.append(f"{'  ' * level}{component.order} {text}")
    return "\n".join(lines)


def _point_step(to: _Pointing, kind: str, key: str, inputs: list[Input], component: Component | None) -> str:
    note = component.annotation if component else None
    near = to.span(note) if note else None
    number = to.numbers.get((kind, key)) if _pointable(kind, key, inputs, component) else None
    step = None if number is None else _step_def(to.suggestions[number], to.catalogue)
    table = next((i.value for i in inputs if i.name in ("table", "table_name") and isinstance(i.value, str)), "")
    pointed = [Input(name=i.name, value=_point_value(to, i, step, table, near)) for i in inputs]
    places = {name: n for n, name in enumerate(step.inputs) if n < MAX_INPUTS} if step else {}
    if number is None and component is None:
        text = to_outline(Flow.model_validate({"trigger": {"type": key, "inputs": pointed}}))
    elif number is None and component is not None:
        text = component_line(component.model_copy(update={"inputs": pointed, "annotation": None}))
    else:
        text = f"<s{number}>" + "".join(_input_text(i, places) for i in pointed)
    if near is not None:
        return f"<w{near[0]}><w{near[1]}> {text}"
    spelled = Component(definition="x", order=1, annotation=None if note is None else escape(note))
    return text + component_line(spelled).removeprefix("action x")


def _pointable(kind: str, key: str, inputs: list[Input], component: Component | None) -> bool:
    """Whether the key alone names the step, and no input holds a "<" that could be mistaken for an input pointer."""
    if not kind:
        return False
    whole = component is None or _step_head(kind, key) == _step_head(kind, component.definition, component.scope)
    return whole and not any("<" in i.name or ("<" in str(i.value) and not isinstance(i.value, str)) for i in inputs)


def _step_head(kind: str, definition: str, scope: str | None = None) -> str:
    """`action itsm.create_incident`, quoted where the outline needs it."""
    if kind == "trigger":
        return to_outline(Flow.model_validate({"trigger": {"type": definition}}))
    if scope is None:
        first, dot, last = definition.rpartition(".")
        scope, definition = (first, last) if dot else ("global", definition)
    raw = {"category": kind, "definition": definition, "scope": scope, "order": 1}
    return component_line(Component.model_validate(raw))


def _input_text(item: Input, places: dict[str, int]) -> str:
    value = item.value
    if isinstance(value, str) and value.startswith(":="):
        return _plain_input(item)
    text = _plain_input(item)
    if item.name not in places or not text.startswith(f" | {item.name} "):
        return text
    body = text.removeprefix(f" | {item.name} ")
    return f"<i{places[item.name]}>" + (body if body.startswith(":= ") else body.removeprefix("=").removeprefix(" "))


def _plain_input(item: Input) -> str:
    return component_line(Component(definition="x", order=1, inputs=[item])).removeprefix("action x")


def _point_value(to: _Pointing, item: Input, step: StepDef | None, table: str, near: tuple[int, int] | None) -> object:
    value = item.value
    if not isinstance(value, str) or not value:
        return value
    definition = step.inputs.get(item.name) if step else None
    if ("table", value) in to.numbers:
        return f"<s{to.numbers['table', value]}>"
    if definition and value in definition.choices[:MAX_CHOICES]:
        return f"<c{definition.choices.index(value)}>"
    if definition and definition.type == "column" and ("column", value) in to.numbers:
        return f"<s{to.numbers['column', value]}>"
    if item.name in QUERY_INPUTS or (definition and definition.type in ("query", "values")):
        return _point_query(to, value, table, near)
    return _point_text(to, value, near)


def _point_query(to: _Pointing, query: str, table: str, near: tuple[int, int] | None) -> str:
    clauses = parse_query(query)
    if clauses is None or "".join("".join(clause) for clause in clauses) != query:
        return _point_text(to, query, near)
    pieces = []
    for clause in clauses:
        field, dot, rest = clause.field.partition(".")
        number = to.numbers.get(("column", f"{table}.{field}"), to.numbers.get(("column", field)))
        choices = list(_column(to.suggestions[number].name, to.catalogue))[:MAX_CHOICES] if number is not None else []
        name = field if number is None else f"<s{number}>"
        if not dot and clause.value in choices:
            value = f"<c{choices.index(clause.value)}>"
        else:
            value = _point_text(to, clause.value, near)
        pieces += [clause.join, name, dot, rest, clause.operator, value]
    return "".join(pieces)


def _point_text(to: _Pointing, text: str, near: tuple[int, int] | None) -> str:
    return "".join(_point_piece(to, piece, near) for piece in _REFERENCE.split(text) if piece)


def _point_piece(to: _Pointing, piece: str, near: tuple[int, int] | None) -> str:
    if piece.startswith("{{"):
        path, dot, last = piece[2:-2].rpartition(".")
        number = to.numbers.get(("column", last)) if dot and path.endswith((".record", ".item")) else None
        return escape(piece) if number is None else f"{{{{{escape(path)}.<s{number}>}}}}"
    span = to.span(piece.strip(" "), near)
    if span is None:
        return escape(piece)
    before, after = piece[: len(piece) - len(piece.lstrip(" "))], piece[len(piece.rstrip(" ")) :]
    return f"{before}<w{span[0]}><w{span[1]}>{after}"


def resolve(text: str, suggestions: Sequence[Suggestion], requirement: str, catalogue: Catalogue | None = None) -> str:
    """The plain outline of a pointed one, for `flows.outline.from_outline`.

    Raises PointerError naming the line and the pointer that points at nothing, and OutlineError (both are
    ValueErrors) for a line that is no outline text.
    """
    return to_outline(resolve_flow(text, suggestions, requirement, catalogue))


def resolve_flow(
    text: str, suggestions: Sequence[Suggestion], requirement: str, catalogue: Catalogue | None = None
) -> Flow:
    """Like `resolve`, but gives the flow itself."""
    to = _Pointing(suggestions, requirement, catalogue)
    steps: list[StepDef | None] = []
    lines = []
    for number, line in enumerate(text.split("\n"), start=1):
        body, step = _resolve_head(to, line, number)
        lines.append(body)
        if body.strip(" ") and not body.strip(" ").startswith(("inputs := ", "outputs := ")):
            steps.append(step)
    flow = from_outline("\n".join(lines))
    trigger, tail = flow.trigger, steps
    if trigger is not None:
        trigger = trigger.model_copy(update={"inputs": _resolve_inputs(to, trigger.inputs, steps[0])})
        tail = steps[1:]
    components = [
        component.model_copy(
            update={
                "inputs": _resolve_inputs(to, component.inputs, step),
                "annotation": component.annotation and _resolve_text(to, component.annotation, []),
            }
        )
        for component, step in zip(flow.components, tail, strict=True)
    ]
    return flow.model_copy(update={"trigger": trigger, "components": components})


def _resolve_head(to: _Pointing, line: str, number: int) -> tuple[str, StepDef | None]:
    """A line with a spelled head and spelled input names, and the definition of its step; values stay pointed."""
    match = _LINE.fullmatch(line)
    if match is None:
        return line, None
    indent, _, note, body = match.groups()
    body = _TIGHT.sub(r"\1 ", body)
    head, step = _HEAD.match(body), None
    if head is not None:
        item = _suggestion(to, int(head[1]), f"line {number}")
        if item.kind not in _STEP_KINDS:
            raise PointerError(f"pointed outline line {number}: expected a step, got {head[0]}, a {item.kind}")
        step = _step_def(item, to.catalogue)
        names = list(step.inputs)[:MAX_INPUTS] if step else []
        body = re.sub(r"<i(\d+)>(:= )?", _naming(names, number), body[head.end() :])
        body = f"{_step_head(item.kind, item.name)}{body}".rstrip(" ")
    return f"{indent}{body} # {note}" if note else f"{indent}{body}", step


def _naming(names: list[str], line: int) -> Callable[[re.Match[str]], str]:
    def spell(match: re.Match[str]) -> str:
        if int(match[1]) >= len(names):
            got = f"expected one of {len(names)} inputs, got {match[0].strip()}"
            raise PointerError(f"pointed outline line {line}: {got}")
        return f" | {names[int(match[1])]} {'= ' if match[2] is None else ':= '}"

    return spell


def _resolve_inputs(to: _Pointing, inputs: list[Input], step: StepDef | None) -> list[Input]:
    def value(item: Input) -> object:
        text = item.value
        return _resolve_text(to, text, _choices(step, item.name)) if isinstance(text, str) else text

    return [Input(name=item.name, value=value(item)) for item in inputs]


def _choices(step: StepDef | None, name: str) -> list[str]:
    return step.inputs[name].choices[:MAX_CHOICES] if step and name in step.inputs else []


def _resolve_text(to: _Pointing, text: str, choices: list[str]) -> str:
    known = choices

    def replace(match: re.Match[str]) -> str:
        nonlocal known
        first, last, kind, number, literal = match.groups()
        if literal is not None:
            return f"<{literal}"
        if first is not None:
            return _words_text(to, int(first), int(last or first))
        if kind == "c":
            if int(number) >= len(known):
                got = f"expected one of {len(known)} choices, got {match[0]} in {text[:60]!r}"
                raise PointerError(f"pointed outline: {got}")
            return known[int(number)]
        item = _suggestion(to, int(number), repr(text[:60]))
        known = list(_column(item.name, to.catalogue))[:MAX_CHOICES] if item.kind == "column" else choices
        return item.name.rpartition(".")[2] if item.kind == "column" else item.name

    return _VALUE_POINTER.sub(replace, text)


def _words_text(to: _Pointing, first: int, last: int) -> str:
    if not first <= last < len(to.words):
        raise PointerError(f"pointed outline: expected words 0 to {len(to.words) - 1}, got <w{first}><w{last}>")
    return to.requirement[to.words[first].start : to.words[last].end]


def _suggestion(to: _Pointing, number: int, where: str) -> Suggestion:
    if number >= len(to.suggestions):
        got = f"expected one of {len(to.suggestions)} suggestions, got <s{number}>"
        raise PointerError(f"pointed outline {where}: {got}")
    return to.suggestions[number]
