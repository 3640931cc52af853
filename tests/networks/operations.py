"""Every operation that the simulator knows, as a graph of this one operation, without an export by torch."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils import _pytree as pytree

from qdiag.capture.program import Program, Runner

Call = Callable[[Any, Any], Any]
"""Of `torch.ops.aten` and an input."""
aten = torch.ops.aten
SHAPES = {1: (8,), 2: (2, 8), 3: (2, 4, 8), 4: (2, 4, 6, 6), 5: (2, 4, 4, 4, 4)}
"""Of inputs, by their number of axes."""


def drawn(*shape: int) -> Tensor:
    """Values between 0.25 and 1.25."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(sum(shape))) + 0.25


NORM = (drawn(4), drawn(4), drawn(4), drawn(4))
"""Weight, bias, mean and variance of a BatchNorm."""
MASK = torch.arange(36).view(6, 6) % 3 == 0
EVEN = torch.tensor([0, 2])


def _with(at: str, *rest: Any) -> Call:
    """An operation `name.overload` with what it takes beside its input."""
    name, _, overload = at.partition(".")
    return lambda a, x: getattr(getattr(a, name), overload or "default")(x, *rest)


_PLAIN = (
    *("relu", "relu6", "hardtanh", "sign", "sgn", "sigmoid", "tanh", "hardsigmoid", "hardswish", "silu", "gelu", "elu"),
    *("selu", "celu", "leaky_relu", "softplus", "mish", "log_sigmoid", "exp", "sqrt", "rsqrt", "log", "abs", "erf"),
    *("sin", "cos", "neg", "square", "reciprocal", "hardshrink", "softshrink", "rrelu", "glu", "alias", "detach"),
    *("clone", "contiguous", "max", "min", "_to_copy"),
)
"""Operations that take an input alone."""
_OF_IMAGES: Mapping[str, tuple[Any, ...]] = {
    "clamp": (0.3, 1.0),
    "clip": (0.3, 1.0),
    "clamp_min": (0.5,),
    "clamp_max": (0.5,),
    "softmax.int": (1,),
    "_softmax": (1, False),
    "log_softmax.int": (1,),
    "_log_softmax": (1, False),
    "batch_norm": (*NORM, False, 0.1, 1e-5, False),
    "layer_norm": ([6], drawn(6)),
    "rms_norm": ([6], drawn(6)),
    "group_norm": (2, *NORM[:2]),
    "instance_norm": (*NORM[:2], None, None, True, 0.1, 1e-5, False),
    "avg_pool2d": ([2, 2],),
    "adaptive_avg_pool2d": ([1, 1],),
    "_adaptive_avg_pool2d": ([3, 3],),
    "mean.dim": ([2, 3],),
    "sum.dim_IntList": ([1],),
    "prod.dim_int": (1,),
    "amax": ([1],),
    "amin": ([1],),
    "upsample_bilinear2d": ([12, 12], False),
    "upsample_bicubic2d": ([12, 12], False),
    "_upsample_bilinear2d_aa": ([3, 3], False),
    "upsample_nearest2d": ([12, 12],),
    "_upsample_nearest_exact2d": ([12, 12],),
    "reshape": ([-1, 24, 6],),
    "view": ([-1, 4, 6, 6],),
    "flatten.using_ints": (1,),
    "unflatten.int": (1, [2, 2]),
    "permute": ([0, 2, 3, 1],),
    "transpose.int": (1, 2),
    "movedim.int": (1, 2),
    "swapaxes": (1, 2),
    "squeeze.dim": (1,),
    "unsqueeze": (1,),
    "expand": ([2, 4, 6, 6],),
    "repeat": ([1, 2, 1, 1],),
    "repeat_interleave.self_int": (2, 1),
    "tile": ([1, 2, 1, 1],),
    "slice.Tensor": (2, 1, 5, 2),
    "select.int": (1, 0),
    "narrow": (1, 0, 2),
    "index_select": (1, EVEN),
    "unfold": (2, 3, 1),
    "roll": ([1], [1]),
    "flip": ([2],),
    "rot90": (1, [2, 3]),
    "to.dtype": (torch.float32,),
    "max_pool2d": ([2, 2],),
    "pixel_shuffle": (2,),
    "pixel_unshuffle": (2,),
    "channel_shuffle": (2,),
    "native_channel_shuffle": (2,),
    "constant_pad_nd": ([1, 1, 1, 1],),
    "pad": ([1, 1, 1, 1], "reflect"),
    "reflection_pad2d": ([1, 1, 1, 1],),
    "replication_pad2d": ([1, 1, 1, 1],),
    "as_strided": ([2, 4], [144, 36]),
    "dropout": (0.5, False),
    "masked_fill.Scalar": (MASK, 0.0),
    "prelu": (drawn(4),),
    "_prelu_kernel": (drawn(1, 4, 1, 1),),
    "threshold": (0.5, 0.0),
    "mse_loss": (drawn(1, 4, 6, 6), 0),
    "pow.Tensor_Scalar": (3,),
}
_OF_SIGNALS: Mapping[str, tuple[Any, ...]] = {
    "avg_pool1d": ([2],),
    "adaptive_avg_pool1d": ([1],),
    "upsample_linear1d": ([16], False),
    "max_pool1d": ([2],),
    "upsample_nearest1d": ([16],),
    "reflection_pad1d": ([1, 1],),
    "replication_pad1d": ([1, 1],),
}
_OF_VOLUMES: Mapping[str, tuple[Any, ...]] = {
    "avg_pool3d": ([2, 2, 2],),
    "adaptive_avg_pool3d": ([1, 1, 1],),
    "_adaptive_avg_pool3d": ([2, 2, 2],),
    "upsample_trilinear3d": ([8, 8, 8], False),
    "max_pool3d": ([2, 2, 2],),
    "upsample_nearest3d": ([8, 8, 8],),
}
_OF_SEVERAL: Mapping[str, tuple[Any, ...]] = {
    "chunk": (2, 1),
    "split.Tensor": (2, 1),
    "split_with_sizes": ([1, 3], 1),
    "unbind.int": (1,),
    "tensor_split.sections": (2, 1),
    "max_pool2d_with_indices": ([2, 2],),
    "adaptive_max_pool2d": ([2, 2],),
    "max.dim": (1,),
}
_OF_TENSORS = (
    *(("add", "Tensor"), ("sub", "Tensor"), ("rsub", "Tensor"), ("mul", "Tensor"), ("div", "Tensor")),
    *(("pow", "Tensor_Tensor"), ("maximum", "default"), ("minimum", "default")),
)
"""Operations of two values, of which the second is a constant or computed."""
CASES: Mapping[str, tuple[int, Call]] = {
    **{name: (4, lambda a, x, name=name: getattr(a, name).default(x)) for name in _PLAIN},
    **{name: (2, lambda a, x, name=name: getattr(a, name).default(x)) for name in ("t", "numpy_T")},
    "conv1d": (3, lambda a, x: a.conv1d.default(x, drawn(4, 4, 3))),
    "conv2d": (4, lambda a, x: a.conv2d.default(x, drawn(4, 4, 3, 3), drawn(4))),
    "conv2d, padded to the same size": (4, lambda a, x: a.conv2d.padding(x, drawn(4, 4, 3, 3), None, [1, 1], "same")),
    "conv3d": (5, lambda a, x: a.conv3d.default(x, drawn(4, 4, 3, 3, 3))),
    "convolution": (
        4,
        lambda a, x: a.convolution.default(x, drawn(4, 4, 3, 3), None, [1] * 2, [1] * 2, [1] * 2, False, [0, 0], 1),
    ),
    "conv_transpose1d": (3, lambda a, x: a.conv_transpose1d.default(x, drawn(4, 3, 3))),
    "conv_transpose2d": (4, lambda a, x: a.conv_transpose2d.input(x, drawn(4, 3, 3, 3))),
    "conv_transpose3d": (5, lambda a, x: a.conv_transpose3d.input(x, drawn(4, 3, 3, 3, 3))),
    "linear": (2, lambda a, x: a.linear.default(x, drawn(5, 8), drawn(5))),
    "linear, of images": (4, lambda a, x: a.linear.default(x, drawn(5, 6))),
    "matmul": (4, lambda a, x: a.matmul.default(x, x)),
    "bmm": (3, lambda a, x: a.bmm.default(x, a.transpose.int(x, 1, 2))),
    "mm": (2, lambda a, x: a.mm.default(x, drawn(8, 5))),
    "addmm": (2, lambda a, x: a.addmm.default(drawn(5), x, drawn(8, 5))),
    "baddbmm": (3, lambda a, x: a.baddbmm.default(x, x, drawn(2, 8, 8))),
    "einsum": (2, lambda a, x: a.einsum.default("ab,cb->ac", [x, drawn(5, 8)])),
    "mv": (2, lambda a, x: a.mv.default(x, drawn(8))),
    "dot": (1, lambda a, x: a.dot.default(x, drawn(8))),
    **{
        name: (4, lambda a, x, name=name, axis=axis: getattr(a, name).default([x, a.relu.default(x)], *axis))
        for name, axis in [("cat", (1,)), ("concat", (1,)), ("stack", (1,)), ("hstack", ()), ("vstack", ())]
    },
    **{name: (4, _with(name, *rest)) for name, rest in _OF_IMAGES.items()},
    **{name: (3, _with(name, *rest)) for name, rest in _OF_SIGNALS.items()},
    **{name: (5, _with(name, *rest)) for name, rest in _OF_VOLUMES.items()},
    "slice_scatter": (4, lambda a, x: a.slice_scatter.default(x, drawn(2, 2, 6, 6), 1, 0, 2)),
    "select_scatter": (4, lambda a, x: a.select_scatter.default(x, drawn(2, 6, 6), 1, 0)),
    "clamp, between tensors": (4, lambda a, x: a.clamp.Tensor(x, drawn(4, 1, 1), None)),
    "native_layer_norm": (3, lambda a, x: a.native_layer_norm.default(x, [8], drawn(8), drawn(8), 1e-5)[0]),
    "native_group_norm": (4, lambda a, x: a.native_group_norm.default(x, *NORM[:2], 2, 4, 36, 2, 1e-5)[0]),
    "_native_batch_norm_legit": (
        4,
        lambda a, x: a._native_batch_norm_legit.no_stats(x, *NORM[:2], True, 0.1, 1e-5)[0],
    ),
    "_native_batch_norm_legit_no_training": (
        4,
        lambda a, x: a._native_batch_norm_legit_no_training.default(x, *NORM, 0.1, 1e-5)[0],
    ),
    "grid_sampler": (4, lambda a, x: a.grid_sampler.default(x, drawn(2, 3, 3, 2), 0, 0, False)),
    "grid_sampler_2d": (4, lambda a, x: a.grid_sampler_2d.default(x, drawn(2, 3, 3, 2), 0, 0, False)),
    "expand_as": (4, lambda a, x: a.expand_as.default(a.slice.Tensor(x, 1, 0, 1), x)),
    "view_as": (4, lambda a, x: a.view_as.default(x, x)),
    "reshape_as": (4, lambda a, x: a.reshape_as.default(x, x)),
    "copy": (4, lambda a, x: a.copy.default(x, a.relu.default(x))),
    "index": (4, lambda a, x: a.index.Tensor(x, [None, EVEN])),
    "gather": (2, lambda a, x: a.gather.default(x, 1, EVEN.expand(2, 2))),
    "take_along_dim": (2, lambda a, x: a.take_along_dim.default(x, EVEN.expand(2, 2), 1)),
    **{f"{name}, of tensors": (4, _with(f"{name}.{overload}", drawn(4, 1, 1))) for name, overload in _OF_TENSORS},
    "max_pool3d_with_indices": (5, lambda a, x: a.max_pool3d_with_indices.default(x, [2, 2, 2])[0]),
    "adaptive_max_pool1d": (3, lambda a, x: a.adaptive_max_pool1d.default(x, [2])[0]),
    "adaptive_max_pool3d": (5, lambda a, x: a.adaptive_max_pool3d.default(x, [2, 2, 2])[0]),
    **{
        f"{name}, of a value": (4, lambda a, x, name=name, o=o: getattr(getattr(a, name), o)(x, a.relu.default(x)))
        for name, o in _OF_TENSORS
    },
    **{name: (4, lambda a, x, name=name, rest=rest: _with(name, *rest)(a, x)[0]) for name, rest in _OF_SEVERAL.items()},
}
"""By the name of an operation, and what is special about its arguments: axes of the input, and what is computed."""


def program_of(axes: int, call: Call) -> Program:
    """What `call` computes of one input with so many axes."""
    root = fx.Tracer()
    graph = root.trace(lambda x: call(aten, x))
    constants = {}
    for node in list(graph.nodes):
        if node.op == "get_attr":
            name = f"c{len(constants)}"
            constants[name] = getattr(root.root, node.target)
            with graph.inserting_before(next(iter(graph.nodes))):
                placed = graph.placeholder(name)
            node.replace_all_uses_with(placed)
            graph.erase_node(node)
        elif node.op == "output":
            node.args = ((node.args[0],),)
    spec = pytree.tree_flatten(((drawn(1),), {}))[1]
    program = Program(
        graph, constants, {name: f"{name}.weight" for name in constants}, ("x",), spec, ("y",), None, "by hand"
    )
    _Shapes(program)((drawn(*SHAPES[axes]),))
    return program


class _Shapes(Runner):
    """Notes what each node gave, as an export does."""

    def run_node(self, n: fx.Node) -> Any:
        n.meta["val"] = found = super().run_node(n)
        return found
