"""Can a system run here? If not, why, and the one line that would enable it."""

from __future__ import annotations

import datetime
import os
import socket
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from pydantic import AnyHttpUrl, TypeAdapter, ValidationError

from flowstudy.systems import wire
from flowstudy.systems.baselines import BASELINES
from flowstudy.systems.capabilities import ELSEWHERE, FAMILIES, Family, family_of
from flowstudy.systems.journal import JournalError
from flowstudy.systems.prices import PRICE_FIX, can_be_limited, price_of
from flowstudy.systems.prompts import PromptError, load_prompt
from flowstudy.systems.recorded import read_recorded
from flowstudy.systems.records import SystemSpec, is_recorded
from flowstudy.systems.secrets import looks_like_key

#: How long before its end a model is warned of.
NOTICE: Final = datetime.timedelta(days=60)
_ADDRESS: Final = TypeAdapter(AnyHttpUrl)


class Ready(NamedTuple):
    """The system can run; `reason` warns of what will end that soon."""

    ready: bool = True
    reason: str = ""
    fix: str = ""


class NotReady(NamedTuple):
    """The system cannot run; `fix` is one line to type or to change."""

    reason: str
    fix: str
    ready: bool = False


def readiness(
    spec: SystemSpec, *, max_cost_usd: float | None = None, training: int | None = None,
    today: datetime.date | None = None,
) -> Ready | NotReady:  # fmt: skip
    """Look for the provider, its key, its server, the prompt file, with `max_cost_usd` its price, and with `training`
    (how many training examples there are) what it learns from. A model that its provider has retired by `today` cannot
    run; of one that is about to, the reason says so. Sends nothing to any model."""
    if spec.model in BASELINES and training == 0:
        return NotReady("baseline needs training examples, the corpus has none", "give examples the split train")
    if spec.model in BASELINES:
        return Ready()
    if is_recorded(spec.model):
        try:
            read_recorded(spec.model)
        except (ValueError, JournalError) as error:
            return NotReady(str(error), f"correct the file that system {spec.name} names")
        return Ready()
    family = family_of(spec.model, spec.base_model)
    provider, _, name = spec.model.partition("/")
    if provider in ELSEWHERE:
        reason = f"{provider} signs its requests in a way of its own, which is not spoken here"
        return NotReady(reason, f"ask openai/{name} with api_base: {ELSEWHERE[provider]}, and key_env for its token")
    if family is None:
        known = ", ".join(dict.fromkeys(f.pattern.split("/")[0].replace("(_chat)?", "") for f in FAMILIES))
        reason = f"model {spec.model!r} names no known provider"
        return NotReady(reason, f"write provider/model, with a provider of {known}; openai/model with api_base "
                        "is any server that speaks the protocol of OpenAI")  # fmt: skip
    if family.names_deployments and spec.base_model is None:
        return NotReady(f"{spec.model} names a deployment, not a model",
                        f"say which it runs, as in base_model: openai/gpt-4o of system {spec.name}")  # fmt: skip
    try:
        prompt = load_prompt(spec.prompt)
    except PromptError as error:
        return NotReady(str(error), "choose a prompt family that exists")
    stages = {"whole"} if spec.strategy == "whole" else {"outline", "inputs"}
    lacking = (stages | ({"repair"} if spec.self_repair else set())) - prompt.stages()
    if lacking:
        reason = f"prompt {prompt.name} has no stage {', '.join(sorted(lacking))}"
        return NotReady(reason, "choose another prompt family")
    if spec.decoding == "grammar":
        if not spec.model.startswith("slm/") or spec.strategy != "whole" or prompt.reads != "outline":
            return NotReady("decoding grammar needs a small local model that writes an outline in one go",
                            'set decoding="free"')  # fmt: skip
    elif spec.decoding != "free" and prompt.reads != "json":
        return NotReady(f"decoding {spec.decoding} needs a prompt that asks for JSON, {prompt.name} does not",
                        'set decoding="free"')  # fmt: skip
    base = wire.base_of(family, spec.api_base)
    if base is not None and (problem := _not_an_address(base)):
        return NotReady(problem, f"write the base URL of system {spec.name} as http://host:port/v1")
    price, today = price_of(spec.known_as), today or datetime.date.today()
    own = spec.api_base is not None or family.local or (base is not None and wire.is_loopback(base))
    retires = None if price is None or own else price.retires
    if price is not None and retires is not None and retires <= today:
        advice = f"take {price.replaced_by}" if price.replaced_by else "take a current model"
        return NotReady(f"its provider retired {spec.model} on {retires}", f"{advice} in system {spec.name}")
    if max_cost_usd is not None and not can_be_limited(spec.model, base, price):
        return NotReady(f"no price is known for {spec.known_as}, so max_cost_usd cannot be kept", PRICE_FIX)
    longest_usd = 0.0 if price is None else price.tokens_usd(0, spec.most_tokens) or 0.0
    if max_cost_usd is not None and longest_usd > max_cost_usd:
        reason = f"one answer of {spec.most_tokens} tokens may cost {longest_usd:.2f} USD, more than max_cost_usd"
        return NotReady(reason, f"raise max_cost_usd, or lower max_tokens of system {spec.name}")
    state = _provider_ready(spec, family)
    if isinstance(state, Ready) and price is not None and retires is not None and retires - today <= NOTICE:
        advice = f"; it advises {price.replaced_by}" if price.replaced_by else ""
        return Ready(reason=f"its provider retires {spec.model} on {retires}{advice}")
    return state


def _provider_ready(spec: SystemSpec, family: Family) -> Ready | NotReady:
    if spec.model.startswith("slm/"):
        if wire.is_served(spec.model):
            return Ready()
        return NotReady(f"{spec.model} is not being served", "run the notebook 02_fine_tune first (make study does)")
    base = wire.base_of(family, spec.api_base)
    unset = [name for name in family.needs if not os.environ.get(name) and not (spec.api_base and name in family.bases)]
    if unset:
        names = " and ".join(unset)
        return NotReady(f"{family.name} needs {names}", " ".join(["export", *(f"{name}=..." for name in unset)]))
    if family.local and base is None:
        name = family.bases[0]
        return NotReady("no server is named", f"export {name}=http://127.0.0.1:8000/v1")
    if base is not None and wire.is_loopback(base) and not _listens(base):
        return NotReady(f"nothing listens at {base}", f"start that server, or change api_base of system {spec.name}")
    key = wire.key_of(family, base, own_base=spec.api_base is not None, key_env=spec.key_env)
    if spec.key_env and key in (None, "none"):
        return NotReady("the variable that key_env names is not set", f"set the key of system {spec.name} in it")
    if family.keys and not family.local and spec.api_base is None and key in (None, "none"):
        return NotReady(f"no key for {family.name}: {family.keys[0]} is not set", f"export {family.keys[0]}=...")
    if problem := wire.key_problem(key):
        name = spec.key_env or next(name for name in family.keys if os.environ.get(name, "").strip())
        return NotReady(f"{problem} ({name}); nothing was sent", f"export {name}=... with the key alone")
    return Ready()


def _not_an_address(url: str) -> str:
    """What is wrong with a base URL, which is not repeated where it may hold a password; empty when nothing is."""
    try:
        found = _ADDRESS.validate_python(url)
    except ValidationError as error:
        return f"{url!r} is no base URL: {error.errors()[0]['msg']}"
    secret = found.username or found.password or looks_like_key(url)
    return "the base URL holds a password or key: keys come from the environment only" if secret else ""


def _listens(url: str) -> bool:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        with socket.create_connection((parts.hostname or "localhost", port), timeout=1.0):
            return True
    except OSError:
        return False
