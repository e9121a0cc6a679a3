"""What a small model reads and learns from is what it is asked later, and nothing is trained on nothing."""

from __future__ import annotations

import random
import re
import statistics
from collections import Counter
from pathlib import Path

import pytest

from flowstudy.corpus import catalogues_for, shipped_catalogue, shipped_corpus
from flowstudy.corpus.environments import CORE
from flowstudy.corpus.prepare import prepare as prepare_corpus
from flowstudy.flows.outline import from_outline, to_outline
from flowstudy.study import load_study
from flowstudy.systems import SystemSpec, run_rankers
from flowstudy.systems.grammars import outline_grammar
from flowstudy.systems.readers import read_flow, read_inputs
from flowstudy.systems.records import Suggestion
from flowstudy.systems.retrieval import entries, retrieve
from flowstudy.systems.slm.adapters import SHIPPED, find, training_key
from flowstudy.systems.slm.bases import Base, find_base
from flowstudy.systems.slm.data import Pair, Teaching, exchanged, pairs
from flowstudy.systems.slm.engines import Lora
from flowstudy.systems.slm.grammar import form_of
from flowstudy.systems.slm.prepare import TrainingError, prepare
from flowstudy.systems.slm.recipe import Recipe, usual_rate
from flowstudy.systems.tasks import Task
from flowstudy.systems.uses import catalogue_uses, exists

ROOT = Path(__file__).parents[2]
BASE = Base("a", "/models/a", sha256="1" * 64)


@pytest.fixture(scope="module")
def corpus():
    return shipped_corpus()


@pytest.fixture(scope="module")
def catalogues(corpus):
    return catalogues_for(corpus)


@pytest.fixture(scope="module")
def taught(corpus):
    """Sixty training examples of all domains."""
    return [example for example in corpus if example.split == "train"][::10][:60]


def shown(pair: Pair) -> str:
    """The offered lines of a prompt."""
    return pair.messages[-1]["content"].partition("Requirement: ")[0]


def offered(pair: Pair) -> set[tuple[str, str]]:
    """(kind, name) of what a prompt offers; columns are named `table.column`."""
    found = set()
    for line in shown(pair).splitlines():
        kind, _, rest = line.partition(" ")
        name, *parts = rest.partition(" -> ")[0].split(" | ")
        found.add((kind, name))
        if kind == "table":
            found |= {("column", f"{name}.{part.split(' ')[0]}") for part in parts}
    return found


def needed(example, catalogue) -> set[tuple[str, str]]:
    return {use for use in catalogue_uses(example.flow) if exists(use, catalogue)}


def test_pairs_depend_on_the_seed_and_on_nothing_else(taught, catalogues):
    first = pairs(taught, catalogues, seed=1)
    assert first == pairs(taught, catalogues, seed=1) and first != pairs(taught, catalogues, seed=2)
    assert first[::-1] == pairs(taught[::-1], catalogues, seed=1), "nor on the others of the corpus"
    assert [pair.id for pair in first] == [example.id for example in taught]


def test_each_pass_draws_other_suggestions_for_the_same_answer(taught, catalogues):
    teaching = Teaching(rename=0.0)
    first, second = (pairs(taught, catalogues, teaching, number=number) for number in (0, 1))
    assert [pair.completion for pair in first] == [pair.completion for pair in second]
    others = sum(offered(a) != offered(b) for a, b in zip(first, second, strict=True))
    assert others > 0.9 * len(taught)
    still = teaching._replace(redraw=False)
    assert pairs(taught, catalogues, still, number=1) == pairs(taught, catalogues, still, number=0) == first


def test_the_answer_is_the_numbered_outline_of_the_flow(taught, catalogues):
    for example, pair in zip(taught, pairs(taught, catalogues, Teaching(rename=0.0, voice=0.0)), strict=True):
        assert pair.completion == to_outline(example.flow, numbered=True)
        assert example.requirement in pair.messages[-1]["content"]


