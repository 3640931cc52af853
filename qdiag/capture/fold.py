"""Folds BatchNorm into the convolution or linear layer before or after it, on a copy of the program.

Backends do this before they quantize; comparing an unfolded network with a folded one would blame the wrong layers.
"""

from collections.abc import Container
from dataclasses import dataclass, replace

import torch
from torch import Tensor, fx

from qdiag.capture.fake_quantizers.show import hand_on_output
from qdiag.capture.fold_rules import NO_LAYER_BEFORE, Candidate, choose, layer_after, layer_before
from qdiag.capture.low_bit import hand_on_signs, weight_format
from qdiag.capture.ops import convolution_groups, has_weight, is_padded, kind_and_policy, weight_axis
from qdiag.capture.program import Program
from qdiag.core.measures.measurement import KeptBatchNorm
from qdiag.numerics.batchnorm import ChannelAffine, batch_norm_affine, fold_after, fold_before
from qdiag.numerics.low_bit import low_bit_format
from qdiag.onnx.recorder import LAYER_NAME

_BATCH_NORM = torch.ops.aten.batch_norm.default


@dataclass(frozen=True)
class FoldedBatchNorm:
    """`norm` is the module path of the BatchNorm, `layer` the name of the graph node that took it in."""

    norm: str
    layer: str


@dataclass(frozen=True)
class NormPair:
    """A BatchNorm node and the layer node beside it, by name.

    Attributes:
        reason: why folding it there is not exact. kept: why it was not folded; None when it was.
    """

    norm: str
    layer: str | None
    is_norm_first: bool
    reason: str | None
    kept: str | None = None


@dataclass(frozen=True)
class FoldResult:
    """The folded program, and what became of each BatchNorm; `pairs` are all of them, in graph order."""

    program: Program
    folded: tuple[FoldedBatchNorm, ...]
    kept: tuple[KeptBatchNorm, ...]
    pairs: tuple[NormPair, ...]


def fold_batchnorms(program: Program, *, only: Container[str] | None = None) -> FoldResult:
    """Folds every BatchNorm that can be folded exactly.

    Args:
        only: graph nodes, by name; the other BatchNorms are not looked at.
    """
    folder = _Folder(program)
    for node in [n for n in folder.graph.nodes if n.op == "call_function" and n.target is _BATCH_NORM]:
        if only is None or node.name in only:
            folder.fold(node)
    folder.graph.eliminate_dead_code()
    folder.graph.lint()
    alive = {node.target for node in folder.graph.nodes if node.op == "placeholder" and node.users}
    folded = replace(
        program,
        graph=folder.graph,
        constants={name: value for name, value in folder.constants.items() if name in alive},
        parameter_names=folder.parameter_names,
    )
    return FoldResult(folded, tuple(folder.folded), tuple(folder.kept), tuple(folder.pairs))


def batch_norm_name(program: Program, node: fx.Node) -> str:
    """Name of a BatchNorm: the one that its file gives it, otherwise its module path, from the names of its tensors."""
    given = node.meta.get(LAYER_NAME)
    if given is not None:
        return str(given)
    for argument in node.args[1:5]:
        if isinstance(argument, fx.Node) and argument.target in program.parameter_names:
            return program.parameter_names[str(argument.target)].rpartition(".")[0]
    return node.name


