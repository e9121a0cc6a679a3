"""Token ids for each chat template that we name: what is learnt is the answer and its end, after exactly the prompt
that is asked later.

The tokenizer of SmolLM2 is the real one. Those of the other families are small ones with the same special tokens and
the template as it was published.
"""

from __future__ import annotations

import json
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace

import pytest

from flowstudy.systems.slm import engine as engines
from flowstudy.systems.slm.data import Pair
from flowstudy.systems.slm.generate import Completion
from flowstudy.systems.slm.prepare import TrainingError, prepare
from flowstudy.systems.slm.template import TemplateError, end_token, prompt_ids, prompt_text, template_hash
from flowstudy.systems.slm.tokenizer import load_tokenizer

QWEN3 = r"""
{%- if messages[0].role == 'system' %}{{- '<|im_start|>system\n' + messages[0].content + '<|im_end|>\n' }}{%- endif %}
{%- set ns = namespace(last_query_index=messages|length - 1) %}
{%- for message in messages %}
    {%- if message.role == "user" %}{%- set ns.last_query_index = loop.index0 %}{%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.role == "user" or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>' + '\n' }}
    {%- elif message.role == "assistant" %}
        {%- set content = message.content %}
        {%- set reasoning_content = '' %}
        {%- if message.reasoning_content is string %}
            {%- set reasoning_content = message.reasoning_content %}
        {%- elif '</think>' in content %}
            {%- set reasoning_content = content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query_index and (loop.last or reasoning_content) %}
            {{- '<|im_start|>' + message.role + '\n<think>\n' + reasoning_content.strip('\n') + '\n</think>\n\n' }}
            {{- content.lstrip('\n') }}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\n' + content }}
        {%- endif %}
        {{- '<|im_end|>\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\n\n</think>\n\n' }}{%- endif %}
{%- endif %}
"""
NEMO = r"""
{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- for message in loop_messages %}
    {%- if (message["role"] == "user") != (loop.index0 % 2 == 0) %}
        {{- raise_exception("After the optional system message, conversation roles must alternate") }}
    {%- endif %}
{%- endfor %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST]" + system_message + "\n\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST]" + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" %}
        {{- message["content"] + eos_token }}
    {%- else %}
        {{- raise_exception("Only user and assistant roles are supported!") }}
    {%- endif %}
{%- endfor %}
"""
GEMMA3 = r"""
{{- bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- set first_user_prefix = messages[0]['content'] + '\n\n' -%}
    {%- set loop_messages = messages[1:] -%}
{%- else -%}
    {%- set first_user_prefix = "" -%}
    {%- set loop_messages = messages -%}
{%- endif -%}
{%- for message in loop_messages -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{ raise_exception("Conversation roles must alternate user/assistant/user/assistant/...") }}
    {%- endif -%}
    {%- if (message['role'] == 'assistant') -%}
        {%- set role = "model" -%}
    {%- else -%}
        {%- set role = message['role'] -%}
    {%- endif -%}
    {{ '<start_of_turn>' + role + '\n' + (first_user_prefix if loop.first else "") }}
    {{- message['content'] | trim }}
    {{- '<end_of_turn>\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{ '<start_of_turn>model\n' }}
{%- endif -%}
"""
#: The template of the same family a version earlier, which takes no system message.
GEMMA2 = r"""
{{- bos_token }}
{%- if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}
{%- for message in messages %}
    {%- set role = 'model' if message['role'] == 'assistant' else message['role'] %}
    {{- '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}
"""
#: Name, template, config, special tokens, which of them begins a text, ends one, and how spaces are written.
_GEMMA = (["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"], "<bos>", "<eos>")
FAMILIES = {
    "qwen3": (QWEN3, "qwen3", ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], None, "<|im_end|>"),
    "mistral-nemo": (NEMO, "mistral", ["<unk>", "<s>", "</s>", "[INST]", "[/INST]"], "<s>", "</s>"),
    "gemma3": (GEMMA3, "gemma3_text", *_GEMMA),
    "gemma2": (GEMMA2, "gemma2", *_GEMMA),
    "no template": (None, "llama", ["<unk>", "<s>", "</s>"], "<s>", "</s>"),
}
#: What the family's template makes of a system message S and a user message U, by hand.
WRITTEN = {
    "smollm2": "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\n",
    "qwen3": "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\n"
    "<think>\n\n</think>\n\n",
    "mistral-nemo": "<s>[INST]S\n\nU[/INST]",
    "gemma3": "<bos><start_of_turn>user\nS\n\nU<end_of_turn>\n<start_of_turn>model\n",
    "gemma2": "<bos><start_of_turn>user\nS\n\nU<end_of_turn>\n<start_of_turn>model\n",
    "no template": "<s>### System\nS\n\n### User\nU\n\n### Assistant\n",
}
ENDS = {
    "smollm2": "<|im_end|>", "qwen3": "<|im_end|>", "mistral-nemo": "</s>", "gemma3": "<end_of_turn>",
    "gemma2": "<end_of_turn>", "no template": "</s>",
}  # fmt: skip
ASKED = [
    {"role": "system", "content": "You write workflows."},
    {"role": "user", "content": "action page_rota | rota net/db\nRequirement: „Dienst“, it's urgent .\nWorkflow:"},
]
ANSWER = "trigger daily | time = 8 .\n1 IF | condition = priority=1\n  2 action page_rota | rota = net # it's now !"