def test_another_voice_says_the_same_words(taught, catalogues):
    """Small models are asked by tickets, mails and dictated notes too; the answer must stay that of the request."""
    plain, voiced = (pairs(taught, catalogues, Teaching(rename=0.0, voice=share)) for share in (0.0, 1.0))
    assert voiced == pairs(taught, catalogues, Teaching(rename=0.0, voice=1.0)), "the same seed, the same voice"
    assert [pair.completion for pair in voiced] == [pair.completion for pair in plain]
    assert sum(a.messages != b.messages for a, b in zip(plain, voiced, strict=True)) > len(taught) / 2
    for example, pair in zip(taught, voiced, strict=True):
        said = set(re.findall(r"\w+", pair.messages[-1]["content"]))
        assert set(re.findall(r"[^\W\d]\w{2,}", example.requirement)) <= said


def test_what_an_unseen_environment_has_of_its_own_is_offered_where_it_is_needed(taught, catalogues):
    """What the platform core has is left out sometimes: it can be recalled."""
    core, left_out = shipped_catalogue(CORE), 0
    for number in (0, 1, 2):
        made = pairs(taught, catalogues, Teaching(k=4, unseen=1.0, rename=0.0), number=number)
        for example, pair in zip(taught, made, strict=True):
            missing = needed(example, catalogues[example.domain]) - offered(pair)
            left_out += len(missing)
            assert all(exists(use, core) for use in missing), (example.id, missing)
    assert left_out > 0


class Backwards:
    """Ranks the steps of a catalogue from the last to the first, in an unseen environment the other way."""

    def __init__(self, catalogue):
        steps = [*catalogue.actions, *catalogue.subflows]
        self.shares = [steps.index(e.name) / len(steps) if e.name in steps else 0.5 for e in entries(catalogue)]

    def scores(self, requirement, *, unseen=False):
        return [1 - share if unseen else share for share in self.shares]

    def fingerprint(self):
        return "backwards"


@pytest.mark.parametrize("unseen", [0.0, 1.0])
def test_what_is_offered_is_what_the_ranker_of_the_run_offers_but_for_noise(unseen, taught, catalogues):
    """A model that was taught with easier suggestions than it is asked with trusts them too much."""
    rankers = {domain: Backwards(catalogue) for domain, catalogue in catalogues.items()}
    teaching = Teaching(unseen=unseen, rename=0.0)
    for example, pair in zip(taught, pairs(taught, catalogues, teaching, rankers=rankers), strict=True):
        catalogue = catalogues[example.domain]
        steps = [*catalogue.actions, *catalogue.subflows]
        place = {name: n if unseen else len(steps) - 1 - n for n, name in enumerate(steps)}
        shown_steps = [line.split(" ")[1] for line in shown(pair).splitlines() if re.match("action |subflow ", line)]
        wanted = {name for kind, name in needed(example, catalogue) if kind in ("action", "subflow")}
        by_rank = [name for name in shown_steps if not unseen or name not in wanted]
        assert len(by_rank) <= 8 <= len(shown_steps) <= 8 + unseen * len(wanted)
        assert statistics.mean(place[name] for name in by_rank) < len(steps) / 3, example.id


def names_in(line: str) -> tuple[str, list[str]]:
    """The kind of an offered line, and the names in it: its own, and those of columns or inputs."""
    kind, _, rest = line.partition(" ")
    return kind, [part.split(" ")[0] for part in rest.split(" | ")]


def renamed(before: Pair, after: Pair) -> tuple[dict[tuple[str, str], str], dict[str, str]]:
    """Kind and old name to new name of the steps and tables that a prompt offers, by their places; and from every new
    name, columns included, back to the old one."""
    things, back = {}, {}
    for old, new in zip(shown(before).splitlines(), shown(after).splitlines(), strict=True):
        (kind, olds), (_, news) = names_in(old), names_in(new)
        things[kind, olds[0]] = news[0]
        for a, b in zip(olds, news, strict=True) if kind == "table" else [(olds[0], news[0])]:
            assert a == b or back.setdefault(b, a) == a, f"{before.id}: {a} and {back[b]} became one name, {b}"
    return things, back


def name_for_name(text: str, names: dict[str, str]) -> str:
    """The text with whole names replaced, the longer before the shorter."""
    longest = sorted(names, key=len, reverse=True)
    pattern = "|".join(map(re.escape, longest))
    return re.sub(rf"(?<!\w)(?:{pattern})(?!\w)", lambda found: names[found[0]], text) if names else text