class _Folder:
    """A copy of the program's graph and constants, while they are being rewritten."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self.graph = fx.Graph()
        output = self.graph.graph_copy(program.graph, {})
        self.graph.output(output)
        self.constants = dict(program.constants)
        self.parameter_names = dict(program.parameter_names)
        self.folded: list[FoldedBatchNorm] = []
        self.kept: list[KeptBatchNorm] = []
        self.pairs: list[NormPair] = []

    def fold(self, node: fx.Node) -> None:
        """Folds one BatchNorm node, or notes why it stays."""
        name = batch_norm_name(self._program, node)
        norm, reason = self._affine(node)
        found = choose(self._before(node), self._after(node, norm))
        layer, reason = found.layer, reason or found.reason
        beside = layer.name if layer is not None else None
        self.pairs.append(NormPair(node.name, beside, found.is_norm_first, found.reason))
        if layer is None or norm is None or reason is not None:
            self._keep(name, reason or "")
            return
        weight, bias = self._weights(layer)
        assert weight is not None
        groups, before, axis = convolution_groups(layer), node.args[0], weight_axis(kind_and_policy(layer)[0])
        assert isinstance(before, fx.Node)
        if found.is_norm_first:
            changed = fold_before(weight, bias, norm, groups=groups)
        else:
            changed = fold_after(weight, bias, norm, output_axis=axis, groups=groups)
        own = weight_format(self.constants, layer)
        if own is not None and low_bit_format(changed[0], axis) is None:
            reason = f"the weights of the layer beside it are {own}, and would not stay so"
            self.pairs[-1] = replace(self.pairs[-1], reason=reason)
            self._keep(name, reason)
            return
        self._rewrite(layer, *changed)
        if not found.is_norm_first:
            hand_on_output(node, layer)
        node.replace_all_uses_with(before)
        self.graph.erase_node(node)
        layer.meta["folded_batchnorms"] = (*layer.meta.get("folded_batchnorms", ()), name)
        self.folded.append(FoldedBatchNorm(name, layer.name))

    def _keep(self, name: str, reason: str) -> None:
        self.pairs[-1] = replace(self.pairs[-1], kept=reason)
        self.kept.append(KeptBatchNorm(name, reason))

    def _affine(self, node: fx.Node) -> tuple[ChannelAffine | None, str | None]:
        gamma, beta, mean, variance = (self._constant(a) for a in node.args[1:5])
        is_training, eps = bool(node.args[5]), node.args[7]
        if is_training:
            return None, "it runs in training mode: its statistics change with every batch"
        if mean is None or variance is None:
            return None, "it has no running statistics"
        assert isinstance(eps, float | int)
        return batch_norm_affine(gamma, beta, mean, variance, float(eps)), None

    def _before(self, node: fx.Node) -> Candidate[fx.Node]:
        layer = node.args[0]
        if not isinstance(layer, fx.Node) or layer.op != "call_function" or not has_weight(kind_and_policy(layer)[0]):
            return Candidate(None, False, NO_LAYER_BEFORE)
        if self._weights(layer)[0] is None:
            return Candidate(None, False, "the layer before it has no constant weight")
        if kind_and_policy(layer)[0] == "linear" and _rank(layer) != 2:
            return Candidate(None, False, "its channels are not the outputs of the linear layer before it")
        return layer_before(layer, reader_count=len(layer.users))

    def _after(self, node: fx.Node, norm: ChannelAffine | None) -> Candidate[fx.Node]:
        layer = next(iter(node.users), None)
        if layer is None or len(node.users) != 1 or layer.op != "call_function" or layer.args[0] is not node:
            return Candidate(None, True, NO_LAYER_BEFORE)
        kind = kind_and_policy(layer)[0]
        if not has_weight(kind) or self._weights(layer)[0] is None:
            return Candidate(None, True, NO_LAYER_BEFORE)
        if kind == "linear" and _rank(layer) != 2:
            return Candidate(None, True, "its channels are not the inputs of the linear layer after it")
        pads = kind == "conv" and is_padded(layer)
        shifts = norm is None or bool((norm.shift != 0).any())
        return layer_after(layer, is_transposed=kind == "conv_transpose", is_padded=pads, shifts=shifts)

    def _constant(self, argument: object) -> Tensor | None:
        return self.constants.get(str(argument.target)) if isinstance(argument, fx.Node) else None

    def _weights(self, layer: fx.Node) -> tuple[Tensor | None, Tensor | None]:
        bias = layer.args[2] if len(layer.args) > 2 else layer.kwargs.get("bias")
        if bias is not None and self._constant(bias) is None:
            return None, None
        return self._constant(layer.args[1]), self._constant(bias)

    def _rewrite(self, layer: fx.Node, weight: Tensor, bias: Tensor) -> None:
        """Gives the layer constants of its own: a shared module may be followed by a different norm each time."""
        old_weight, old_bias = layer.args[1], layer.args[2] if len(layer.args) > 2 else None
        weight_name = self._parameter_name(old_weight)
        bias_name = self._parameter_name(old_bias) or f"{weight_name.rpartition('.')[0]}.bias".lstrip(".")
        new_weight = self._placeholder(f"{layer.name}_folded_weight", weight, weight_name)
        hand_on_signs(old_weight, new_weight)
        new_bias = self._placeholder(f"{layer.name}_folded_bias", bias, bias_name)
        kwargs = {k: v for k, v in layer.kwargs.items() if k != "bias"}
        layer.args = (layer.args[0], new_weight, new_bias, *layer.args[3:])
        layer.kwargs = kwargs

    def _parameter_name(self, argument: object) -> str:
        return self.parameter_names.get(str(argument.target), "") if isinstance(argument, fx.Node) else ""

    def _placeholder(self, name: str, value: Tensor, parameter_name: str) -> fx.Node:
        name = name if name not in self.constants else f"{name}_again"
        first = next(iter(self.graph.nodes))
        with self.graph.inserting_before(first):
            node = self.graph.placeholder(name)
        self.constants[str(node.target)] = value
        self.parameter_names[str(node.target)] = parameter_name
        return node


def _rank(node: fx.Node) -> int:
    value = node.meta.get("val")
    return value.ndim if isinstance(value, Tensor) else 0
