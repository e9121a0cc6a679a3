"""Flow logic that a guided model may write is well-formed flow logic, and all of it may be written."""

from hypothesis import given
from hypothesis import strategies as st

from flowstudy.corpus.written import shipped_corpus
from flowstudy.flows.outline import from_outline, to_outline
from flowstudy.flows.schema import FLOW_LOGIC, FOLLOWS, INSIDE, structure_faults
from flowstudy.systems.slm.nesting import Nesting

NAMES = ["action log", *sorted(FLOW_LOGIC)]
LINES = st.lists(st.tuples(st.integers(0, 4), st.sampled_from(NAMES)), min_size=1, max_size=14)


def misplaced(outline):
    found = structure_faults(from_outline(outline))
    return {fault.split(":")[0] for fault in found if "does not follow" in fault or "is not inside" in fault}


@given(LINES)
def test_what_is_refused_is_exactly_what_would_be_a_fault(lines):
    """Against the validator as oracle, also for indentation that jumps."""
    nesting, outline, refused = Nesting(), [], set()
    for place, (level, name) in enumerate(lines, start=1):
        if name in nesting.refused(2 * level):
            refused.add(f"component {place}")
        nesting.add(2 * level, name.split()[0])
        outline.append("  " * level + name)
    assert misplaced("\n".join(outline)) == refused


def test_nothing_that_people_wrote_is_refused():
    seen = set()
    for example in shipped_corpus():
        nesting = Nesting()
        for line in to_outline(example.flow.skeleton()).splitlines()[example.flow.trigger is not None :]:
            body = line.lstrip(" ")
            assert body.split()[0] not in nesting.refused(len(line) - len(body)), (example.id, line)
            nesting.add(len(line) - len(body), body.split()[0])
            seen.add(body.split()[0])
    assert seen & {*FOLLOWS} and seen & {*INSIDE}
