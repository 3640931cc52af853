"""One node of the captured graph, as the writer of its operator sees it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor, fx

from qdiag.core.graph import Layer
from qdiag.errors import CaptureError
from qdiag.exporters.arguments import bound_arguments
from qdiag.exporters.onnx.graph import GraphWriter


@dataclass(frozen=True)
class Named:
    """A tensor of the file."""

    name: str


@dataclass(frozen=True)
class Size:
    """A number that is known only when the network runs: the name of an int64 tensor with one element."""

    name: str


Value = Any
"""Named, Size, a list of them, or a plain number, text or None."""


class Call:
    """Arguments by their names in the schema of the operator, and what a writer adds to the graph.

    Attributes:
        node: of the captured graph. graph: what is written to.
        name: of the layer, or of the node where it belongs to none.
        layer: that the node begins, or None.
    """

    def __init__(
        self,
        node: fx.Node,
        graph: GraphWriter,
        values: Mapping[str, Value],
        examples: Mapping[str, Any],
        *,
        name: str,
        layer: Layer | None,
        weights: Callable[[], tuple[str, str]],
        close: Callable[[str], str],
    ) -> None:
        self.graph, self.name, self.layer = graph, name, layer
        self.node, self._values, self._examples = node, values, examples
        self._arguments = bound_arguments(node)
        self._weights, self._close = weights, close
        self.is_closed = False

    def error(self, what: str) -> CaptureError:
        """What the file cannot say, with the layer."""
        return CaptureError(f"{self.node.target} {what}", at=self.name)

    def has(self, key: str) -> bool:
        """The argument is there and is not None."""
        return self._arguments.get(key) is not None

    def get(self, key: str, default: Any = None) -> Any:
        """An argument: a plain value, or what nodes gave in their place (`Named`, `Size`, lists)."""
        value = fx.map_arg(self._arguments.get(key), lambda node: self._values[node.name])
        return default if value is None else value

    def tensor(self, key: str) -> str:
        """Name of the tensor that stands there."""
        value = self.get(key)
        if not isinstance(value, Named):
            raise self.error(f"takes something else than a tensor as {key}")
        return value.name

    def value_of(self, node: Any) -> str:
        """Name of the tensor that another node gave."""
        value = self._values[node.name]
        if not isinstance(value, Named):
            raise self.error("reads something else than a tensor")
        return value.name

    def operand(self, key: str, like: str | None = None) -> str:
        """Name of a tensor, or of a constant made of a plain number.

        Args:
            like: a tensor beside it: where that is quantized, so is the number, exactly.
        """
        value = self.get(key)
        return value.name if isinstance(value, Named) else self.number(float(value), like)

    def number(self, value: float, like: str | None = None) -> str:
        """A constant; behind a DequantizeLinear, as plus or minus one step, beside a quantized tensor."""
        constant = self.graph.constant(f"number_{value:g}", np.float32(value))
        beside = self.graph.quantizers.get(like) if like is not None else None
        return constant if beside is None else self.graph.number(value, beside)

    def example(self, key: str | None = None) -> Any:
        """What an argument, or the result, was for the example: tensors without values, or numbers."""
        if key is None:
            return self._examples[self.node.name]
        return fx.map_arg(self._arguments.get(key), lambda node: self._examples[node.name])

    def shape(self, key: str | None = None) -> tuple[int, ...]:
        """Of an argument, or of the result, for the example."""
        example = self.example(key)
        if not isinstance(example, Tensor):
            raise self.error("gives something else than a tensor")
        return tuple(example.shape)

    def axis(self, key: str, rank: int) -> int:
        """An axis counted from the first one."""
        return int(self.get(key, 0)) % max(rank, 1)

    def add(self, op: str, *inputs: str, suffix: str = "", **attributes: Any) -> str:
        """One node; the name of its output."""
        return self.graph.add(op, inputs, self.name + suffix, **attributes)

    def moved(self, tensor: str, op: str, *inputs: str, suffix: str = "", **attributes: Any) -> str:
        """`op` on `tensor` (and further inputs), which moves values: a quantized one is quantized again, exactly."""
        return self.graph.moved(tensor, op, (tensor, *inputs), self.name + suffix, **attributes)

    def sizes(self, values: Sequence[Value]) -> str:
        """A vector of int64; a constant unless some of it is known only when the network runs."""
        if all(isinstance(value, int) for value in values):
            return self.graph.integers(values)
        parts = [value.name if isinstance(value, Size) else self.graph.integers([value]) for value in values]
        return self.add("Concat", *parts, suffix="/shape", axis=0)

    def weight_and_bias(self) -> tuple[str, ...]:
        """Names of the weight, and of the bias where there is one, as integers where the plan has them so."""
        weight, bias = self._weights()
        return (weight, bias) if bias else (weight,)

    def closed(self, tensor: str) -> str:
        """The tensor behind the clamp and the quantizer of the layer, for an operation that moves it afterwards."""
        self.is_closed = True
        return self._close(tensor)
