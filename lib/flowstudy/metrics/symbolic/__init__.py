"""Does a flow do the same as a reference? Both are interpreted over symbolic values, situation by situation."""

from flowstudy.metrics.symbolic.verdict import Behaviour, behaviour

__all__ = ["Behaviour", "behaviour"]
