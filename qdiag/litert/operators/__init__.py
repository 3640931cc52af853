"""The operators of LiteRT, a family in each file, and the table of all of them."""

from collections.abc import Mapping

from qdiag.litert.call import Rule
from qdiag.litert.operators import (
    activations,
    arithmetic,
    convolutions,
    joining,
    norms,
    pooling,
    products,
    resizing,
    shapes,
    types,
)

OPERATORS: Mapping[str, Rule] = {
    **activations.OPERATORS,
    **arithmetic.OPERATORS,
    **convolutions.OPERATORS,
    **joining.OPERATORS,
    **norms.OPERATORS,
    **pooling.OPERATORS,
    **products.OPERATORS,
    **resizing.OPERATORS,
    **shapes.OPERATORS,
    **types.OPERATORS,
}
"""By kind (`LiteOperator.kind`)."""
