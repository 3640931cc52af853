"""A LiteRT network that grows operator by operator."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from qdiag.exporters.litert.number_types import ActivationType, as_affine, dtype_of, lite_quantization, stored_integers
from qdiag.litert.model import Array, LiteGraph, LiteOperator, LiteQuantization, LiteTensor
from qdiag.numerics.quantizers.affine import Affine
from qdiag.numerics.quantizers.base import Quantizer

Order = Literal["plain", "last", "signal"]
TO_LAST, TO_PLAIN = (0, 2, 3, 1), (0, 3, 1, 2)
_IMAGE, _SIGNAL = 4, 3


@dataclass(frozen=True)
class Held:
    """A value of the captured graph in the file.

    Attributes:
        place: of the tensor.
        order: `last` for an image (N, C, H, W) that is stored as (N, H, W, C), `signal` for a signal (N, C, L) that is
            stored as an image of one row, (N, 1, L, C), else `plain`.
        quantizer: of its integers; None for float32.
    """

    place: int
    order: Order
    quantizer: Affine | None


class Builder:
    """Tensors and operators, each tensor under a name of its own.

    Args:
        kind: of bytes.
    """

    def __init__(self, kind: ActivationType = "int8") -> None:
        self.kind = kind
        self.tensors: list[LiteTensor] = []
        self.operators: list[LiteOperator] = []
        self._names: Counter[str] = Counter()
        self._made: dict[tuple[Any, ...], Held] = {}

    def unique(self, name: str) -> str:
        """The name, with a number behind it from the second time on."""
        self._names[name] += 1
        return name if self._names[name] == 1 else self.unique(f"{name}_{self._names[name]}")

    def tensor(
        self,
        name: str,
        shape: Sequence[int],
        dtype: Any,
        data: Array | None = None,
        quantization: LiteQuantization | None = None,
    ) -> int:
        """A tensor; its place."""
        sizes = tuple(int(size) for size in shape)
        free = (False,) * len(sizes)
        self.tensors.append(LiteTensor(self.unique(name), sizes, free, np.dtype(dtype), data, quantization))
        return len(self.tensors) - 1

    def value(self, name: str, shape: Sequence[int], order: Order, quantizer: Quantizer | None) -> Held:
        """What an operator gives.

        Args:
            shape: in the order of the file.
        """
        if quantizer is None:
            return Held(self.tensor(name, shape, np.float32), order, None)
        affine = self.affine(quantizer, name)
        return Held(self.tensor(name, shape, dtype_of(affine), None, lite_quantization(affine)), order, affine)

    def affine(self, quantizer: Quantizer, name: str) -> Affine:
        """In the numbers of the file."""
        return as_affine(quantizer, name, self.kind)

    def shape(self, held: Held) -> tuple[int, ...]:
        """In the order of the file."""
        return self.tensors[held.place].shape

    def constant(self, name: str, values: Array) -> int:
        """Numbers that say how an operator works, or a float constant."""
        return self.tensor(name, values.shape, values.dtype, values)

    def operand(self, name: str, values: Array, order: Order, quantizer: Affine | None) -> Held:
        """A constant that meets data: as integers of a quantizer, or in float.

        Args:
            values: in the order of the file.
        """
        if quantizer is None:
            return Held(self.constant(name, values.astype(np.float32)), order, None)
        affine = self.affine(quantizer, name)
        integers = stored_integers(affine, values)
        return Held(self.tensor(name, values.shape, integers.dtype, integers, lite_quantization(affine)), order, affine)

    def operator(self, kind: str, inputs: Sequence[int], outputs: Sequence[int], **options: Any) -> None:
        """One operation."""
        self.operators.append(LiteOperator(kind, tuple(inputs), tuple(outputs), options))

    def in_order(self, held: Held, order: Order) -> Held:
        """The same value in this order of axes; what is turned once is kept.

        Only images can have their channels last, and only signals be images of one row: other values stay.
        """
        key = (held.place, order)
        if key not in self._made:
            self._made[key] = self._turned(held, order)
        return self._made[key]

    def _turned(self, held: Held, order: Order) -> Held:
        shape, name = self.shape(held), self.tensors[held.place].name
        if held.order == "signal" and order == "plain":
            rows = self.reshaped(held, (shape[0], *shape[2:]), f"{name}/row")
            return self.transposed(rows, (0, 2, 1), f"{name}/channels first")
        if held.order == "plain" and order == "signal" and len(shape) == _SIGNAL:
            turned = self.transposed(held, (0, 2, 1), f"{name}/channels last")
            row = self.reshaped(turned, (shape[0], 1, shape[2], shape[1]), f"{name}/as an image")
            return Held(row.place, "signal", row.quantizer)
        if {held.order, order} != {"plain", "last"} or len(shape) != _IMAGE:
            return held
        axes, where = (TO_LAST, "last") if order == "last" else (TO_PLAIN, "first")
        turned = self.transposed(held, axes, f"{name}/channels {where}")
        return Held(turned.place, order, turned.quantizer)

    def transposed(self, held: Held, axes: Sequence[int], name: str) -> Held:
        """With its axes in this order, by TRANSPOSE; of a constant, as another constant."""
        tensor = self.tensors[held.place]
        if tensor.data is not None:
            return self._constant_like(held, np.ascontiguousarray(tensor.data.transpose(axes)), name)
        made = self.value(name, [tensor.shape[axis] for axis in axes], "plain", held.quantizer)
        self.operator("TRANSPOSE", [held.place, self.sizes(axes)], [made.place])
        return made

    def reshaped(self, held: Held, shape: Sequence[int], name: str) -> Held:
        """The same elements in this shape, by RESHAPE; of a constant, as another constant."""
        tensor = self.tensors[held.place]
        if tensor.data is not None:
            return self._constant_like(held, tensor.data.reshape(shape), name)
        made = self.value(name, shape, "plain", held.quantizer)
        sizes = [-1, *shape[1:]] if shape else []
        self.operator("RESHAPE", [held.place, self.sizes(sizes)], [made.place], newShape=sizes)
        return made

    def _constant_like(self, held: Held, values: Array, name: str) -> Held:
        tensor = self.tensors[held.place]
        return Held(self.tensor(name, values.shape, tensor.dtype, values, tensor.quantization), "plain", held.quantizer)

    def with_axes(self, held: Held, count: int) -> Held:
        """With axes of one element in front, so that there are as many as this; as it is where it has them."""
        shape = self.shape(held)
        missing = count - len(shape)
        if held.order != "plain" or missing <= 0:
            return held
        return self.reshaped(held, (1,) * missing + shape, f"{self.tensors[held.place].name}/{count} axes")

    def in_float(self, held: Held) -> Held:
        """The same value in float32."""
        if held.quantizer is None:
            return held
        key = (held.place, "float")
        if key not in self._made:
            name = f"{self.tensors[held.place].name}/dequantized"
            made = self.value(name, self.shape(held), held.order, None)
            self.operator("DEQUANTIZE", [held.place], [made.place])
            self._made[key] = made
        return self._made[key]

    def requantized(self, held: Held, quantizer: Affine, name: str) -> Held:
        """The value in the integers of this quantizer."""
        if held.quantizer is not None and self.affine(quantizer, name).key == held.quantizer.key:
            return held
        made = self.value(name, self.shape(held), held.order, quantizer)
        self.operator("QUANTIZE", [held.place], [made.place])
        return made

    def sizes(self, values: Sequence[int]) -> int:
        """Integers that say how an operator works."""
        return self.constant("sizes", np.asarray(values, np.int32))

    def graph(self, inputs: Sequence[int], outputs: Sequence[int]) -> LiteGraph:
        """What was built."""
        return LiteGraph(tuple(self.tensors), tuple(self.operators), tuple(inputs), tuple(outputs))
