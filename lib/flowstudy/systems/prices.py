"""What calls cost, from a dated file with a source per line. A price that is not in it is unknown, never zero."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, ValidationError

from flowstudy.systems import wire
from flowstudy.systems.capabilities import family_of
from flowstudy.systems.records import SystemSpec, is_recorded

if TYPE_CHECKING:
    import pandas as pd

PRICES: Final = Path(__file__).parent / "prices.yaml"
#: How providers name the tier without a surcharge or a discount; None: nothing was said.
STANDARD: Final = (None, "auto", "default", "standard", "on_demand", "standard_only")
PRICE_FIX: Final = "add a line with its source to systems/prices.yaml, or set max_cost_usd to null"


class Price(BaseModel):
    """US dollars per million tokens; `usd_per_hour` instead for a model that runs on a machine of one's own.

    `cache_write` is what prompt tokens cost that the provider stores; `tiers` are factors on all prices of a token
    (`batch`, `flex`, `priority`). `context` is the most tokens of prompt and answer together, None when not known. From
    the day `retires` on the model answers no more, or another one does; `replaced_by` is the provider's advice.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    input: float | None = Field(default=None, ge=0)
    cached_input: float | None = Field(default=None, ge=0)
    cache_write: float | None = Field(default=None, ge=0)
    output: float | None = Field(default=None, ge=0)
    tiers: dict[Literal["batch", "flex", "priority"], PositiveFloat] = Field(default_factory=dict)
    usd_per_hour: float | None = Field(default=None, ge=0)
    context: int | None = Field(default=None, ge=1)
    retires: datetime.date | None = None
    replaced_by: str = ""
    source: str
    date: str

    def tokens_usd(
        self, prompt: int | None, completion: int | None, cached: int = 0, stored: int = 0, tier: str | None = None
    ) -> float | None:
        """Cost of these tokens, of which `cached` were read from the provider's cache and `stored` written to it, in a
        service `tier`; None when a count or a price is not known."""
        factor = 1.0 if tier in STANDARD else self.tiers.get(tier)  # type: ignore[call-overload]
        if prompt is None or completion is None or self.input is None or self.output is None or factor is None:
            return None
        cached = min(cached, prompt)
        stored = min(stored, prompt - cached)
        read_usd = self.input if self.cached_input is None else self.cached_input
        write_usd = self.input if self.cache_write is None else self.cache_write
        asked_usd = (prompt - cached - stored) * self.input + cached * read_usd + stored * write_usd
        return factor * (asked_usd + completion * self.output) / 1e6

    def seconds_usd(self, seconds: float | None) -> float | None:
        """Cost of this much machine time; None when the time or the hourly price is not known."""
        return None if seconds is None or self.usd_per_hour is None else seconds * self.usd_per_hour / 3600


def load_prices(path: str | Path = PRICES) -> dict[str, Price]:
    """Prices by LiteLLM name, exactly as spelt; a name that ends in `*` stands for all that begin so.

    Raises ValueError naming the file and the model whose line is broken.
    """
    path = Path(path)
    return dict(_load(path, path.stat().st_mtime_ns))


@functools.lru_cache(maxsize=8)
def _load(path: Path, _mtime: int) -> dict[str, Price]:
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    prices, dated = {}, {"date": str(raw["date"])} if "date" in raw else {}
    for model, line in raw["prices"].items():
        try:
            prices[model] = Price.model_validate({**dated, **line})
        except (ValidationError, TypeError) as error:
            raise ValueError(
                f"price file {path}: {model}: expected input, output, source, date, got: {error}"
            ) from None
    return prices


def price_table(specs: Iterable[SystemSpec], prices: Mapping[str, Price] | None = None) -> pd.DataFrame:
    """What the models of these systems cost: model, input, cached_input, cache_write and output (US dollars per million
    tokens), batch (factor in the provider's batch interface, which is not used here), usd_per_hour, retires, source,
    date; one row per model that is called, `source` says so where the price is not known."""
    import pandas as pd

    known = load_prices() if prices is None else prices
    columns = ["model", "input", "cached_input", "cache_write", "output", "batch", "usd_per_hour", "retires", "source"]
    columns.append("date")
    rows = []
    models = {spec.known_as for spec in specs if "/" in spec.model and not is_recorded(spec.model)}
    for model in sorted(name for name in models if not name.startswith("hybrid/")):
        price = price_of(model, known) or Price(source="unknown: this model takes no part in cost comparisons", date="")
        shown = price.model_dump(include=set(columns))
        rows.append({"model": model, **shown, "batch": price.tiers.get("batch")})
    return pd.DataFrame(rows, columns=columns)


def price_of(model: str, prices: Mapping[str, Price] | None = None) -> Price | None:
    """The price of a model; None when it is unknown. A dated version has no price unless the file names it.

    >>> price_of("openai/gpt-4o-2099-01-01") is None
    True
    """
    known = load_prices() if prices is None else prices
    if model in known:
        return known[model]
    starts = [name for name in known if name.endswith("*") and model.startswith(name[:-1])]
    return known[max(starts, key=len)] if starts else None


def can_be_limited(model: str, base: str | None, price: Price | None) -> bool:
    """Whether `max_cost_usd` can be kept: the price is known, or the server is one's own and sends no bill."""
    family = family_of(model)
    own = (family is not None and family.local) or (base is not None and wire.is_loopback(base))
    return own or (price is not None and price.output is not None)
