"""LayerNorm and GroupNorm, as exporters of opsets without them write them."""

from qdiag.onnx.model import LAYERS, OnnxNode
from qdiag.onnx.patterns.matching import Match, Matcher, Op, Pattern, Scalar, Weight, op

_MEAN = op("ReduceMean", "x")
_CENTRED = op("Sub", "x", _MEAN)


def _variances() -> list[Op]:
    own = op(f"{LAYERS}.SquaredDifference", "x", _MEAN)
    squares = [op("Pow", _CENTRED, 2.0), op("Mul", _CENTRED, _CENTRED), own]
    return [op("Add", op("ReduceMean", square), Scalar("eps")) for square in squares]


_NORMAL = [
    *(op("Div", _CENTRED, op("Sqrt", variance)) for variance in _variances()),
    *(op("Mul", _CENTRED, op("Reciprocal", op("Sqrt", variance))) for variance in _variances()),
    *(op("Mul", _CENTRED, op(f"{LAYERS}.Rsqrt", variance)) for variance in _variances()),
]


def _affine(inner: Pattern) -> list[Op]:
    return [
        op("Add", op("Mul", inner, Weight("scale")), Weight("shift")),
        op("Mul", inner, Weight("scale")),
    ]


_LAYER_NORM = [*(pattern for normal in _NORMAL for pattern in _affine(normal)), *_NORMAL]
_GROUPS = op("Reshape", op("InstanceNormalization", op("Reshape", "x", "split"), "ones", "zeros"))
_GROUP_NORM = _affine(_GROUPS)[:1]


def layer_norm(matcher: Matcher, node: OnnxNode) -> tuple[Match, OnnxNode] | None:
    """A normalization over the last axes that ends in a node."""
    if node.kind not in ("Add", "Mul", "Div"):
        return None
    match = matcher.find(node, _LAYER_NORM)
    if match is None:
        return None
    axes = {tuple(_axes(matcher, inner)) for inner in match.nodes if inner.op == "ReduceMean"}
    if len(axes) != 1:
        return None
    (reduced,) = axes
    count = len(reduced)
    eps = matcher.number(match.names["eps"])
    shapes = [matcher.constant(match.names[part]) for part in ("scale", "shift") if part in match.names]
    if sorted(reduced) != list(range(-count, 0)) or any(s is None or s.ndim != count for s in shapes):
        return None
    inputs = (match.names["x"], *(match.names.get(part, "") for part in ("scale", "shift")))
    attributes = {"axis": -count, "epsilon": eps}
    if "scale" not in match.names:
        return match, OnnxNode("LayerNormalization", LAYERS, node.name, inputs[:1], node.outputs, attributes)
    return match, OnnxNode("LayerNormalization", "", node.name, inputs, node.outputs, attributes)


def _axes(matcher: Matcher, node: OnnxNode) -> list[int]:
    """Of a mean that keeps its axes; empty otherwise."""
    if not node.attributes.get("keepdims", 1):
        return []
    if len(node.inputs) > 1 and node.inputs[1]:
        found = matcher.constant(node.inputs[1])
        return [] if found is None else [int(axis) for axis in found.reshape(-1)]
    return [int(axis) for axis in node.attributes.get("axes", [])]


def group_norm(matcher: Matcher, node: OnnxNode) -> tuple[Match, OnnxNode] | None:
    """`Reshape` to groups, normalization of each, `Reshape` back, scale and shift of each channel."""
    if node.kind != "Add":
        return None
    match = matcher.find(node, _GROUP_NORM)
    if match is None:
        return None
    split, ones, zeros, scale, shift = (
        matcher.constant(match.names[part]) for part in ("split", "ones", "zeros", "scale", "shift")
    )
    if split is None or ones is None or zeros is None or scale is None or shift is None:
        return None
    groups = int(split.reshape(-1)[1]) if split.size == 3 else 0
    is_plain = bool((ones == 1.0).all() and (zeros == 0.0).all()) and ones.size == groups
    if not is_plain or scale.shape != shift.shape or scale.size != max(scale.shape) or scale.ndim < 2:
        return None
    inner = next(n for n in match.nodes if n.op == "InstanceNormalization")
    attributes = {"num_groups": groups, "epsilon": inner.attributes.get("epsilon", 1e-5)}
    inputs = (match.names["x"], match.names["scale"], match.names["shift"])
    return match, OnnxNode("GroupNormalization", LAYERS, node.name, inputs, node.outputs, attributes)
