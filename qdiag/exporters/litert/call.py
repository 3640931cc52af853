"""One node of the captured graph, as the writer of its operator sees it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, fx

from qdiag.capture.ops import clamp_bounds
from qdiag.core.graph import Layer
from qdiag.errors import CaptureError
from qdiag.exporters.arguments import bound_arguments
from qdiag.exporters.litert.build import TO_LAST, Builder, Held, Order
from qdiag.numerics.quantizers.affine import Affine

_FUSED = {(0.0, np.inf): 1, (-1.0, 1.0): 2, (0.0, 6.0): 3}
_KINDS = {(0.0, np.inf): "RELU", (-1.0, 1.0): "RELU_N1_TO_1", (0.0, 6.0): "RELU6", (0.0, 1.0): "RELU_0_TO_1"}
"""Clamps that operators compute themselves, by their bounds."""

OTHERWISE = "export the part of the network without it, with `submodule`, or write ONNX"
"""What to do where LiteRT has no way to write something."""


@dataclass(frozen=True)
class Ending:
    """How the layer that a node computes ends.

    Attributes:
        clamp: bounds behind it; None without.
        quantizer: of its output; None leaves it in float.
        is_float: the layer itself computes in float.
        adds_bias: the plan adds something to its bias.
        is_stored: a quantized file has the layer as an operator of integers.
        constants: quantizers of constants that it has beside weight and bias, by their nodes.
        weights: tensors of its weight and bias, given the order of axes of the weight, and the axis of its channels.
    """

    clamp: tuple[float, float] | None
    quantizer: Affine | None
    is_float: bool
    weights: Callable[[Sequence[int], int], tuple[int, int]] | None
    adds_bias: bool = False
    is_stored: bool = False
    constants: Mapping[str, Affine] = field(default_factory=dict)


class Call:
    """Arguments by their names in the schema of the operator, and what a writer adds to the file."""

    def __init__(
        self,
        node: fx.Node,
        build: Builder,
        values: Callable[[str], Any],
        examples: Mapping[str, Any],
        *,
        name: str,
        layer: Layer | None,
        ending: Ending | None,
    ) -> None:
        self.node, self.build, self.name, self.layer = node, build, name, layer
        self.ending = ending or Ending(None, None, is_float=False, weights=None)
        self._is_layer = ending is not None
        self._values, self._examples = values, examples
        self._arguments = bound_arguments(node)

    def error(self, what: str) -> CaptureError:
        """What the file cannot say, with the layer."""
        return CaptureError(f"{self.node.target} {what}", at=self.name, hint=OTHERWISE)

    def get(self, key: str, default: Any = None) -> Any:
        """An argument: a plain value, or what nodes gave in its place (`Held`, numbers, lists); plain signals."""
        value = fx.map_arg(self._arguments.get(key), lambda node: self._without_signals(self._values(node.name)))
        return default if value is None else value

    def _without_signals(self, value: Any) -> Any:
        return self.build.in_order(value, "plain") if isinstance(value, Held) and value.order == "signal" else value

    def stored(self, key: str) -> Any:
        """The same, with signals as the file has them."""
        return fx.map_arg(self._arguments.get(key), lambda node: self._values(node.name))

    def held(self, key: str) -> Held:
        """The value that stands there as the file has it, in the type in which the layer computes."""
        value = self.stored(key)
        if not isinstance(value, Held):
            raise self.error(f"takes something else than a tensor as {key}")
        return self.build.in_float(value) if self.is_float else value

    @property
    def is_float(self) -> bool:
        """It computes in float: the plan says so, or something that it reads is not in integers."""
        if not self._is_layer:
            return False
        own = (self.layer.weight, self.layer.bias) if self.layer is not None else ()
        read = [self._values(node.name) for node in self.node.all_input_nodes if node.target not in own]
        held = [one for one in read if isinstance(one, Held)]
        return self.ending.is_float or any(one.quantizer is None for one in held) or self.ending.quantizer is None

    @property
    def keeps_integers(self) -> bool:
        """It was an operator of int8 in a file that was read, and stays one."""
        return self.ending.is_stored and not self.is_float and self.build.kind == "int8"

    def shape(self, key: str | None = None) -> tuple[int, ...]:
        """Of an argument, or of the result, as the captured graph has it."""
        if key is None:
            example = self._examples[self.node.name]
        else:
            example = fx.map_arg(self._arguments.get(key), lambda node: self._examples[node.name])
        if not isinstance(example, Tensor):
            raise self.error("gives something else than a tensor")
        return tuple(int(size) for size in example.shape)

    @property
    def example(self) -> Any:
        """What the node gave for the example."""
        return self._examples[self.node.name]

    def weights(self, order: Sequence[int], axis: int) -> tuple[int, int]:
        """Places of weight and bias.

        Args:
            order: of the axes of the weight in the file. axis: of its channels there.
        """
        if self.ending.weights is None:
            raise self.error("has a weight that the network computes, which is not written")
        return self.ending.weights(order, axis)

    @property
    def has_bias(self) -> bool:
        """Its layer adds something, be it to make up for what rounding does."""
        return self.layer is None or self.layer.bias is not None or self.ending.adds_bias

    def image(self, shape: Sequence[int]) -> tuple[int, ...]:
        """A shape (N, C, H, W), or (N, C, L) of a signal, in the order of the file."""
        rows = shape if len(shape) == len(TO_LAST) else (shape[0], shape[1], 1, shape[2])
        return tuple(rows[axis] for axis in TO_LAST)

    def in_file(self, shape: Sequence[int], order: Order) -> tuple[int, ...]:
        """A shape of the captured graph as a value of this order has it in the file."""
        is_turned = order == "signal" or (order == "last" and len(shape) == len(TO_LAST))
        return self.image(shape) if is_turned else tuple(shape)

    def axis(self, axis: int, held: Held) -> int:
        """Where an axis of the captured graph stands in the file."""
        rank = len(self.build.shape(held))
        if held.order == "signal":
            return (0, 3, 2)[axis % (rank - 1)]
        return TO_LAST.index(axis % rank) if held.order == "last" and rank == len(TO_LAST) else axis % rank

    def result(self, shape: Sequence[int], order: Order, suffix: str = "") -> Held:
        """The tensor that the layer gives, or one before its end.

        Args:
            shape: in the order of the file.
        """
        if not self._is_layer:
            return self.build.value(f"{self.name}{suffix}", shape, order, None)
        return self.build.value(f"{self.name}{suffix}", shape, order, None if self.is_float else self.ending.quantizer)

    def finished(self, kind: str, inputs: Sequence[int], order: Order = "last", **options: Any) -> Held:
        """An operator that computes the clamp of the layer itself, where it is one of those that operators know."""
        shape = self.in_file(self.shape(), order)
        fused = _FUSED.get(self.ending.clamp) if self.ending.clamp is not None else 0
        if fused is None:
            return self.clamped(self.plain(kind, inputs, order, suffix="/unclamped", **options))
        result = self.result(shape, order)
        self.build.operator(kind, inputs, [result.place], fusedActivationFunction=fused, **options)
        return result

    def plain(self, kind: str, inputs: Sequence[int], order: Order, suffix: str = "", **options: Any) -> Held:
        """An operator without a clamp; the value in the order of the file."""
        shape = self.in_file(self.shape(), order)
        result = self.result(shape, order, suffix)
        self.build.operator(kind, inputs, [result.place], **options)
        return result

    def closed(self, kind: str, inputs: Sequence[int], order: Order, **options: Any) -> Held:
        """An operator that knows no clamps, and the clamp of the layer behind it."""
        if self.ending.clamp is None:
            return self.plain(kind, inputs, order, **options)
        return self.clamped(self.plain(kind, inputs, order, suffix="/unclamped", **options))

    def clamped(self, x: Held) -> Held:
        """The value behind the clamp of the layer, as an operator of its own."""
        assert self.ending.clamp is not None
        return clamp(self.build, x, self.ending.clamp, self.name, x.quantizer)

    def moved(
        self, kind: str, x: Held, inputs: Sequence[int], shape: Sequence[int], order: Order, **options: Any
    ) -> Held:
        """An operator that moves values: integers stay what they are.

        Args:
            inputs: behind x. shape: in the order of the file.
        """
        result = self.build.value(self.name, shape, order, x.quantizer)
        self.build.operator(kind, [x.place, *inputs], [result.place], **options)
        return result


def clamp(build: Builder, x: Held, bounds: tuple[float, float], name: str, quantizer: Affine | None) -> Held:
    """A clamp as an operator; of integers, to those that its bounds are rounded to."""
    known = _KINDS.get(bounds)
    if known is not None:
        result = build.value(name, build.shape(x), x.order, quantizer)
        build.operator(known, [x.place], [result.place])
        return result
    for kind, bound in (("MAXIMUM", bounds[0]), ("MINIMUM", bounds[1])):
        if np.isfinite(bound):
            operand = build.operand(f"{name}/{bound:g}", np.asarray(bound, np.float32), x.order, x.quantizer)
            result = build.value(name, build.shape(x), x.order, x.quantizer)
            build.operator(kind, [x.place, operand.place], [result.place])
            x = result
    return x if quantizer is None else build.requantized(x, quantizer, name)


def bounds_of(node: fx.Node) -> tuple[float, float] | None:
    """Of a clamp-type activation."""
    return clamp_bounds(node)


def number_quantizer(value: float) -> Affine:
    """One number as an integer of one step, exactly."""
    return Affine(torch.tensor(abs(value) or 1.0), torch.tensor(0.0), -128, 127)


Write: TypeAlias = Callable[[Call], "Held | list[Held]"]
"""Writes a node."""
