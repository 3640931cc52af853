"""A LiteRT network rewritten in the operators of ONNX, which this project computes, with channels first.

A value of four axes is an image whose channels come last in the file. It is known in one or both of two forms: `first`,
with its channels first, which is what convolutions and pooling compute, and `last`, as in the file, which is what
everything takes that counts axes. One form is made from the other where it is asked for, and kept. Other values have
one form, `last`.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from qdiag.litert.model import Array, LiteGraph, LiteTensor
from qdiag.onnx.model import LAYERS, OnnxNode

Form = Literal["first", "last"]
TO_FIRST, TO_LAST = (0, 3, 1, 2), (0, 2, 3, 1)
BEFORE = "_quantized"
"""Behind the name of a value that becomes integers, and of integers that become a value: the tensor has it without."""
_TURNED = "channels first"
_OWN = ("ChannelSlopes", "Linear", "Rsqrt", "SquaredDifference")
"""Operators that ONNX does not have."""


@dataclass(frozen=True)
class Laid:
    """A constant of the file as it is laid out in the network.

    Attributes:
        name: of its tensor. move: from the layout of the file to that of the network.
    """

    name: str
    move: Callable[[Array], Array]


class FixedBatchError(Exception):
    """What the file computes holds for the number of samples alone that it says."""


class Writer:
    """Nodes, constants, and the names under which values are known.

    Args:
        graph: what is rewritten.
        is_free: values keep an axis of samples in front that may have any size; what does not is a `FixedBatchError`.

    Attributes:
        laid: constants of the file, by the names that they have here. integers: by the names under which integers are
            known, the places of the tensors that hold them.
    """

    def __init__(self, graph: LiteGraph, *, is_free: bool) -> None:
        self.graph = graph
        self.is_free = is_free
        self.nodes: list[OnnxNode] = []
        self.constants: dict[str, Array] = {}
        self.forms: dict[str, tuple[str, str]] = {}
        self.laid: dict[str, Laid] = {}
        self.integers: dict[str, int] = {}
        self.sampled: set[int] = set()
        self._names: dict[tuple[int, Form], str] = {}
        self._used: Counter[str] = Counter()
        self._late: list[OnnxNode] = []
        self._made: set[str] = set()

    def rank(self, place: int) -> int:
        """How many axes a tensor has."""
        return len(self.graph.tensors[place].shape)

    def has(self, place: int, form: Form) -> bool:
        """It is known in this form, without anything more to be computed; constants are in all."""
        return self.graph.tensors[place].data is not None or (place, form) in self._names

    def put(self, place: int, form: Form) -> str:
        """The name under which a node gives the tensor in this form; where that is quantized, it goes on to be."""
        tensor = self.graph.tensors[place]
        name = self.unique(tensor.name)
        self._made.add(name)
        if tensor.quantization is None:
            self._names[self._key(place, form)] = name
            return name
        before = f"{name}{BEFORE}"
        self.quantize(place, form, before, name)
        return before

    def enter(self, place: int, form: Form) -> str:
        """The name of an input of the network, which is given in float."""
        name = self.unique(self.graph.tensors[place].name)
        self._names[self._key(place, form)] = name
        self._made |= {name, f"{name}/dequantized"}
        if self.graph.tensors[place].quantization is not None:
            self.quantize(place, form, name, f"{name}/dequantized")
        return name

    def quantize(self, place: int, form: Form, source: str, name: str) -> None:
        """The tensor in this form as the numbers that its integers stand for, under this name."""
        tensor = self.graph.tensors[place]
        assert tensor.quantization is not None
        self._made.add(name)
        numbers = [
            self.constant(f"{name}/scale", tensor.quantization.scales.reshape(()), "computed"),
            self.constant(
                f"{name}/zero point", tensor.quantization.zero_points.reshape(()).astype(tensor.dtype), "computed"
            ),
        ]
        self._late += [
            OnnxNode("QuantizeLinear", "", f"{name}/quantize", (source, *numbers), (f"{name}/integers",), {}),
            OnnxNode("DequantizeLinear", "", f"{name}/dequantize", (f"{name}/integers", *numbers), (name,), {}),
        ]
        self.integers[f"{name}/integers"] = place
        self._names[self._key(place, form)] = name

    def settle(self) -> None:
        """Puts what quantizes values behind the operator that gives them."""
        self.nodes += self._late
        self._late = []

    @property
    def images(self) -> set[int]:
        """Tensors that were made with their channels first."""
        return {place for (place, form), name in self._names.items() if form == "first" and name in self._made}

    def _key(self, place: int, form: Form) -> tuple[int, Form]:
        return place, form if self.rank(place) == 4 else "last"

    def read(self, place: int, form: Form) -> str:
        """The name of the tensor in this form; a node in front makes it of the other one where that is known alone."""
        key = self._key(place, form)
        if key in self._names:
            return self._names[key]
        tensor = self.graph.tensors[place]
        if tensor.data is not None:
            is_turned = key[1] == "first"
            order = TO_FIRST if is_turned else tuple(range(len(tensor.shape)))
            self._names[key] = self.stored(tensor, lambda values: values.transpose(order), _TURNED if is_turned else "")
            return self._names[key]
        other: tuple[int, Form] = (place, "last" if key[1] == "first" else "first")
        if other not in self._names:
            raise KeyError(f"nothing in the file computes {tensor.name}")
        name = self.unique(f"{self._names[other]}/channels {key[1]}")
        order = TO_FIRST if key[1] == "first" else TO_LAST
        self.node("Transpose", [self._names[other]], [name], name, perm=list(order))
        self._names[key] = name
        return name

    def stored(self, tensor: LiteTensor, move: Callable[[Array], Array], form: str = "") -> str:
        """A constant of the file, moved to where it belongs; integers stand for numbers as they do in the file.

        Args:
            move: to another shape, or another order of axes. form: what that is.
        """
        assert tensor.data is not None
        if tensor.quantization is None:
            values = tensor.floats
            assert values is not None
            made = self.constant(tensor.name, move(values), form)
            self.laid[made] = Laid(tensor.name, move)
            return made
        name = self.unique(tensor.name)
        self.laid[name] = Laid(tensor.name, move)
        integers, scales = move(tensor.data), tensor.quantization.scales
        numbers = (scales, tensor.quantization.zero_points.astype(integers.dtype))
        numbers = numbers if scales.size > 1 else (numbers[0].reshape(()), numbers[1].reshape(()))
        places = [
            self.constant(f"{name}{BEFORE}", integers, "computed"),
            self.constant(f"{name}/scale", numbers[0], "computed"),
            self.constant(f"{name}/zero point", numbers[1], "computed"),
        ]
        axis = _axis_behind(tensor, move) if scales.size > 1 else 0
        self.node("DequantizeLinear", places, [f"{name}/dequantized"], f"{name}/dequantize", axis=axis)
        self.forms[name] = (name, form)
        return f"{name}/dequantized"

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
        domain = LAYERS if op in _OWN else ""
        self.nodes.append(OnnxNode(op, domain, name, tuple(inputs), tuple(outputs), attributes))

    def unique(self, name: str) -> str:
        """A name that no value has yet."""
        self._used[name] += 1
        return name if self._used[name] == 1 else self.unique(f"{name}#{self._used[name]}")


def _axis_behind(tensor: LiteTensor, move: Callable[[Array], Array]) -> int:
    """Where the axis of the channels goes."""
    assert tensor.quantization is not None
    shape = [1] * len(tensor.shape)
    shape[tensor.quantization.axis] = -1
    channels = np.arange(tensor.shape[tensor.quantization.axis]).reshape(shape)
    moved = move(np.broadcast_to(channels, tensor.shape).copy())
    ends = [bool((np.diff(moved, axis=axis) != 0).any()) for axis in range(moved.ndim)]
    return ends.index(True) if True in ends else 0
