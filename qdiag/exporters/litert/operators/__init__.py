"""A family of operators each: how a node of the captured graph is written in LiteRT."""

from collections.abc import Mapping

from qdiag.exporters.litert.call import Write
from qdiag.exporters.litert.operators import (
    activations,
    arithmetic,
    convolutions,
    norms,
    parts,
    pixels,
    pooling,
    products,
    repeated,
    resizing,
    shapes,
)

OPERATORS: Mapping[str, Write] = {
    **activations.OPERATORS,
    **arithmetic.OPERATORS,
    **convolutions.OPERATORS,
    **norms.OPERATORS,
    **parts.OPERATORS,
    **pixels.OPERATORS,
    **pooling.OPERATORS,
    **products.OPERATORS,
    **repeated.OPERATORS,
    **resizing.OPERATORS,
    **shapes.OPERATORS,
}
"""ATen name to what writes it."""