def make_tokenizer(family: str, folder: Path) -> Path:
    """A tokenizer folder with a config beside it, as a base of the family has it."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    template, kind, special, begin, end = FAMILIES[family]
    if family.startswith("gemma"):  # pieces of characters and bytes, a space written as ▁
        pieces = [*special, *(f"<0x{n:02X}>" for n in range(256)), "▁", *map(chr, range(33, 127)), "\n"]
        model = models.BPE(vocab={piece: n for n, piece in enumerate(pieces)}, merges=[], unk_token="<unk>",
                           fuse_unk=True, byte_fallback=True)  # fmt: skip
        made = Tokenizer(model)
        made.normalizer = normalizers.Replace(" ", "▁")
        made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    else:
        letters = sorted(pre_tokenizers.ByteLevel.alphabet())
        pieces = [*special, *letters, "ĊĊ", "in"]
        model = models.BPE(vocab={piece: n for n, piece in enumerate(pieces)}, merges=[("Ċ", "Ċ"), ("i", "n")])
        made = Tokenizer(model)
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.decoder = decoders.ByteLevel()
    made.add_special_tokens(special)
    if family == "qwen3":
        made.add_tokens(["<think>", "</think>"])
    if begin is not None:
        single = (begin, made.token_to_id(begin))
        made.post_processor = processors.TemplateProcessing(single=f"{begin} $A", special_tokens=[single])
    whole = PreTrainedTokenizerFast(tokenizer_object=made, bos_token=begin, eos_token=end, chat_template=template)
    whole.save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": kind, "transformers_version": "4.44.0"}))
    return folder


@pytest.fixture(scope="module", params=["smollm2", *FAMILIES])
def family(request, tmp_path_factory):
    """(name, tokenizer) of one family."""
    name = request.param
    if name == "smollm2":
        folder = Path(request.getfixturevalue("smollm2").source)
    else:
        folder = make_tokenizer(name, tmp_path_factory.mktemp("tokenizer"))
    return name, load_tokenizer(folder, local_files_only=True)


def test_the_prompt_is_the_family_s_own_template(family):
    name, tokenizer = family
    messages = [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}]
    assert tokenizer.decode(prompt_ids(tokenizer, messages)) == WRITTEN[name]


def test_the_prompt_is_masked_and_the_answer_is_learnt_with_its_end(family):
    name, tokenizer = family
    (row,) = prepare([[Pair("e", ASKED, ANSWER)]], tokenizer, 4096).rows
    ids, mask = row["input_ids"], row["completion_mask"]
    prompt = mask.index(1)
    assert mask == [0] * prompt + [1] * (len(ids) - prompt)
    begin = tokenizer.bos_token if tokenizer.chat_template is None else ""
    assert tokenizer.decode(ids[:prompt]) == begin + prompt_text(tokenizer, ASKED)
    assert tokenizer.decode(ids[prompt:-1]) == ANSWER
    assert ids[-1] == end_token(tokenizer) == tokenizer.convert_tokens_to_ids(ENDS[name])


def test_no_text_begins_twice(family):
    name, tokenizer = family
    (row,) = prepare([[Pair("e", ASKED, ANSWER)]], tokenizer, 4096).rows
    begin = tokenizer.bos_token_id
    if name == "smollm2":  # its token for the beginning begins each turn as well
        assert row["input_ids"][0] == begin != row["input_ids"][1]
    else:
        assert row["input_ids"].count(begin) == (0 if begin is None else 1)
        assert begin is None or row["input_ids"][0] == begin


def test_what_is_asked_is_what_was_trained_on(family, monkeypatch):
    """Both engines, with a model that only listens."""
    _, tokenizer = family
    (row,) = prepare([[Pair("e", ASKED, ANSWER)]], tokenizer, 4096).rows
    trained = row["input_ids"][: row["completion_mask"].index(1)]
    heard = []

    def listen(model, tokenizer, prompts, most, **_):
        heard.extend(prompts)
        return [Completion("", "stop", len(ids), 1, -0.1) for ids in prompts]

    monkeypatch.setattr(engines, "generate", listen)
    loop = engines.TransformersEngine.__new__(engines.TransformersEngine)
    loop.model = SimpleNamespace(config=SimpleNamespace(max_position_embeddings=4096))
    loop.tokenizer, loop.waiting = tokenizer, []
    loop.start(engines.Job(ASKED, 9, 0.0, 0, None, Future()))
    loop.step()
    vino = engines.OpenVinoEngine.__new__(engines.OpenVinoEngine)
    vino.tokenizer, vino.end, vino.context, vino.running, vino.count = tokenizer, end_token(tokenizer), 4096, {}, 0
    vino.genai = SimpleNamespace(GenerationConfig=SimpleNamespace)
    vino.pipe = SimpleNamespace(add_request=lambda _, tensor, config: heard.append((tensor.data.tolist(), config)))
    vino.start(engines.Job(ASKED, 9, 0.0, 0, None, Future()))
    (ids,), config = heard.pop()
    assert heard == [trained] and ids == trained
    assert config.stop_token_ids == {end_token(tokenizer)} and config.apply_chat_template is False


def test_another_template_has_another_hash(family):
    _, tokenizer = family
    before = template_hash(tokenizer)
    kept = tokenizer.chat_template
    try:
        tokenizer.chat_template = "{% for m in messages %}({{ m['content'] }}){% endfor %}"
        assert template_hash(tokenizer) != before
    finally:
        tokenizer.chat_template = kept
    assert template_hash(tokenizer) == before


@pytest.mark.parametrize("template", ["{{ raise_exception('no') }}", "{% for m in messages %}", "{{ nobody.says }}"])
def test_a_template_that_cannot_be_rendered_names_the_model(template, tmp_path):
    folder = make_tokenizer("qwen3", tmp_path / "odd-model")
    (folder / "chat_template.jinja").write_text(template)
    tokenizer = load_tokenizer(folder)
    with pytest.raises(TemplateError, match=r"chat template of .*odd-model: expected one that renders"):
        prompt_ids(tokenizer, ASKED)
    with pytest.raises(TrainingError, match=r"chat template of .*odd-model"):
        prepare([[Pair("e", ASKED, ANSWER)]], tokenizer, 4096)


def test_a_tokenizer_that_cannot_end_an_answer_is_refused(tmp_path):
    tokenizer = load_tokenizer(make_tokenizer("no template", tmp_path))
    tokenizer.eos_token = None
    with pytest.raises(TrainingError, match="expected an end token, got none"):
        prepare([[Pair("e", ASKED, ANSWER)]], tokenizer, 4096)


def big_tokenizer(folder: Path, kind: str) -> Path:
    """Above the size of vocabulary from which transformers looks for the faulty splitting."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = ["</s>", *letters, *(f"piece{n}" for n in range(100_000))]
    made = Tokenizer(models.BPE(vocab={piece: n for n, piece in enumerate(pieces)}, merges=[]))
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(" ", "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    PreTrainedTokenizerFast(tokenizer_object=made, eos_token="</s>").save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": kind, "transformers_version": "4.44.0"}))
    return folder