def test_exchanged_names_are_the_same_in_prompt_and_answer(taught, catalogues):
    """Renamed back, the answer is the one that it was; the steps and tables in it are called as in the prompt."""
    changed = 0
    for n, before in enumerate(pairs(taught, catalogues, Teaching(rename=0.0))):
        after = exchanged(before, random.Random(n))
        things, back = renamed(before, after)
        assert name_for_name(after.completion, back) == before.completion
        was, now = (catalogue_uses(from_outline(pair.completion)) for pair in (before, after))
        wanted = {(kind, things.get((kind, name), name)) for kind, name in was if kind != "column"}
        assert {use for use in now if use[0] != "column"} == wanted, before.id
        requirement = [pair.messages[-1]["content"].partition("\nRequirement: ")[2] for pair in (before, after)]
        assert requirement[0] == requirement[1]
        changed += after.completion != before.completion
    assert changed > 0.9 * len(taught)


def test_names_are_exchanged_in_the_share_of_prompts_that_is_asked_for(taught, catalogues):
    plain = pairs(taught, catalogues, Teaching(rename=0.0))
    some = pairs(taught, catalogues, Teaching(unseen=1.0, rename=0.5))
    other = sum(a.completion != b.completion for a, b in zip(plain, some, strict=True))
    assert 0.25 * len(taught) < other < 0.75 * len(taught)


def test_a_line_to_complete_has_the_names_of_its_outline(taught, catalogues):
    """In the decomposed strategy the outline so far stands in the prompt; it must not keep the old names."""
    for n, before in enumerate(pairs(taught[:20], catalogues, Teaching(strategy="decomposed", rename=0.0))):
        after = exchanged(before, random.Random(n))
        _, back = renamed(before, after)
        old, new = (pair.messages[-1]["content"].rpartition("\nWorkflow:")[2] for pair in (before, after))
        assert name_for_name(new, back) == old
        place = re.search(r"component (\d+)", new)
        if place:
            step = after.completion.partition(" | ")[0].partition(" ")[2]
            assert re.search(rf"^ *{place[1]} {re.escape(step)}$", new, re.MULTILINE), before.id


def test_a_model_can_be_trained_without_suggestions(taught, catalogues):
    for pair in pairs(taught, catalogues, Teaching(offered=False, rename=0.5)):
        assert pair.messages[-1]["content"].startswith("Requirement: ")


@pytest.mark.parametrize("prompt", ["outline", "json"])
def test_the_stages_of_the_decomposed_strategy_put_together_give_the_flow(prompt, taught, catalogues):
    for example in taught[:12]:
        catalogue = catalogues[example.domain]
        outline, *rest = pairs([example], catalogues, Teaching(prompt=prompt, strategy="decomposed", rename=0.0))
        spec = SystemSpec(name="s", model="slm/x", prompt=prompt)
        task = Task(spec, "x", example.requirement, [], [], catalogue)
        assert read_flow(outline.completion, prompt, task).flow == example.flow.without_inputs()
        steps = [step for step in (example.flow.trigger, *example.flow.components) if step and step.inputs]
        for step, made in zip(steps, rest, strict=True):
            assert read_inputs(made.completion, prompt, step, task) == step.inputs


def test_examples_of_an_unknown_domain_are_named(taught):
    with pytest.raises(ValueError, match=f"example {taught[0].id}: expected a catalogue for its domain"):
        pairs(taught[:1], {})


class Letters:
    """A tokenizer of one token per character, with a token that ends an answer and no template."""

    eos_token_id, bos_token_id, chat_template, name_or_path = 1, None, None, "letters"

    def __call__(self, text, add_special_tokens=True):
        return {"input_ids": [ord(letter) for letter in text]}

    def apply_chat_template(self, messages, **_):
        return "".join(message["content"] for message in messages)

    def decode(self, ids):
        return "".join("<end>" if token == 1 else chr(token) for token in ids)


def said(id_: str, prompt: str, answer: str) -> Pair:
    return Pair(id_, [{"role": "user", "content": prompt}], answer)


def test_only_the_answer_counts():
    ready = prepare([[said("a", "ask", "yes"), said("b", "ask me", "no")]], Letters(), 100)
    by_length = sorted(ready.rows, key=lambda row: len(row["input_ids"]))
    assert [row["completion_mask"] for row in by_length] == [[0] * 3 + [1] * 4, [0] * 6 + [1] * 3]
    assert all(row["input_ids"][-1] == 1 for row in ready.rows)
    assert ready.tokens == 16 and ready.truncated == 0 and (ready.trainable[0], ready.trainable[2]) == (3, 4)
    assert ready.sample == "ask>>>yes<end><<<"


