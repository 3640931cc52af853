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

Order = Literal["plain", "last"]
TO_LAST, TO_PLAIN = (0, 2, 3, 1), (0, 3, 1, 2)


@dataclass(frozen=True)
class Held:
    """A value of the captured graph in the file.

    Attributes:
        place: of the tensor. order: `last` for an image (N, C, H, W) that is stored as (N, H, W, C), else `plain`.
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
        """The same value in this order of axes; what is turned once is kept."""
        if held.order == order or len(self.shape(held)) != 4:
            return held
        key = (held.place, order)
        if key not in self._made:
            axes = TO_LAST if order == "last" else TO_PLAIN
            shape = [self.shape(held)[axis] for axis in axes]
            name = f"{self.tensors[held.place].name}/{'channels last' if order == 'last' else 'channels first'}"
            turned = self.value(name, shape, order, held.quantizer)
            self.operator("TRANSPOSE", [held.place, self.sizes(axes)], [turned.place])
            self._made[key] = turned
        return self._made[key]

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