def splits(tokenizer) -> list[str]:
    return [piece for piece, _ in tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str("12 CamelCase")]


def test_the_splitting_of_mistral_tokenizers_is_mended_and_stays_so_beside_an_adapter(tmp_path):
    folder = big_tokenizer(tmp_path / "nemo", "mistral")
    mended = load_tokenizer(folder, local_files_only=True)
    assert splits(mended)[:2] == ["1", "2"], "digit by digit, as the models were trained"
    mended.save_pretrained(tmp_path / "adapter")
    again = load_tokenizer(tmp_path / "adapter", local_files_only=True)
    assert splits(again) == splits(mended)


def test_other_tokenizers_are_left_as_they_are(tmp_path):
    assert splits(load_tokenizer(big_tokenizer(tmp_path / "qwen", "qwen3"), local_files_only=True))[0] == "12"


def test_every_load_of_a_mistral_tokenizer_asks_for_the_mending(tmp_path, monkeypatch):
    """For training and for both ways of asking; the rest of each load is cut off."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from flowstudy.systems.slm.engines import Lora, load_base
    from flowstudy.systems.slm.loading import load_model

    folder, asked = make_tokenizer("mistral-nemo", tmp_path), []

    class Enough(Exception):
        pass

    def record(*_, **options):
        asked.append(options.get("fix_mistral_regex"))
        raise Enough

    monkeypatch.setattr(AutoTokenizer, "from_pretrained", record)
    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", lambda *_, **__: None)
    monkeypatch.setattr(engines, "_check_machine", lambda: None)
    for load in (
        lambda: load_base(str(folder), "full", "trl", Lora(), 0, 100),
        lambda: load_model(folder, device="cpu"),
        lambda: engines.OpenVinoEngine(folder, "origin.gguf"),
    ):
        with pytest.raises(Enough):
            load()
    assert asked == [True, True, True]