def test_cut_answers_are_counted():
    ready = prepare([[said("a", "ask", "a long answer"), said("b", "ask", "no")]], Letters(), 8)
    assert ready.truncated == 0.5 and max(len(row["input_ids"]) for row in ready.rows) == 8


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ([], "expected at least one example, got none"),
        ([said("r7", "a prompt that fills all", "x")], r"example r7 \(23 tokens\): expected a prompt below 10 tokens"),
        ([said("r8", "ask", " \n")], "example r8: expected an answer with at least one token"),
        ([said(f"r{n}", "a prompt of some length", "x") for n in range(5)], r"\(23 tokens\) and 2 more: expected"),
    ],
)
def test_nothing_to_learn_from_is_an_error_that_names_examples(found, message):
    with pytest.raises(TrainingError, match=message):
        prepare([found], Letters(), 10)


def test_batches_are_of_like_length_and_nothing_is_lost():
    rng = random.Random(0)
    passes = [[said(f"{p}-{n}", "q" * rng.randint(1, 400), chr(200 + p)) for n in range(130)] for p in range(2)]
    ready = prepare(passes, Letters(), 1000, batch=4, seed=3)
    texts = Counter(tuple(row["input_ids"]) for row in ready.rows)
    wanted = [f"{pair.messages[0]['content']}{pair.completion}\1" for found in passes for pair in found]
    assert texts == Counter(tuple(map(ord, text)) for text in wanted)
    first, second = ({chr(row["input_ids"][-2]) for row in part} for part in (ready.rows[:130], ready.rows[130:]))
    assert (first, second) == ({chr(200)}, {chr(201)}), "pass by pass"
    lengths = [len(row["input_ids"]) for row in ready.rows[:64]]
    spread = [max(lengths[n : n + 4]) - min(lengths[n : n + 4]) for n in range(0, 64, 4)]
    assert sum(spread) / len(spread) < 50, "a quarter of what chance gives"
    assert lengths != sorted(lengths) and lengths != sorted(lengths, reverse=True)
    assert prepare(passes, Letters(), 1000, batch=4, seed=3).rows == ready.rows
    assert prepare(passes, Letters(), 1000, batch=4, seed=4).rows != ready.rows


def test_rates_are_those_of_method_and_size():
    sizes = (135_000_000, 1_700_000_000, 12_000_000_000)
    full, lora, qlora = ([usual_rate(method, size) for size in sizes] for method in ("full", "lora", "qlora"))
    assert full == [4e-4, 1e-4, 2e-5] and lora == qlora == [3e-3, 1e-3, 2e-4]


OTHER_RECIPE = {
    "method": "full", "lora": Lora(8, 16), "epochs": 9.0, "steps": 9, "rate": 9.0, "batch": 9, "context": 99,
    "prompt_weight": 0.5, "neftune": 5.0, "average": True, "seed": 9,
}  # fmt: skip
NOT_LEARNT = {"engine": "trl", "max_minutes": 9.0, "evaluations": 9, "patience": 9, "judged": 9, "reloads": 9}
OTHER_TEACHING = {
    "k": 3, "prompt": "json", "strategy": "decomposed", "redraw": False, "unseen": 0.1, "rename": 0.9, "voice": 0.9,
    "offered": False,
}  # fmt: skip


