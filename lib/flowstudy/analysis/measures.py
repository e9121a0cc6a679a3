"""The measures of a prediction: what each is called, its unit, and which direction is better."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple


class Measure(NamedTuple):
    """`better` is the good direction; `unit` is "" for a score from 0 to 1 (1 is perfect)."""

    title: str
    better: Literal["higher", "lower"] = "higher"
    unit: str = ""

    @property
    def axis(self) -> str:
        """Axis title with its unit."""
        return f"{self.title} ({self.unit or '0 to 1'})"


class Value(NamedTuple):
    """A measured value, with its reason where there is one; NaN always has one."""

    value: float
    reason: str = ""


#: Whether an answer is right (`analysis.rightness`); FlowSim as published (StarFlow, arXiv 2503.21889; first reference
#: only) and our strict reading of it (best of all references); TreeBLEU, trigger and component match as published
#: there; then faults against the catalogue, validity, cost and time.
MEASURES: Final[dict[str, Measure]] = {
    "right": Measure("right as it is"),
    "right_or_nearly": Measure("right, or nearly: at most two corrections"),
    "valid_but_wrong": Measure("valid but wrong", "lower"),
    "behaviour_same": Measure("does the same as a reference"),
    "behaviour_agree": Measure("situations in which it does the same"),
    "dangling": Measure("references to nothing", "lower", "references per answer"),
    "corrections": Measure("corrections to the closest reference", "lower", "corrections per answer"),
    "flow_sim_no_inputs": Measure("FlowSim without inputs"),
    "flow_sim_with_inputs": Measure("FlowSim with inputs"),
    "strict_no_inputs": Measure("strict FlowSim without inputs"),
    "strict_with_inputs": Measure("strict FlowSim with inputs"),
    "strict_first_reference": Measure("strict FlowSim with inputs, first reference only"),
    "similar_with_inputs": Measure("strict FlowSim with inputs, similar strings count in part"),
    "tree_bleu": Measure("TreeBLEU with inputs"),
    "trigger_match": Measure("trigger match"),
    "component_match": Measure("component match"),
    "valid_raw": Measure("valid as written"),
    "valid_repaired": Measure("valid after named repairs"),
    "invented_steps": Measure("invented steps, share of steps", "lower"),
    "invented_tables": Measure("invented tables, share of tables used", "lower"),
    "invented_columns": Measure("invented columns, share of columns used", "lower"),
    "cost_usd": Measure("cost per request", "lower", "US dollars"),
    "api_usd": Measure("paid to providers per request", "lower", "US dollars"),
    "local_s": Measure("time of our own models per request", "lower", "seconds"),
    "latency_s": Measure("latency per request", "lower", "seconds"),
    "prompt_tokens": Measure("prompt tokens per request", "lower", "tokens"),
    "completion_tokens": Measure("completion tokens per request", "lower", "tokens"),
}

#: 1 for every prediction that is an answer, 0 for one that is not (provider error, budget): counted, never scored.
ANSWERED: Final = "answered"
#: Decisions rest on the strict convention; the published one stands beside it in every table.
PRIMARY: Final = "strict_with_inputs"
RIGHT: Final = "right"
OUTLINE: Final = "strict_no_inputs"
#: Which reference an answer is closest to in what it does (0 the first): stored with the scores, never averaged.
CLOSEST: Final = "closest_reference"
#: What an answer without a flow gets: 0 for these, undefined for the faults.
QUALITY: Final = (
    "right", "right_or_nearly", "behaviour_same", "behaviour_agree", "flow_sim_no_inputs", "flow_sim_with_inputs",
    "strict_no_inputs", "strict_with_inputs", "strict_first_reference", "similar_with_inputs", "tree_bleu",
    "trigger_match", "component_match",
)  # fmt: skip


def title(measure: str) -> str:
    """What people read for a measure; the name itself for one that is not ours."""
    return MEASURES[measure].title if measure in MEASURES else measure.replace("_", " ")
