"""What each family of models takes, so that nothing is dropped in silence: requested and sent are compared.

The first family whose pattern matches the start of a LiteLLM name counts. Facts are from the providers' API
references and were tried against LiteLLM 1.106 on loopback servers.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

#: The small model of a run before fine-tuning.
UNTUNED: Final = "slm/base"


class Family(NamedTuple):
    """What a family of models takes, as sent by LiteLLM. `thinks`: they reason before they answer, in tokens that
    `max_tokens` counts. A number as `temperature` is the only one that they should be sent.

    `keys` are environment variables, any one of which is enough; `bases` those that move the base URL, and `base`
    is where it goes without them (None: LiteLLM's own default). `needs` are further variables, all of which must be
    set. `names_deployments`: what stands after the slash is a name of one's own. `cap` is the most calls in flight.
    `in_process`: a model in this process, which answers what waits as one batch.
    """

    name: str
    pattern: str
    temperature: bool | float = True
    seed: bool = True
    json_mode: bool = True
    schema: bool = True
    reasoning_effort: bool = False
    logprobs: bool = False
    service_tier: bool = False
    thinks: bool = False
    keys: tuple[str, ...] = ()
    bases: tuple[str, ...] = ()
    base: str | None = None
    needs: tuple[str, ...] = ()
    names_deployments: bool = False
    local: bool = False
    in_process: bool = False
    cap: int = 32
    timeout_s: float = 120.0

    def in_flight(self, wanted: int | None) -> int:
        """Calls at a time when `wanted` are asked for (None: as many as the family takes). A model in this process
        works on all that it takes together."""
        if wanted is None or self.in_process:
            return self.cap
        return max(1, min(wanted, self.cap))

    def limit_s(self, wanted: float | None) -> float:
        """Wall-clock limit of one attempt when `wanted` seconds are asked for; a batch has that of the family."""
        return self.timeout_s if self.in_process else wanted or self.timeout_s


_OPENAI: Final[dict[str, Any]] = {"keys": ("OPENAI_API_KEY",), "bases": ("OPENAI_BASE_URL", "OPENAI_API_BASE")}
_ANTHROPIC: Final[dict[str, Any]] = {
    "keys": ("ANTHROPIC_API_KEY",), "bases": ("ANTHROPIC_BASE_URL", "ANTHROPIC_API_BASE"), "seed": False,
    "json_mode": False,
}  # fmt: skip
_GEMINI: Final[dict[str, Any]] = {"keys": ("GEMINI_API_KEY", "GOOGLE_API_KEY"), "bases": ("GEMINI_API_BASE",)}

FAMILIES: Final = (
    Family("small local model", r"slm/", logprobs=True, local=True, in_process=True, cap=48, timeout_s=1800.0),
    Family("openai reasoning", r"openai/(o\d|gpt-([5-9]|\d\d))", temperature=False, seed=False, reasoning_effort=True,
           thinks=True, service_tier=True, **_OPENAI),
    Family("openai", r"openai/(gpt-|chatgpt-|ft:gpt-)", logprobs=True, service_tier=True, **_OPENAI),
    Family("openai-compatible", r"openai/", **_OPENAI),
    Family("anthropic with temperature", r"anthropic/claude-([123]|(sonnet|haiku|opus)-4(-[0-6])?(-20\d{6})?$)",
           **_ANTHROPIC),
    Family("anthropic", r"anthropic/", temperature=False, reasoning_effort=True, thinks=True, **_ANTHROPIC),
    Family("gemini without thinking", r"gemini/(gemini-(1|2\.0)|gemma)", **_GEMINI),
    Family("gemini 2.5", r"gemini/gemini-2\.5", reasoning_effort=True, thinks=True, **_GEMINI),
    Family("gemini", r"gemini/", temperature=1.0, reasoning_effort=True, thinks=True, **_GEMINI),
    Family("mistral reasoning", r"mistral/magistral", thinks=True, keys=("MISTRAL_API_KEY",),
           bases=("MISTRAL_API_BASE",)),
    Family("mistral", r"mistral/", keys=("MISTRAL_API_KEY",), bases=("MISTRAL_API_BASE",)),
    Family("deepseek reasoning", r"deepseek/deepseek-reasoner", temperature=False, seed=False, schema=False,
           thinks=True, keys=("DEEPSEEK_API_KEY",), bases=("DEEPSEEK_API_BASE",)),
    Family("deepseek", r"deepseek/", seed=False, schema=False, keys=("DEEPSEEK_API_KEY",),
           bases=("DEEPSEEK_API_BASE",)),
    Family("azure openai", r"azure/", keys=("AZURE_API_KEY",), bases=("AZURE_API_BASE",),
           needs=("AZURE_API_BASE", "AZURE_API_VERSION"), names_deployments=True),
    Family("openrouter", r"openrouter/", keys=("OPENROUTER_API_KEY",), bases=("OPENROUTER_API_BASE",)),
    Family("groq", r"groq/", keys=("GROQ_API_KEY",), bases=("GROQ_API_BASE",)),
    Family("vllm", r"hosted_vllm/", logprobs=True, keys=("HOSTED_VLLM_API_KEY",),
           bases=("HOSTED_VLLM_API_BASE",), local=True),
    Family("ollama", r"ollama(_chat)?/", bases=("OLLAMA_API_BASE",), base="http://127.0.0.1:11434", local=True, cap=4,
           timeout_s=600.0),
)  # fmt: skip


#: Providers whose requests are signed in ways of their own, and where they take the protocol of OpenAI.
ELSEWHERE: Final = {
    "bedrock": "https://bedrock-runtime.<region>.amazonaws.com/openai/v1",
    "vertex_ai": "https://aiplatform.googleapis.com/v1/projects/<project>/locations/global/endpoints/openapi",
}


def family_of(model: str, base_model: str | None = None) -> Family | None:
    """The family of a LiteLLM name such as `openai/gpt-4o`; None for a provider that is not in the table.

    With a `base_model`, the one that a deployment runs or a reseller passes on, the key and the way there are those of
    `model` and everything else is that of the `base_model`.
    """
    door = next((family for family in FAMILIES if re.match(family.pattern, model)), None)
    like = family_of(base_model) if base_model is not None else None
    if door is None or like is None:
        return door
    place = {name: getattr(door, name) for name in ("name", "keys", "bases", "base", "needs", "local", "in_process")}
    return like._replace(**place)


def suited(model: str) -> dict[str, Any]:
    """Settings of a model that is named without any: the small local ones write outlines, the untuned one after
    examples; one that thinks gets the prompt for it.

    >>> suited("openai/gpt-5-mini"), suited("openai/gpt-4o")
    ({'prompt': 'reasoning'}, {})
    """
    family = family_of(model)
    if family is None:
        return {}
    if model.startswith("slm/"):
        return {"prompt": "outline", "shots": 3 if model == UNTUNED else 0, "max_tokens": 640}
    return {"prompt": "reasoning"} if family.thinks else {}


def adapt(family: Family, requested: dict[str, Any]) -> dict[str, Any]:
    """The parameters to send out of those requested: what the family does not take is left out, nothing is guessed.

    `response_format` falls from a schema to JSON mode where only that exists. Compare the two to see the difference.
    """
    sent = dict(requested)
    for name in ("temperature", "seed", "reasoning_effort", "logprobs", "service_tier"):
        if not getattr(family, name):
            sent.pop(name, None)
    if isinstance(family.temperature, float):
        sent["temperature"] = family.temperature
    wanted = sent.get("response_format", {}).get("type")
    if wanted == "json_schema" and not family.schema:
        sent["response_format"] = {"type": "json_object"}
    if "response_format" in sent and not family.json_mode and sent["response_format"]["type"] == "json_object":
        del sent["response_format"]
    return sent
