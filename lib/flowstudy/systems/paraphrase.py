"""More training examples: a model says requirements again in other voices. What it writes is never scored."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from flowstudy.corpus import catalogues_for, corpus_path, load_corpus, shipped_corpus, write_corpus
from flowstudy.corpus.example import GENERATED, Example
from flowstudy.corpus.references import lost_values
from flowstudy.flows.catalogue import Catalogue
from flowstudy.flows.outline import to_outline
from flowstudy.progress import progress
from flowstudy.systems import ANSWERS, BASELINES, Budget, NotReady, SystemSpec, readiness, slm, wire
from flowstudy.systems.background import each, wait_for
from flowstudy.systems.calls import CallCache, Reply, Request
from flowstudy.systems.capabilities import UNTUNED, family_of
from flowstudy.systems.estimate import BYTES_PER_TOKEN, Size, priced
from flowstudy.systems.llm import Client, prompt_bytes
from flowstudy.systems.prompts import fill, load_prompt
from flowstudy.systems.records import is_recorded
from flowstudy.systems.room import THINKING_TOKENS

_WRAPPED: Final = re.compile(r"```\w*\n(.*?)\n?```|\"([^\"]*)\"|“([^”]*)”", re.DOTALL)
_WORD: Final = re.compile(r"\w+")
_TALK: Final = re.compile(r"(here('s| is| are)|sure|certainly|of course|i('m| am) sorry|i cannot|as an ai)\b", re.I)
#: An example as it will be written, yet with the requirement that it is made from, and the request for another.
_Ask = tuple[Example, Request]


class Paraphrases(NamedTuple):
    """What was written, and in words what was dropped, not answered or left out; `cost_usd` is that of this run."""

    written: list[Example]
    dropped: list[str]
    unanswered: list[str]
    left_out: list[str]
    cost_usd: float | None

    def __str__(self) -> str:
        counts = f"{len(self.written)} written, {len(self.dropped)} dropped, {len(self.unanswered)} not answered"
        money = "cost unknown" if self.cost_usd is None else f"{self.cost_usd:.4f} USD"
        names = ", ".join(self.left_out[:5]) + (" ..." if len(self.left_out) > 5 else "")
        left = f"{len(self.left_out)} left out, not for training: {names or 'none'}"
        return "\n  ".join([f"paraphrases: {counts}, {money}", *self.dropped, *self.unanswered, left])


def paraphrase(
    corpus: str, model: str, to: str | Path, *, per_example: int = 1, max_cost_usd: float | None = 1.0,
    voices: Sequence[str] = (), seed: int = 7,
) -> Paraphrases:  # fmt: skip
    """Ask for `per_example` wordings of each training requirement of a corpus file (or `shipped`), and write those that
    keep its literal values to `to`, with the same flows. `voices` (default: all) are those of the prompt file.

    Calls are kept beside `to`, which is written anew: the same again asks only what was not answered, and
    `max_cost_usd` holds for all calls together.
    Raises ValueError for a model that cannot be asked, an unknown voice, nothing to paraphrase, another corpus in `to`.
    """
    to = Path(to)
    if to.suffix != ".jsonl" or (to.exists() and any(e.source != GENERATED for e in load_corpus(to))):
        raise ValueError(f"file {str(to)!r}: expected a .jsonl file, new or of generated examples; name another one")
    if model == UNTUNED and not wire.is_served(model):
        slm.serve("base", slm.base_folder("smollm2"))
    family = family_of(model)
    most = 640 + (THINKING_TOKENS if family is not None and family.thinks else 0)
    spec = SystemSpec(name="paraphrase", model=model, temperature=0.8, max_tokens=most, seed=seed)
    Budget(max_cost_usd or 0.0)  # refuses a negative one
    state = readiness(spec, max_cost_usd=max_cost_usd)
    if isinstance(state, NotReady) or model in BASELINES or is_recorded(model):
        raise ValueError(f"model {model}: {state.reason or 'it writes no text'}; {state.fix or 'name another one'}")
    path = None if corpus == "shipped" else corpus_path(corpus)
    examples = load_corpus(path) if path else shipped_corpus()
    catalogues = catalogues_for(examples, path)
    learnt = {e.id: e.split == "train" and e.source != GENERATED for e in examples}
    asks = [ask for e in examples if learnt[e.id] for ask in _asks(e, spec, per_example, voices)]
    asks = [ask for ask in asks if ask[0].id not in learnt]
    if not asks:
        raise ValueError(f"corpus {corpus}: expected examples of the split train, got none to paraphrase; add some")
    with CallCache(to.with_name(f"{to.stem}.calls.jsonl")) as cache:
        budget = None if max_cost_usd is None else Budget(max_cost_usd, spent_usd=cache.spent_usd)
        replies = wait_for(_ask_all(Client.of(spec, cache=cache, budget=budget), spec, asks))
    found = _sort_out(asks, replies, catalogues)._replace(left_out=[name for name in learnt if not learnt[name]])
    if found.written:
        write_corpus(to, found.written)
    return found


def _asks(example: Example, spec: SystemSpec, count: int, voices: Sequence[str]) -> list[_Ask]:
    prompt, found = load_prompt("paraphrase"), []
    known = [name for name, role in prompt.sections if role == "text"]
    if unknown := sorted(set(voices) - set(known)):
        raise ValueError(f"voice {unknown[0]!r}: expected one of {', '.join(known)}; correct the list of voices")
    order = random.Random(f"{spec.seed}|{example.id}").sample(voices or known, len(voices or known))
    for number in range(1, count + 1):
        voice = order[(number - 1) % len(order)]
        draft = Example(
            id=f"{example.id}-g{number}", requirement=example.requirement, references=example.references,
            domain=example.domain, split="train", source=GENERATED, licence=example.licence,
            features={**example.features, "voice": voice, "written_by": spec.model},
        )  # fmt: skip
        values = {"outline": to_outline(example.flow), "requirement": example.requirement}
        values["voice"] = prompt.sections[voice, "text"]
        params = {"temperature": spec.temperature, "max_tokens": spec.max_tokens, "seed": spec.seed + number}
        found.append((draft, Request("paraphrase", fill(prompt, "paraphrase", values), params, prompt.hash, number)))
    return found


async def _ask_all(client: Client, spec: SystemSpec, asks: Sequence[_Ask]) -> list[Reply]:
    """All replies in order; what those that are not in the journal may cost is said first."""
    todo = [ask for ask in asks if client.cache is None or client.cache.find(client.key(ask[1])) is None]
    size, letters = sum(prompt_bytes(ask[1]) for ask in todo), sum(len(ask[0].requirement) for ask in todo)
    expected = Size(len(todo), size, int(letters / BYTES_PER_TOKEN), size, len(todo) * spec.most_tokens)
    with progress(spec.name, len(asks), quiet_s=0.0) as tick:
        tick(0, note=str(priced(spec, len(todo), expected)).removeprefix(f"{spec.name}: "))

        async def work(ask: _Ask) -> Reply:
            reply = await client.complete(ask[1])
            tick()
            return reply

        return await each(asks, work, client.limiter.cap)


def _sort_out(asks: Sequence[_Ask], replies: Sequence[Reply], catalogues: Mapping[str, Catalogue]) -> Paraphrases:
    written, dropped, unanswered = list[Example](), list[str](), list[str]()
    seen = {(draft.requirement, *_WORD.findall(draft.requirement.lower())) for draft, _ in asks}
    for (draft, _), reply in zip(asks, replies, strict=True):
        match = _WRAPPED.fullmatch(reply.text.strip())
        text = (match[match.lastindex or 0] if match else reply.text).strip()
        wording = (draft.requirement, *_WORD.findall(text.lower()))
        rule = _broken_rule(draft, text, catalogues[draft.domain]) or ("other words" if wording in seen else None)
        if reply.outcome not in ANSWERS:
            unanswered.append(f"paraphrase for {draft.id}: {reply.outcome}: {reply.call.error}; run again")
        elif reply.outcome != "ok" or rule:
            got = f"got {text[:80]!r} ({reply.outcome}); not written, a higher --per-example asks again"
            dropped.append(f"paraphrase for {draft.id}: expected {rule or 'a whole answer'}, {got}")
        else:
            seen.add(wording)
            written.append(draft.model_copy(update={"requirement": text}))
    costs = [r.call.cost_usd for r in replies if r.outcome in ANSWERS and not r.call.cache_hit]
    return Paraphrases(written, dropped, unanswered, [], None if None in costs else sum(cost or 0 for cost in costs))


def _broken_rule(draft: Example, text: str, catalogue: Catalogue) -> str | None:
    """What a requirement in other words must have and this one has not."""
    if not text or _TALK.match(text) or "```" in text:
        return "the requirement alone"
    lines = [line.strip() for line in to_outline(draft.flow).splitlines() if " | " in line]
    if any(line in text for line in lines) or ("{{" in text and "{{" not in draft.requirement):
        return "no line of the outline"
    lost = lost_values(draft.flow, draft.requirement, text, catalogue)
    return f"the literal {lost[0]!r} of the requirement" if lost else None
