"""What calls cost, from a dated file with a source per line. A price that is not in it is unknown, never zero."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from flowstudy.systems import wire
from flowstudy.systems.capabilities import family_of
from flowstudy.systems.records import SystemSpec

if TYPE_CHECKING:
    import pandas as pd

PRICES: Final = Path(__file__).parent / "prices.yaml"
PRICE_FIX: Final = "add a line with its source to systems/prices.yaml, or set max_cost_usd to null"


class Price(BaseModel):
    """US dollars per million tokens; `usd_per_hour` instead for a model that runs on a machine of one's own.

    `context` is the most tokens of prompt and answer together, None when not known.
    """

    model_config = ConfigDict(extra="forbid")

    input: float | None = Field(default=None, ge=0)
    cached_input: float | None = Field(default=None, ge=0)
    output: float | None = Field(default=None, ge=0)
    usd_per_hour: float | None = Field(default=None, ge=0)
    context: int | None = Field(default=None, ge=1)
    source: str
    date: str

    def tokens_usd(self, prompt: int | None, completion: int | None, cached: int = 0) -> float | None:
        """Cost of these tokens; None when a count or a price is not known."""
        if prompt is None or completion is None or self.input is None or self.output is None:
            return None
        cached = min(cached, prompt)
        cheap = self.input if self.cached_input is None else self.cached_input
        return ((prompt - cached) * self.input + cached * cheap + completion * self.output) / 1e6

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
    """What the models of these systems cost: model, input and output (US dollars per million tokens), usd_per_hour,
    source, date; one row per model that is called, `source` says so where the price is not known."""
    import pandas as pd

    known = load_prices() if prices is None else prices
    rows = []
    for model in sorted({spec.model for spec in specs if "/" in spec.model and not spec.model.startswith("hybrid/")}):
        price = price_of(model, known) or Price(source="unknown: this model takes no part in cost comparisons", date="")
        rows.append((model, price.input, price.output, price.usd_per_hour, price.source, price.date))
    return pd.DataFrame(rows, columns=["model", "input", "output", "usd_per_hour", "source", "date"])


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
