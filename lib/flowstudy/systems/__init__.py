"""What turns a requirement into a workflow: retrieval, prompts, pipeline, models, baselines, journals."""

from flowstudy.systems.baselines import BASELINES, baseline, commonest_flow
from flowstudy.systems.budget import Budget
from flowstudy.systems.estimate import Estimate, estimate
from flowstudy.systems.journal import Journal, JournalError, read_predictions
from flowstudy.systems.neighbours import ExampleIndex, nearest_examples
from flowstudy.systems.offers import suggest_all
from flowstudy.systems.pipeline import answer
from flowstudy.systems.predict import plan, run_system
from flowstudy.systems.prices import Price, load_prices, price_of
from flowstudy.systems.readiness import NotReady, Ready, readiness
from flowstudy.systems.records import ANSWERS, Call, Prediction, Suggestion, SystemSpec
from flowstudy.systems.retries import Policy
from flowstudy.systems.retrieval import RetrieverError, needed, recall_at_k, retrieve
from flowstudy.systems.secrets import looks_like_key, redact
from flowstudy.systems.tasks import Task
from flowstudy.systems.trained import ranker_facts, run_rankers

__all__ = [
    "ANSWERS", "BASELINES", "Budget", "Call", "Estimate", "ExampleIndex", "Journal", "JournalError", "NotReady",
    "Policy", "Prediction", "Price", "Ready", "RetrieverError", "Suggestion", "SystemSpec", "Task", "answer",
    "baseline", "commonest_flow", "estimate", "load_prices", "looks_like_key", "nearest_examples", "needed", "plan",
    "price_of", "ranker_facts", "read_predictions", "readiness", "recall_at_k", "redact", "retrieve", "run_rankers",
    "run_system", "suggest_all",
]  # fmt: skip
