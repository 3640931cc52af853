"""What the weight of a layer is made of: tensors of the model, and the BatchNorms that are folded into it."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, fx

from qdiag.capture.fold import fold_batchnorms
from qdiag.capture.rewrites.computed import fold_computed
from qdiag.core.graph import Layer
from qdiag.numerics.batchnorm import ChannelAffine, batch_norm_affine, fold_after, fold_before
from qdiag.simulate.case import Case
from qdiag.train.network.live_values import LiveValues


@dataclass(frozen=True)
class NormSource:
    """A BatchNorm of the captured graph.

    Attributes:
        mean, variance: placeholders of its running statistics.
        eps: added to the variance. momentum: weight of a new batch in the running statistics.
        is_first: the layer reads it; otherwise it reads the layer.
    """

    gamma: fx.Node | None
    beta: fx.Node | None
    mean: str
    variance: str
    eps: float
    momentum: float
    is_first: bool = False

    @classmethod
    def of(cls, node: fx.Node, *, is_first: bool = False) -> "NormSource | None":
        """Of an `aten.batch_norm`; None where it has no running statistics."""
        gamma, beta, mean, variance, _, momentum, eps, *_ = node.args[1:]
        if not isinstance(mean, fx.Node) or not isinstance(variance, fx.Node):
            return None
        assert isinstance(eps, float | int) and isinstance(momentum, float | int)
        return cls(
            gamma if isinstance(gamma, fx.Node) else None,
            beta if isinstance(beta, fx.Node) else None,
            str(mean.target),
            str(variance.target),
            float(eps),
            float(momentum),
            is_first,
        )

    def parts(self, live: LiveValues) -> tuple[Tensor | None, Tensor | None]:
        """Gamma and beta as they are."""
        gamma, beta = (live.of(one) if one is not None else None for one in (self.gamma, self.beta))
        return gamma, beta

    def affine(self, live: LiveValues, tensors: Mapping[str, Tensor]) -> ChannelAffine:
        """What it does with its running statistics."""
        return batch_norm_affine(*self.parts(live), tensors[self.mean], tensors[self.variance], self.eps)


@dataclass(frozen=True)
class WeightSource:
    """Where a layer has its weight and bias from.

    Attributes:
        weight, bias: nodes of the captured graph.
        norms: the BatchNorms that are folded into the weight, in this order.
    """

    layer: Layer
    weight: fx.Node
    bias: fx.Node | None
    norms: tuple[NormSource, ...] = ()

    @property
    def norm_after(self) -> NormSource | None:
        """The BatchNorm that reads the layer, where that is the only one that it took in."""
        return self.norms[0] if len(self.norms) == 1 and not self.norms[0].is_first else None

    def folded(self, live: LiveValues, tensors: Mapping[str, Tensor]) -> tuple[Tensor, Tensor | None]:
        """Weight and bias with the BatchNorms in them, as the fold of the network makes them, with their history."""
        with torch.enable_grad():
            weight, bias = live.of(self.weight), live.of(self.bias) if self.bias is not None else None
            for norm in self.norms:
                affine, layer = norm.affine(live, tensors), self.layer
                if norm.is_first:
                    weight, bias = fold_before(weight, bias, affine, groups=layer.groups)
                else:
                    axis = layer.weight_axis
                    weight, bias = fold_after(weight, bias, affine, output_axis=axis, groups=layer.groups)
        return laid(weight), bias


def laid(x: Tensor) -> Tensor:
    """In the layout that `place` gives to constants, with its history."""
    if x.device.type == "cpu" and x.ndim == 4 and x.is_floating_point():
        return x.contiguous(memory_format=torch.channels_last)
    return x


def weight_sources(case: Case) -> dict[str, WeightSource]:
    """Name of a layer with a constant weight to what that is made of."""
    nodes = {node.name: node for node in case.program.graph.nodes}
    norms = _folded_norms(case)
    found = {}
    for layer in case.network.graph.layers:
        if layer.weight is None:
            continue
        node = nodes[layer.nodes[0]]
        weight = node.args[1]
        bias = node.args[2] if len(node.args) > 2 else node.kwargs.get("bias")
        assert isinstance(weight, fx.Node)
        own = bias if isinstance(bias, fx.Node) else None
        found[layer.name] = WeightSource(layer, weight, own, tuple(norms.get(node.name, ())))
    return found


def kept_norms(case: Case) -> dict[str, NormSource]:
    """Node names of the BatchNorms that no layer took in."""
    batch_norm = torch.ops.aten.batch_norm.default
    nodes = {node.name: node for node in case.program.graph.nodes}
    kept = [node.name for node in case.network.program.graph.nodes if node.target is batch_norm]
    return {name: source for name in kept if (source := NormSource.of(nodes[name])) is not None}


def _folded_norms(case: Case) -> dict[str, list[NormSource]]:
    if not case.scheme.fold_batchnorm:
        return {}
    nodes = {node.name: node for node in case.program.graph.nodes}
    result = fold_batchnorms(fold_computed(case.program))
    left = {node.name for node in result.program.graph.nodes}
    found: dict[str, list[NormSource]] = {}
    for pair in result.pairs:
        if pair.layer is not None and pair.norm not in left:
            source = NormSource.of(nodes[pair.norm], is_first=pair.is_norm_first)
            assert source is not None, "a BatchNorm without statistics is not folded"
            found.setdefault(pair.layer, []).append(source)
    return found