def test_an_adapter_is_known_by_all_that_made_it_and_by_nothing_else(taught, catalogues, tmp_path):
    few = taught[:4]
    prompt = tmp_path / "mine.md"
    prompt.write_text("---\nreads: outline\n---\n## whole / user\n{{ requirement }}\n")

    def key(base=BASE, examples=few, shelves=catalogues, recipe=None, teaching=None, rankers=None):
        return training_key(base, examples, shelves, recipe or Recipe(), teaching or Teaching(), rankers)

    usual, mine = key(), key(teaching=Teaching(prompt=str(prompt)))
    assert OTHER_RECIPE.keys() | NOT_LEARNT.keys() == set(Recipe._fields)
    assert OTHER_TEACHING.keys() == set(Teaching._fields)
    prompt.write_text(prompt.read_text() + "Write a flow.\n")
    reworded = few[0].model_copy(update={"requirement": "other words"})
    domain = few[0].domain
    shelves = {**catalogues, domain: catalogues[domain].model_copy(update={"actions": {}})}
    others = {
        "base": key(BASE._replace(sha256="2" * 64)), "fewer": key(examples=few[:3]),
        "reworded": key(examples=[reworded, *few[1:]]), "catalogue": key(shelves=shelves), "own prompt": mine,
        "rankers": key(rankers={domain: Backwards(catalogues[domain])}),
        "prompt file": key(teaching=Teaching(prompt=str(prompt))),
        **{name: key(recipe=Recipe(**{name: value})) for name, value in OTHER_RECIPE.items()},
        **{name: key(teaching=Teaching(**{name: value})) for name, value in OTHER_TEACHING.items()},
    }  # fmt: skip
    assert len({usual, *others.values()}) == len(others) + 1, "each is another"
    assert {key(recipe=Recipe(**{name: value})) for name, value in NOT_LEARNT.items()} == {usual}
    assert key(examples=few[::-1]) == usual == key(BASE._replace(source="/elsewhere"))


def test_the_grammar_takes_every_reference_of_dev_and_no_step_that_was_not_offered(corpus, catalogues):
    taken = 0
    for example in corpus:
        if example.split not in ("dev", "dev_ood"):
            continue
        catalogue = catalogues[example.domain]
        pattern = re.compile(outline_grammar(retrieve("oracle", example, catalogue, 8), catalogue))
        for flow in example.references:
            outline = to_outline(flow, numbered=True)
            assert pattern.fullmatch(outline), f"{example.id}\n{outline}"
            assert not pattern.fullmatch(f"{outline}\n{flow.steps + 1} action invented_step"), example.id
            taken += 1
    assert taken > 500


def test_the_grammar_holds_names_and_leaves_values_free(catalogue):
    def suggested(*names):
        return [Suggestion(kind=kind, name=name) for kind, name in (name.split(" ") for name in names)]

    held = suggested("trigger daily", "action send_email", "subflow close_with_children")
    good = "trigger daily | time = 8\n1 IF | condition = a=b\n  2 action send_email | to = Ann, „x“ | body = {{step.1}}"
    pattern = re.compile(outline_grammar(held, catalogue))
    assert pattern.fullmatch(good) and pattern.fullmatch("trigger daily\n1 subflow close_with_children")
    for old, new in (
        ("trigger daily", "trigger weekly"), ("send_email", "send_mail"), ("send_email", "create_record"),
        ("| to =", "| cc ="), ("1 IF", "IF"), ("IF", "WHEN"), ("  2", " 2"), ("\n1", "\n\n1"),
    ):  # fmt: skip
        assert not pattern.fullmatch(good.replace(old, new)), new
    nothing = re.compile(outline_grammar([], catalogue))
    assert nothing.fullmatch("trigger weekly | day = monday\n1 action x_acme.page_rota | rota = net\n2 subflow tidy")
    assert not nothing.fullmatch("action send_email") and not nothing.fullmatch("trigger weekly\n1 table task")


def test_a_form_is_read_from_what_a_call_asks_for():
    assert form_of(None) is None and form_of({"type": "text"}) is None
    assert form_of({"type": "grammar", "value": "a+"}) == ("regex", "a+")
    assert form_of({"type": "json_object"}) == ("schema", '{"type": "object"}')
    schema = {"type": "json_schema", "json_schema": {"name": "flow", "schema": {"type": "array"}}}
    assert form_of(schema) == ("schema", '{"type": "array"}')


def test_the_default_study_finds_the_shipped_adapter_in_whatever_order_its_examples_come(tmp_path):
    """A key that no study has would train for an hour what lies in the library."""
    study = load_study(ROOT / "study.yaml")
    recipe, variant = study.tuned()
    ready = prepare_corpus("shipped", {"train": None}, study.seed)
    for examples in (ready.examples, ready.examples[::-1]):
        train = [example for example in examples if example.split == "train"]
        rankers = run_rankers(
            ["trained"], tmp_path, train, ready.catalogues, seed=study.seed, encoder=study.retrieval.encoder
        )
        teaching = variant.teaching(study.retrieval.suggestions)
        key = training_key(find_base(study.fine_tune.base), train, ready.catalogues, recipe, teaching, rankers)
        assert find(key) == SHIPPED
