"""A family of operators each: how a node of the captured graph is written in LiteRT."""

from collections.abc import Mapping

from qdiag.exporters.litert.call import Write
from qdiag.exporters.litert.operators import (
    activations,
    arithmetic,
    convolutions,
    norms,
    pooling,
    products,
    resizing,
    shapes,
)

OPERATORS: Mapping[str, Write] = {
    **activations.OPERATORS,
    **arithmetic.OPERATORS,
    **convolutions.OPERATORS,
    **norms.OPERATORS,
    **pooling.OPERATORS,
    **products.OPERATORS,
    **resizing.OPERATORS,
    **shapes.OPERATORS,
}
"""ATen name to what writes it."""
