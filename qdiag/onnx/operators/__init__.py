"""The operators of ONNX, a family in each file, and the table of all of them."""

from collections.abc import Mapping

from qdiag.onnx.call import Operator
from qdiag.onnx.operators import (
    activations,
    arithmetic,
    attention,
    audio,
    comparisons,
    convolutions,
    elements,
    joining,
    norms,
    pooling,
    products,
    recurrent,
    reductions,
    resizing,
    shapes,
    sorting,
)

OPERATORS: Mapping[str, Operator] = {
    **activations.OPERATORS,
    **arithmetic.OPERATORS,
    **attention.OPERATORS,
    **audio.OPERATORS,
    **comparisons.OPERATORS,
    **convolutions.OPERATORS,
    **elements.OPERATORS,
    **joining.OPERATORS,
    **norms.OPERATORS,
    **pooling.OPERATORS,
    **products.OPERATORS,
    **recurrent.OPERATORS,
    **reductions.OPERATORS,
    **resizing.OPERATORS,
    **shapes.OPERATORS,
    **sorting.OPERATORS,
}
"""By kind (`OnnxNode.kind`)."""
