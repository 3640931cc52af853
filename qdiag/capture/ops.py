"""What the simulator knows about each ATen operation.

Policies follow what integer backends do (see docs/sites.md):

- `compute`  multiplies by weights or by another activation: its output gets a quantizer of its own.
- `own`      elementwise, normalization, concat: arithmetic, then a quantizer of its own.
- `shared`   pooling and interpolation: computed, then rounded with the quantizer of the input.
- `pass`     moves or selects values: what came in quantized goes out quantized, exactly.
- everything else runs in float, is counted and listed.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, fx
from torch._ops import OpOverload

Policy = Literal["compute", "own", "shared", "pass", "float"]

_CONV = ("conv1d", "conv2d", "conv3d", "convolution")
_CONV_TRANSPOSE = ("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
_MATMUL = ("matmul", "bmm", "mm", "addmm", "baddbmm", "einsum", "mv", "dot")
_ARITHMETIC = ("add", "sub", "rsub", "mul", "div", "neg", "pow", "square", "reciprocal", "maximum", "minimum")
_REDUCED = ("sum", "prod")
SQUARED_DIFFERENCE = "squared_difference"
"""Of two tensors, element by element, which ATen knows as a loss."""
_CONCAT = ("cat", "concat", "stack", "hstack", "vstack", "slice_scatter", "select_scatter")
_CLAMP = ("relu", "relu6", "hardtanh", "clamp", "clamp_min", "clamp_max", "clip")
_TABLE = (
    *("sigmoid", "tanh", "hardsigmoid", "hardswish", "silu", "gelu", "elu", "selu", "celu", "leaky_relu", "prelu"),
    *("_prelu_kernel", "softplus", "mish", "log_sigmoid", "softsign", "exp", "sqrt", "rsqrt", "log", "abs", "erf"),
    *("sin", "cos", "threshold", "rrelu", "glu", "hardshrink", "softshrink"),
)
_SOFTMAX = ("softmax", "_softmax", "log_softmax", "_log_softmax")
_NORM = (
    *("batch_norm", "layer_norm", "native_layer_norm", "group_norm", "native_group_norm", "instance_norm"),
    *("rms_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training"),
)
_POOL = (
    *("avg_pool1d", "avg_pool2d", "avg_pool3d", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d"),
    *("_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "mean", "upsample_bilinear2d", "upsample_linear1d"),
    *("upsample_trilinear3d", "upsample_bicubic2d", "_upsample_bilinear2d_aa", "grid_sampler", "grid_sampler_2d"),
)
_PASS = (
    *("reshape", "view", "flatten", "unflatten", "permute", "transpose", "t", "numpy_T", "movedim", "swapaxes"),
    *("squeeze", "unsqueeze", "expand", "expand_as", "repeat", "repeat_interleave", "tile", "clone", "contiguous"),
    *("slice", "select", "narrow", "index_select", "index", "gather", "take_along_dim", "chunk", "split"),
    *("split_with_sizes", "unbind", "tensor_split", "unfold", "roll", "flip", "rot90", "alias", "to", "_to_copy"),
    *("max_pool1d", "max_pool2d", "max_pool3d", "max_pool2d_with_indices", "max_pool3d_with_indices"),
    *("adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d", "amax", "amin", "max", "min"),
    *("upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d", "_upsample_nearest_exact2d"),
    *("pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "native_channel_shuffle"),
    *("constant_pad_nd", "pad", "reflection_pad1d", "reflection_pad2d", "replication_pad1d", "replication_pad2d"),
    *("as_strided", "view_as", "reshape_as", "detach", "dropout", "masked_fill", "copy"),
)


def _table() -> dict[str, tuple[str, Policy]]:
    rows: list[tuple[str, Policy, tuple[str, ...]]] = [
        ("conv", "compute", _CONV),
        ("conv_transpose", "compute", _CONV_TRANSPOSE),
        ("linear", "compute", ("linear",)),
        ("matmul", "compute", _MATMUL),
        ("concat", "own", _CONCAT),
        ("clamp", "own", _CLAMP),
        ("sign", "own", ("sign", "sgn")),
        ("softmax", "own", _SOFTMAX),
        ("norm", "own", _NORM),
        ("pool", "shared", _POOL),
        ("pass", "pass", _PASS),
    ]
    table = {name: (kind, policy) for kind, policy, names in rows for name in names}
    table |= {name: (name, "own") for name in (*_ARITHMETIC, *_REDUCED, *_TABLE)}
    table["mse_loss"] = (SQUARED_DIFFERENCE, "own")
    return table


OPERATIONS: Mapping[str, tuple[str, Policy]] = _table()
"""ATen name to (kind, policy)."""


def operation_name(node: fx.Node) -> str:
    """`conv2d` for `aten.conv2d.default`, the function's name for the rest."""
    if isinstance(node.target, OpOverload):
        return node.target._schema.name.partition("::")[2]
    return str(getattr(node.target, "__name__", node.target))


