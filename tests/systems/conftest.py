"""Fixtures of the systems tests: a loopback server, a tiny world of one catalogue and a few examples, a tiny model."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from loopback import Server

from flowstudy.corpus.example import Example
from flowstudy.flows.catalogue import Catalogue, ColumnDef, InputDef, StepDef, TableDef
from flowstudy.flows.schema import Component, Flow, Input, Trigger


@pytest.fixture
def server():
    with Server() as running:
        yield running


@pytest.fixture(autouse=True)
def keys(monkeypatch):
    """Keys of no worth, so that LiteLLM finds what it looks for."""
    for name in ("OPENAI", "ANTHROPIC", "GEMINI", "MISTRAL", "DEEPSEEK"):
        monkeypatch.setenv(f"{name}_API_KEY", f"{name.lower()}-key-for-tests-0123456789")


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return Catalogue(
        name="office",
        triggers={
            "daily": StepDef(description="Every day at a time", inputs={"time": InputDef()}),
            "record_create": StepDef(
                description="A record is created",
                inputs={"table": InputDef(type="table", required=True), "condition": InputDef(type="query")},
            ),
        },
        actions={
            "create_record": StepDef(
                description="Create a record",
                inputs={"table": InputDef(type="table"), "values": InputDef(type="values")},
            ),
            "send_email": StepDef(
                description="Send an e-mail", inputs={"to": InputDef(required=True), "body": InputDef()}
            ),
            "x_acme.page_rota": StepDef(
                description="Page whoever is on call", inputs={"rota": InputDef(type="choice", choices=["net", "db"])}
            ),
        },
        subflows={"close_with_children": StepDef(description="Close a record and its children", inputs={})},
        tables={
            "task": TableDef(label="Task", columns={"priority": ColumnDef(label="Priority", choices={"1": "High"})}),
            "incident": TableDef(label="Incident", columns={"state": ColumnDef(label="State"), "caller": ColumnDef()}),
        },
    )  # fmt: skip


@pytest.fixture(scope="session")
def flow() -> Flow:
    return Flow(
        trigger=Trigger(
            type="record_create",
            inputs=[Input(name="table", value="task"), Input(name="condition", value="priority=1")],
        ),
        components=[
            Component(definition="page_rota", scope="x_acme", order=1, inputs=[Input(name="rota", value="net")]),
            Component(definition="send_email", order=2, inputs=[Input(name="to", value="Ann")]),
        ],
    )


@pytest.fixture(scope="session")
def train(flow) -> list[Example]:
    other = Flow(trigger=Trigger(type="daily"), components=[Component(definition="create_record", order=1)])
    texts = ["When a task is created, page the network rota and e-mail Ann", "Create a record every day", "Mail her"]
    flows = [flow, other, flow]
    return [
        Example(id=f"train-{n}", requirement=text, references=[f], domain="office", split="train")
        for n, (text, f) in enumerate(zip(texts, flows, strict=True))
    ]


@pytest.fixture(scope="session")
def examples(flow) -> list[Example]:
    text = "Page the network people when a task of high priority is created, number {}"
    return [Example(id=f"test-{n}", requirement=text.format(n), references=[flow], domain="office") for n in range(8)]


@pytest.fixture(scope="session")
def smollm2():
    """The real base, converted once into the cache."""
    from flowstudy.systems.slm.bases import find_base

    return find_base("smollm2")


@pytest.fixture(scope="session")
def tiny(smollm2, tmp_path_factory) -> Path:
    """A Llama of random weights (two layers, tied embeddings, grouped keys) with the tokenizer of the real base. Its
    weights are large enough for its greedy answers not to hang on the last bit."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=49152, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=2048, tie_word_embeddings=True, initializer_range=0.3,
        bos_token_id=1, eos_token_id=2, pad_token_id=2,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("tiny")
    LlamaForCausalLM(config).save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\nRandom weights.\n")
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copyfile(Path(smollm2.source) / name, folder / name)
    return folder
