"""What a workflow is: schema, parse, outline, tree, catalogue, rendering."""

from flowstudy.flows.catalogue import (
    Catalogue,
    Fault,
    catalogue_from_flows,
    kind_of,
    load_catalogue,
    merge_catalogues,
)
from flowstudy.flows.outline import OutlineError, from_outline, to_outline
from flowstudy.flows.parse import REPAIRS, ParsedFlow, parse_flow
from flowstudy.flows.query import Clause, parse_query
from flowstudy.flows.render import render_html, render_text
from flowstudy.flows.schema import Component, Flow, Input, Trigger, structure_faults
from flowstudy.flows.tree import Node, depth, flow_tree, walk

__all__ = [
    "REPAIRS", "Catalogue", "Clause", "Component", "Fault", "Flow", "Input", "Node", "OutlineError", "ParsedFlow",
    "Trigger", "catalogue_from_flows", "depth", "flow_tree", "from_outline", "kind_of", "load_catalogue",
    "merge_catalogues", "parse_flow", "parse_query", "render_html", "render_text", "structure_faults", "to_outline",
    "walk",
]  # fmt: skip
