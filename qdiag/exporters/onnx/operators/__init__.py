"""A family of operators each: how a node of the captured graph is written in ONNX."""

from collections.abc import Mapping

from qdiag.exporters.onnx.operators import (
    activations,
    arithmetic,
    convolutions,
    norms,
    numbers,
    pooling,
    products,
    recurrent,
    resizing,
    selection,
    shapes,
)
from qdiag.exporters.onnx.operators.kind import Writer

OPERATORS: Mapping[str, Writer] = {
    **activations.OPERATORS,
    **arithmetic.OPERATORS,
    **convolutions.OPERATORS,
    **norms.OPERATORS,
    **numbers.OPERATORS,
    **pooling.OPERATORS,
    **products.OPERATORS,
    **recurrent.OPERATORS,
    **resizing.OPERATORS,
    **selection.OPERATORS,
    **shapes.OPERATORS,
}
"""ATen name to what writes it."""
