"""SiLU, hard-swish, hard-sigmoid, GELU and Mish, as exporters of opsets without them write them."""

import math
from collections.abc import Sequence

from qdiag.onnx.model import LAYERS, OnnxNode
from qdiag.onnx.patterns.matching import Match, Matcher, Op, op

_SIGMOID = op("Sigmoid", "x")
_SILU = [op("Mul", "x", _SIGMOID), op("Mul", "x", op("Div", 1.0, op("Add", op("Exp", op("Neg", "x")), 1.0)))]

# clip(x + 3, 0, 6), with bounds as inputs or, in old opsets, as attributes
_SHIFTED = op("Add", "x", 3.0)
_CLIPPED = [op("Clip", _SHIFTED, 0.0, 6.0), op("Clip", _SHIFTED, min=0.0, max=6.0)]
_HARD_SIGMOID = [
    *(op("Div", clip, 6.0) for clip in _CLIPPED),
    *(op("Mul", clip, 1.0 / 6.0) for clip in _CLIPPED),
]
_HARD_SWISH = [
    *(op("Mul", "x", gate) for gate in _HARD_SIGMOID),
    *(op("Div", op("Mul", "x", clip), 6.0) for clip in _CLIPPED),
    *(op("Mul", op("Mul", "x", clip), 1.0 / 6.0) for clip in _CLIPPED),
    op("Mul", "x", op("HardSigmoid", "x", alpha=1.0 / 6.0)),
]

_SCALED = [op("Div", "x", math.sqrt(2.0)), op("Mul", "x", math.sqrt(0.5))]
_ONE_AND = [op("Add", op("Erf", scaled), 1.0) for scaled in _SCALED]
_GELU = [
    pattern
    for one in _ONE_AND
    for pattern in (
        op("Mul", op("Mul", "x", one), 0.5),
        op("Mul", op("Mul", "x", 0.5), one),
        op("Mul", "x", op("Mul", one, 0.5)),
        op("Div", op("Mul", "x", one), 2.0),
    )
]

_CUBES = [
    op("Pow", "x", 3.0),
    op("Mul", "x", op("Mul", "x", "x")),
    op("Mul", "x", op("Pow", "x", 2.0)),
]
_INNER = [op("Mul", op("Add", "x", op("Mul", cube, 0.044715)), math.sqrt(2.0 / math.pi)) for cube in _CUBES]
_FACTORED = op(
    "Mul", op("Mul", "x", math.sqrt(2.0 / math.pi)), op("Add", op("Mul", op("Mul", "x", "x"), 0.044715), 1.0)
)
_TANH_AND = [op("Add", op("Tanh", inner), 1.0) for inner in (*_INNER, _FACTORED)]
_GELU_TANH = [
    pattern
    for one in _TANH_AND
    for pattern in (
        op("Mul", op("Mul", "x", 0.5), one),
        op("Mul", op("Mul", "x", one), 0.5),
        op("Mul", "x", op("Mul", one, 0.5)),
    )
]

_MISH = [op("Mul", "x", op("Tanh", op("Softplus", "x")))]

_FUNCTIONS: Sequence[tuple[str, str, Sequence[Op], dict[str, object]]] = (
    ("Silu", LAYERS, _SILU, {}),
    ("HardSwish", "", _HARD_SWISH, {}),
    ("HardSigmoid", "", _HARD_SIGMOID, {"alpha": 1.0 / 6.0}),
    ("Gelu", "", _GELU, {}),
    ("Gelu", "", _GELU_TANH, {"approximate": "tanh"}),
    ("Mish", "", _MISH, {}),
)


def activation(matcher: Matcher, node: OnnxNode) -> tuple[Match, OnnxNode] | None:
    """The function that ends in a node, as one node under its name."""
    if node.kind not in ("Mul", "Div"):
        return None
    for name, domain, patterns, attributes in _FUNCTIONS:
        match = matcher.find(node, patterns)
        if match is not None:
            return match, OnnxNode(name, domain, node.name, (match.names["x"],), node.outputs, attributes)
    return None
