"""Operations in float of which a layer is made that LiteRT has no operator for."""

from collections.abc import Sequence

import numpy as np

from qdiag.exporters.litert.build import Held, Order
from qdiag.exporters.litert.call import Call
from qdiag.litert.model import Array


class Steps:
    """Values and operators inside of one layer.

    Args:
        like: a value whose order of axes the others have.
    """

    def __init__(self, call: Call, like: Held) -> None:
        self._call, self._build, self._order = call, call.build, like.order

    def value(self, order: Order, shape: Sequence[int]) -> Held:
        """A float value."""
        return self._build.value(f"{self._call.name}/step", shape, order, None)

    def number(self, number: float) -> Held:
        """One number."""
        return self.constant(np.asarray(number, np.float32))

    def constant(self, values: Array) -> Held:
        """Several, in the order of the file."""
        place = self._build.constant(f"{self._call.name}/constant", values.astype(np.float32))
        return Held(place, self._order, None)

    def two(self, kind: str, first: Held, second: Held) -> Held:
        """Arithmetic of two values, the second of which may be smaller."""
        made = self.value(first.order, self._build.shape(first))
        self._build.operator(kind, [first.place, second.place], [made.place], fusedActivationFunction=0)
        return made

    def one(self, kind: str, x: Held) -> Held:
        """A function of each element."""
        made = self.value(x.order, self._build.shape(x))
        self._build.operator(kind, [x.place], [made.place])
        return made

    def mean(self, x: Held, axes: Sequence[int]) -> Held:
        """Over axes of the file, which stay."""
        shape = [1 if axis in axes else size for axis, size in enumerate(self._build.shape(x))]
        made = self.value(x.order, shape)
        self._build.operator("MEAN", [x.place, self._build.sizes(sorted(axes))], [made.place], keepDims=True)
        return made

    def reshaped(self, x: Held, shape: Sequence[int]) -> Held:
        """The same elements."""
        made = self.value("plain", shape)
        self._build.operator("RESHAPE", [x.place, self._build.sizes(shape)], [made.place], newShape=list(shape))
        return made
