"""One node with the values that it reads: what an operator is called with."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from qdiag.errors import CaptureError
from qdiag.onnx.model import Array, OnnxNode
from qdiag.onnx.scope import Scope
from qdiag.onnx.values import Handle, Known, Size, Value


@dataclass(frozen=True)
class Call:
    """A node, its inputs and where it computes; what is asked for and not there is a `CaptureError` with its name."""

    node: OnnxNode
    scope: Scope
    inputs: tuple[Value | None, ...]
    opset: int

    def has(self, index: int) -> bool:
        """The input is there."""
        return index < len(self.inputs) and self.inputs[index] is not None

    def value(self, index: int = 0) -> Value:
        """An input that must be there."""
        found = self.inputs[index] if index < len(self.inputs) else None
        if found is None:
            raise self.error(f"it has no input {index + 1}")
        return found

    def x(self, index: int = 0) -> Handle:
        """The same as a tensor."""
        return self.scope.tensor(self.value(index))

    def optional(self, index: int) -> Handle | None:
        """An input that may be left out, as a tensor."""
        return self.x(index) if self.has(index) else None

    def known(self, index: int) -> Array | None:
        """An input whose value is known beforehand; None where it is left out."""
        if not self.has(index):
            return None
        value = self.value(index)
        if not isinstance(value, Known):
            raise self.error(f"its input {index + 1} depends on the data of the network, and has to be a constant")
        return value.array

    def number(self, index: int) -> float | None:
        """The same as one number."""
        array = self.known(index)
        return None if array is None or array.size == 0 else float(array.reshape(-1)[0])

    def sizes(self, index: int) -> list[Size] | None:
        """The same as integers, of which some may be symbolic."""
        array = self.known(index)
        return None if array is None else [i if not isinstance(i, int) else int(i) for i in array.reshape(-1).tolist()]

    def ints(self, index: int) -> list[int] | None:
        """The same as plain integers."""
        sizes = self.sizes(index)
        if sizes is not None and not all(isinstance(size, int) for size in sizes):
            raise self.error(f"its input {index + 1} depends on the number of samples")
        return None if sizes is None else [int(size) for size in sizes]

    def ints_of(self, name: str, index: int) -> list[int] | None:
        """Integers that older opsets have as an attribute and newer ones as an input."""
        if name in self.node.attributes:
            value = self.node.attributes[name]
            return [int(i) for i in value] if isinstance(value, list | tuple) else [int(value)]
        return self.ints(index)

    def sizes_of(self, name: str, index: int) -> list[Size]:
        """Sizes that older opsets have as an attribute and newer ones as an input."""
        found = list(self.node.attributes[name]) if name in self.node.attributes else self.sizes(index)
        if found is None:
            raise self.error(f"it has no {name}")
        return found

    def attribute(self, name: str, default: Any = None) -> Any:
        return self.node.attributes.get(name, default)

    def axis(self, default: int, rank: int, name: str = "axis") -> int:
        """An axis that may count from the end."""
        axis = int(self.attribute(name, default))
        if not -rank <= axis < max(rank, 1):
            raise self.error(f"its axis {axis} is none of an input with {rank} axes")
        return axis % rank if rank else 0

    def error(self, fact: str) -> CaptureError:
        """To be raised."""
        return CaptureError(f"{self.node.kind}: {fact}", at=self.node.name)


Operator: TypeAlias = Callable[[Call], Value | tuple[Value, ...]]
"""Computes a node; a tuple where it has several outputs."""
