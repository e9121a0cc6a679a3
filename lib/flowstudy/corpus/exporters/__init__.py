"""Flows as definitions of a platform, for people who want to load an answer of the study where they work."""

from flowstudy.corpus.exporters.blocks import Exported, same
from flowstudy.corpus.exporters.step_functions import to_step_functions

__all__ = ["Exported", "same", "to_step_functions"]
