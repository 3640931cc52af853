"""Many networks beside one float reference: what is equal is computed once.

Each value is a reference tensor and one tensor per variant. Where a variant's arguments are the very objects that the
reference (or another variant) has, so is its result: the unchanged prefix of a network costs nothing, exactly.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils import _pytree as pytree

from qdiag.core.graph import Layer
from qdiag.numerics.layout import dense, flat_chunks
from qdiag.numerics.quantizers.base import Clamp, Quantizer
from qdiag.simulate.arithmetic.limits import OutputLimits, limited_output, output_limits
from qdiag.simulate.case import Case
from qdiag.simulate.passes.network import Network
from qdiag.simulate.passes.runner import LayerRunner
from qdiag.simulate.passes.variant_weights import differing_constants, layer_weights
from qdiag.simulate.passes.weights import SimulatedWeights, with_weights


@dataclass(slots=True)
class Variants:
    """One value in the float network and in each variant.

    Attributes:
        is_fresh: nobody else holds these tensors' memory, so it may be written to.
    """

    reference: Any
    simulated: list[Any]
    is_fresh: bool = False


Choice = Callable[[Variants], Any]


class VariantRunner(LayerRunner):
    """Runs the float network and the networks of several cases on the same batches.

    Args:
        reference: the float network. cases: others of the same graph, with weights, clamps and plans of their own.
    """

    def __init__(self, reference: Network, cases: Sequence[Case]) -> None:
        super().__init__(reference)
        self._count = len(cases)
        layers = [{layer.name: layer for layer in case.network.graph.layers} for case in cases]
        self._clamps = {layer.name: [by[layer.name].clamp for by in layers] for layer in reference.graph.layers}
        self._quantizers = {
            layer.name: [case.plan.layers[layer.name].output for case in cases] for layer in reference.graph.layers
        }
        self._weights = layer_weights(reference, cases)
        self._limits = {
            layer.name: [output_limits(case.plan, layer) for case in cases]
            for layer in reference.graph.layers
            if layer.weight is not None
        }
        self._constants = differing_constants(reference, cases)
        self.computed_count = 0
        """Operations with data that were really run, for all variants and batches together."""
        self.reused_count = 0
        """Those whose result was at hand already."""

    def run_node(self, n: fx.Node) -> Any:
        """A constant that some variant has otherwise enters as variants."""
        if n.op == "placeholder" and n.target in self._constants:
            value = Variants(self.network.program.constants[str(n.target)], self._constants[str(n.target)])
            layer = self._layers.get(n.name)
            return value if layer is None else self.close(layer, value)
        return super().run_node(n)

    def compute(self, node: fx.Node, layer: Layer | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        target: Any = node.target
        leaves, spec = pytree.tree_flatten((args, kwargs), is_leaf=_is_variants)
        places = [i for i, leaf in enumerate(leaves) if _is_variants(leaf)]
        if not places:
            return target(*args, **kwargs)
        weights = self._weights.get(layer.name) if layer is not None else None
        limits = self._limits.get(layer.name) if layer is not None else None

        def run(choose: Choice, own: SimulatedWeights | None, limit: OutputLimits | None) -> Any:
            chosen = [choose(leaf) if _is_variants(leaf) else leaf for leaf in leaves]
            own_args, own_kwargs = pytree.tree_unflatten(chosen, spec)
            if layer is None or own is None:
                return target(*own_args, **own_kwargs)
            output = target(*with_weights(own_args, own), **own_kwargs)
            if limit is None or own.weight is None:
                return output
            return limited_output(limit, node, layer, own_args[0], own.weight, output)

        def key(choose: Choice, own: SimulatedWeights | None, limit: OutputLimits | None) -> tuple[object, ...]:
            data = tuple(id(choose(leaves[i])) for i in places)
            weighted = data if own is None else (*data, id(own.weight), id(own.bias))
            return weighted if limit is None else (*weighted, limit.key)

        done: dict[tuple[object, ...], Any] = {}

        def result(choose: Choice, own: SimulatedWeights | None, limit: OutputLimits | None) -> Any:
            at = key(choose, own, limit)
            if at in done:
                self.reused_count += 1
            else:
                self.computed_count += 1
                done[at] = run(choose, own, limit)
            return done[at]

        reference = result(lambda v: v.reference, weights.reference if weights else None, None)
        simulated = [
            result(_nth(i), weights.simulated[i] if weights else None, limits[i] if limits else None)
            for i in range(self._count)
        ]
        # a view shares its memory with what it views, and an unknown operation may
        fresh = layer is not None and layer.policy not in ("pass", "float")
        return _join(reference, simulated, is_fresh=fresh)

    def enter(self, layer: Layer, value: Any) -> Any:
        del layer
        return Variants(value, [value] * self._count)

    def borrowed(self, value: Any) -> Any:
        return Variants(value.reference, value.simulated) if _is_variants(value) else value

    def close(self, layer: Layer, value: Any) -> Any:
        if isinstance(value, Tensor):
            value = self.enter(layer, value)
        variants = _first_float(value)
        if variants is None:
            return value
        closed = self._close(layer, variants)
        return closed if value is variants else tuple(closed if v is variants else v for v in value)

    def _close(self, layer: Layer, variants: Variants) -> Variants:
        work: list[tuple[Tensor, Quantizer | None, Clamp | None]] = [(variants.reference, None, layer.clamp)]
        for source, quantizer, clamp in zip(
            variants.simulated, self._quantizers[layer.name], self._clamps[layer.name], strict=True
        ):
            is_idle = clamp is not None and quantizer is not None and quantizer.covers(clamp)
            work.append((source, quantizer, None if is_idle else clamp))
        keys = [(id(source), q.key if q is not None else None, clamp) for source, q, clamp in work]
        reader_count = Counter(at for at, _, _ in set(keys))
        done: dict[Hashable, Tensor] = {}
        for at, (source, quantizer, clamp) in zip(keys, work, strict=True):
            if at not in done:
                in_place = variants.is_fresh and reader_count[at[0]] == 1
                done[at] = _closed(source, quantizer, clamp, in_place=in_place)
        return Variants(done[keys[0]], [done[at] for at in keys[1:]])


def _closed(source: Tensor, quantizer: Quantizer | None, clamp: Clamp | None, *, in_place: bool) -> Tensor:
    if quantizer is None and clamp is None:
        return source
    source = dense(source)
    target = source if in_place else torch.empty_like(source)
    for source_chunk, target_chunk in flat_chunks(source, target):
        chunk = source_chunk
        if clamp is not None:
            torch.clamp(chunk, *clamp, out=target_chunk)
            chunk = target_chunk
        if quantizer is not None:
            quantizer.fake_quantize_chunk(chunk, target_chunk)
    return target


def _nth(variant: int) -> Choice:
    return lambda v: v.simulated[variant]


def _is_variants(value: Any) -> bool:
    return isinstance(value, Variants)


def _join(reference: Any, simulated: list[Any], *, is_fresh: bool) -> Any:
    """Results of one operation: a tensor, or a tuple of tensors; sizes and numbers are the reference's."""
    if isinstance(reference, Tensor):
        return Variants(reference, simulated, is_fresh)
    if isinstance(reference, tuple | list):
        return tuple(_join(r, [s[i] for s in simulated], is_fresh=is_fresh) for i, r in enumerate(reference))
    return reference


def _first_float(value: Any) -> Variants | None:
    for leaf in pytree.tree_leaves(value, is_leaf=_is_variants):
        if _is_variants(leaf) and leaf.reference.is_floating_point():
            found: Variants = leaf
            return found
    return None