def kind_and_policy(node: fx.Node) -> tuple[str, Policy]:
    """How the simulator treats the node; (its name, `float`) when it does not know it."""
    name = operation_name(node)
    if name == "getitem":
        return "pass", "pass"
    if name == "convolution" and len(node.args) > 6 and node.args[6]:
        return "conv_transpose", "compute"
    if is_two_level(node):
        return "sign", "own"
    if not isinstance(node.target, OpOverload) or node.target.namespace != "aten":
        return name, "float"
    return OPERATIONS.get(name, (name, "float"))


def is_two_level(node: fx.Node) -> bool:
    """`where(CONDITION, a, -a)` with plain numbers, which is how a sign with +1 at zero is written."""
    if operation_name(node) != "where" or len(node.args) != 3:
        return False
    high, low = node.args[1:]
    return isinstance(high, int | float) and isinstance(low, int | float) and high == -low != 0


def sign_magnitude(node: fx.Node) -> float:
    """The a of a node of kind `sign`, whose values are -a and a."""
    value = node.args[1] if is_two_level(node) else 1.0
    assert isinstance(value, int | float)
    return abs(float(value))


def weight_axis(kind: str) -> int:
    """Axis of the output channels in a weight: transposed convolutions keep them second."""
    return 1 if kind == "conv_transpose" else 0


def has_weight(kind: str) -> bool:
    """The node has the arguments (x, weight, bias)."""
    return kind in ("conv", "conv_transpose", "linear")


def convolution_groups(layer: fx.Node) -> int:
    """Groups of a convolution or transposed convolution node; 1 for any other layer."""
    if kind_and_policy(layer)[0] not in ("conv", "conv_transpose"):
        return 1
    # conv_transposeNd(x, w, b, stride, padding, output_padding, groups, dilation); convolution(..., groups) last
    index = 8 if operation_name(layer) == "convolution" else 6
    groups = layer.args[index] if index < len(layer.args) else layer.kwargs.get("groups", 1)
    return groups if isinstance(groups, int) else 1


def is_padded(layer: fx.Node) -> bool:
    """The convolution surrounds its input with zeros."""
    padding = layer.args[4] if len(layer.args) > 4 else layer.kwargs.get("padding", 0)
    if isinstance(padding, str):
        return padding != "valid"
    if isinstance(padding, list | tuple):
        return any(p != 0 for p in padding)
    return padding not in (0, None)


def clamp_bounds(node: fx.Node) -> tuple[float, float] | None:
    """Lower and upper bound of a clamp-type activation; None for anything else."""
    name, args = operation_name(node), list(node.args[1:])
    if not all(isinstance(a, int | float | None) for a in (*args, *node.kwargs.values())):
        return None

    def bound(index: int, key: str, default: float) -> float:
        value = args[index] if index < len(args) else node.kwargs.get(key)
        return float(value) if isinstance(value, int | float) else default

    infinity = torch.inf
    match name:
        case "relu":
            return 0.0, infinity
        case "relu6":
            return 0.0, 6.0
        case "hardtanh":
            return bound(0, "min_val", -1.0), bound(1, "max_val", 1.0)
        case "clamp" | "clip":
            return bound(0, "min", -infinity), bound(1, "max", infinity)
        case "clamp_min":
            return bound(0, "min", -infinity), infinity
        case "clamp_max":
            return -infinity, bound(0, "max", infinity)
    return None


def is_tensor(node: fx.Node) -> bool:
    """Its value holds tensors, as far as capture knows; a size or a number does not."""
    value = node.meta.get("val")
    values = value if isinstance(value, list | tuple) else [value]
    return value is None or any(isinstance(v, Tensor) for v in values)
