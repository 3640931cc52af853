"""A convolution or linear layer whose channels can be scaled by writing to tensors of the original model."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, fx

from qdiag.capture.ops import convolution_groups, has_weight, is_padded, kind_and_policy, weight_axis
from qdiag.capture.program import Program
from qdiag.errors import RepairRefused

_BATCH_NORM = torch.ops.aten.batch_norm.default


@dataclass(frozen=True)
class WeightedLayer:
    """One convolution or linear layer of the captured program, with the BatchNorm that reads it alone.

    Tensors go by their placeholders in the program; None where there is none.

    Attributes:
        node: graph node. norm: that of the BatchNorm.
        output_axis: axis of the output channels in the weight. groups: of a convolution.
        gamma, beta, mean, variance: of the BatchNorm. eps: added to its variance.
        is_folded: the BatchNorm is part of the weight that gets quantized.
        is_padded: it surrounds its input with zeros, or (transposed) spreads it among zeros.
    """

    node: fx.Node
    weight: str
    bias: str | None
    output_axis: int
    groups: int
    is_padded: bool
    norm: fx.Node | None = None
    gamma: str | None = None
    beta: str | None = None
    mean: str | None = None
    variance: str | None = None
    eps: float = 0.0
    is_folded: bool = False

    @property
    def end(self) -> fx.Node:
        """The node that gives the layer's output, before any activation."""
        return self.norm if self.norm is not None else self.node

    def grouped(self, weight: Tensor) -> Tensor:
        """The weight as (groups, outputs per group, inputs per group, kernel), a view where possible."""
        sizes = (self.groups, weight.shape[0] // self.groups, weight.shape[1], -1)
        by_group = weight.reshape(sizes)
        return by_group if self.output_axis == 0 else by_group.transpose(1, 2)

    def ungrouped(self, by_group: Tensor, like: Tensor) -> Tensor:
        """What `grouped` took apart, in the shape and dtype of `like`."""
        whole = by_group if self.output_axis == 0 else by_group.transpose(1, 2)
        return whole.reshape(like.shape).to(like.dtype)

    def gain(self, constants: Mapping[str, Tensor]) -> Tensor | float:
        """What a folded BatchNorm multiplies the weight by: (C,) in float64, or 1 without one."""
        if self.variance is None or not self.is_folded:
            return 1.0
        gain = (constants[self.variance].double() + self.eps).rsqrt()
        return gain if self.gamma is None else gain * constants[self.gamma].double()


def weighted_layer(program: Program, node: fx.Node, *, folds: bool) -> WeightedLayer:
    """The layer at a node; `folds`: the BatchNorm after it is folded before anything is quantized.

    Raises:
        RepairRefused: its weight is no constant of the model, or serves several layers.
    """
    kind = kind_and_policy(node)[0]
    bias = node.args[2] if len(node.args) > 2 else node.kwargs.get("bias")
    norm = _norm_after(program, node)
    parts: dict[str, str | None] = {}
    if norm is not None:
        for name, argument in zip(("gamma", "beta", "mean", "variance"), norm.args[1:5], strict=True):
            parts[name] = _own_constant(program, argument)
    weight = _own_constant(program, node.args[1])
    if weight is None:
        raise RepairRefused("it has no weight")
    return WeightedLayer(
        node=node,
        weight=weight,
        bias=_own_constant(program, bias),
        output_axis=weight_axis(kind),
        groups=convolution_groups(node),
        is_padded=kind == "conv_transpose" or (kind == "conv" and is_padded(node)),
        norm=norm,
        eps=float(norm.args[7]) if norm is not None else 0.0,  # type: ignore[arg-type]
        is_folded=norm is not None and folds,
        **parts,
    )


def stored_layer(program: Program, weight_name: str | None, *, folds: bool) -> WeightedLayer:
    """The layer whose weight has this name in the original model, as `weighted_layer` gives it.

    Raises:
        RepairRefused: there is none, or its weight serves several layers.
    """
    names = program.parameter_names
    for node in program.graph.nodes:
        if is_weighted(node) and names.get(str(getattr(node.args[1], "target", ""))) == weight_name is not None:
            return weighted_layer(program, node, folds=folds)
    raise RepairRefused("its weights are computed, not stored in the model")


def is_weighted(node: fx.Node) -> bool:
    """The node is a convolution or a linear layer."""
    return node.op == "call_function" and has_weight(kind_and_policy(node)[0])


def readers(node: fx.Node) -> list[fx.Node]:
    """Who reads the values of a node; its sizes may be read by anyone."""
    return [user for user in node.users if user.op == "output" or isinstance(_value(user), Tensor | list | tuple)]


def shape_of(node: fx.Node) -> tuple[int, ...]:
    """Sizes as captured, the batch axis as -1 where it may change; empty when unknown."""
    value = _value(node)
    sizes = value.shape if isinstance(value, Tensor) else ()
    return tuple(size if isinstance(size, int) else -1 for size in sizes)


def _value(node: fx.Node) -> object:
    return node.meta.get("val")


def _norm_after(program: Program, node: fx.Node) -> fx.Node | None:
    """The BatchNorm over the layer's output channels, if nobody else reads them."""
    users = readers(node)
    if len(users) != 1 or users[0].target is not _BATCH_NORM or users[0].args[0] is not node:
        return None
    norm, shape = users[0], shape_of(node)
    is_frozen = not norm.args[5] and all(isinstance(a, fx.Node) for a in norm.args[3:5])
    over_outputs = kind_and_policy(node)[0] != "linear" or len(shape) == 2
    return norm if is_frozen and over_outputs else None


def _own_constant(program: Program, argument: object) -> str | None:
    """The placeholder of a tensor that this layer alone has; None for no tensor."""
    if argument is None:
        return None
    key = str(argument.target) if isinstance(argument, fx.Node) else ""
    if not isinstance(argument, fx.Node) or key not in program.constants or not program.parameter_names.get(key):
        raise RepairRefused("its weights are computed, not stored in the model")
    value = program.constants[key]
    sharing = [k for k, other in program.constants.items() if k != key and _same_memory(value, other)]
    if len(argument.users) > 1 or any(_is_used(program, k) for k in sharing):
        raise RepairRefused("its weights serve more than one layer")
    return key


def _same_memory(a: Tensor, b: Tensor) -> bool:
    return a.numel() > 0 and a.data_ptr() == b.data_ptr()


def _is_used(program: Program, key: str) -> bool:
    return any(n.users for n in program.graph.nodes if n.op == "placeholder" and n.target == key)
