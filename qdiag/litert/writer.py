"""A LiteRT network rewritten in the operators of ONNX, which this project computes, with channels first.

A value of four axes is an image whose channels come last in the file. It is known in one or both of two forms: `first`,
with its channels first, which is what convolutions and pooling compute, and `last`, as in the file, which is what
everything takes that counts axes. One form is made from the other where it is asked for, and kept. Other values have
one form, `last`.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from qdiag.litert.model import Array, LiteGraph
from qdiag.onnx.model import LAYERS, OnnxNode

Form = Literal["first", "last"]
TO_FIRST, TO_LAST = (0, 3, 1, 2), (0, 2, 3, 1)


class FixedBatchError(Exception):
    """What the file computes holds for the number of samples alone that it says."""


class Writer:
    """Nodes, constants, and the names under which values are known.

    Args:
        graph: what is rewritten.
        is_free: values keep an axis of samples in front that may have any size; what does not is a `FixedBatchError`.
    """

    def __init__(self, graph: LiteGraph, *, is_free: bool) -> None:
        self.graph = graph
        self.is_free = is_free
        self.nodes: list[OnnxNode] = []
        self.constants: dict[str, Array] = {}
        self.forms: dict[str, tuple[str, str]] = {}
        self.sampled: set[int] = set()
        self._names: dict[tuple[int, Form], str] = {}
        self._used: Counter[str] = Counter()

    def rank(self, place: int) -> int:
        """How many axes a tensor has."""
        return len(self.graph.tensors[place].shape)

    def has(self, place: int, form: Form) -> bool:
        """It is known in this form, without anything more to be computed; constants are in all."""
        return self.graph.tensors[place].data is not None or (place, form) in self._names

    def put(self, place: int, form: Form) -> str:
        """The name under which a node gives the tensor in this form."""
        key: tuple[int, Form] = (place, form if self.rank(place) == 4 else "last")
        name = self.graph.tensors[place].name
        self._names[key] = self.unique(name)
        return self._names[key]

    def read(self, place: int, form: Form) -> str:
        """The name of the tensor in this form; a node in front makes it of the other one where that is known alone."""
        key: tuple[int, Form] = (place, form if self.rank(place) == 4 else "last")
        if key in self._names:
            return self._names[key]
        tensor = self.graph.tensors[place]
        if tensor.data is not None:
            values = tensor.floats
            assert values is not None
            moved = values.transpose(TO_FIRST) if key[1] == "first" else values
            self._names[key] = self.constant(tensor.name, moved, "channels first" if key[1] == "first" else "")
            return self._names[key]
        other: tuple[int, Form] = (place, "last" if key[1] == "first" else "first")
        if other not in self._names:
            raise KeyError(f"nothing in the file computes {tensor.name}")
        name = self.unique(f"{self._names[other]}/channels {key[1]}")
        order = TO_FIRST if key[1] == "first" else TO_LAST
        self.node("Transpose", [self._names[other]], [name], name, perm=list(order))
        self._names[key] = name
        return name

    def constant(self, name: str, values: Array, form: str = "") -> str:
        """A constant under this name, or one like it; `form` says what was done with the tensor of the file."""
        made = self.unique(name)
        self.constants[made] = np.array(values, order="C")
        self.forms[made] = (name, form)
        return made

    def numbers(self, values: Sequence[int]) -> str:
        """Integers that say how an operator works."""
        return self.constant("numbers", np.asarray(values, np.int64), "computed")

    def number(self, value: float) -> str:
        """One number of type float32."""
        return self.constant("number", np.asarray(value, np.float32), "computed")

    def node(self, op: str, inputs: Sequence[str], outputs: Sequence[str], name: str, **attributes: Any) -> None:
        """One operation; `Linear` is a layer with a matrix of (outputs, inputs)."""
        domain = LAYERS if op == "Linear" else ""
        self.nodes.append(OnnxNode(op, domain, name, tuple(inputs), tuple(outputs), attributes))

    def unique(self, name: str) -> str:
        """A name that no value has yet."""
        self._used[name] += 1
        return name if self._used[name] == 1 else self.unique(f"{name}#{self._used[name]}")
