"""One operator with its tensors: what a rule of rewriting is called with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from qdiag.errors import LoadError
from qdiag.litert.model import Array, LiteOperator, LiteTensor
from qdiag.litert.writer import FixedBatchError, Form, Writer

_ACTIVATIONS = {0: "NONE", 1: "RELU", 2: "RELU_N1_TO_1", 3: "RELU6", 4: "TANH", 5: "SIGN_BIT"}
_BOUNDS = {"RELU_N1_TO_1": (-1.0, 1.0), "RELU6": (0.0, 6.0), "RELU_0_TO_1": (0.0, 1.0)}


@dataclass(frozen=True)
class Call:
    """An operator, and where it is rewritten; what is asked for and not there is a `LoadError` with its name."""

    operator: LiteOperator
    writer: Writer

    @property
    def name(self) -> str:
        """The operator is named after its first output, which is what viewers of such files show."""
        return self.output().name

    def has(self, index: int) -> bool:
        """The input is there."""
        return index < len(self.operator.inputs) and self.operator.inputs[index] >= 0

    def place(self, index: int = 0) -> int:
        """Where the tensor of an input stands that must be there."""
        if not self.has(index):
            raise self.error(f"it has no input {index + 1}")
        return self.operator.inputs[index]

    def tensor(self, index: int = 0) -> LiteTensor:
        """The tensor of an input."""
        return self.writer.graph.tensors[self.place(index)]

    def output(self, index: int = 0) -> LiteTensor:
        """The tensor of an output."""
        if index >= len(self.operator.outputs):
            raise LoadError(f"{self.operator.kind}: it has no output {index + 1}")
        return self.writer.graph.tensors[self.operator.outputs[index]]

    def known(self, index: int) -> Array:
        """The values of an input that has to be a constant."""
        values = self.tensor(index).floats
        if values is None:
            raise self.error(f"its input {index + 1} ({self.tensor(index).name}) has to be a constant")
        return values

    def integers(self, index: int) -> list[int]:
        """The same as integers."""
        return [int(value) for value in self.known(index).reshape(-1)]

    def option(self, name: str, default: Any = 0) -> Any:
        value = self.operator.options.get(name, default)
        return default if value is None else value

    def read(self, index: int, form: Form) -> str:
        """Name of an input in this form."""
        return self.writer.read(self.place(index), form)

    def put(self, form: Form, index: int = 0) -> str:
        """Name of an output in this form."""
        self.output(index)
        return self.writer.put(self.operator.outputs[index], form)

    @property
    def form(self) -> Form:
        """Channels first where an input is known in that form, as in the file where none is."""
        computed = [
            place for place in self.operator.inputs if place >= 0 and self.writer.graph.tensors[place].data is None
        ]
        return "first" if any(self.writer.has(place, "first") for place in computed) else "last"

    def axis(self, axis: int, rank: int, form: Form) -> int:
        """An axis of the file as one of a value in this form; the first is refused where samples may be many."""
        if not -rank <= axis < rank:
            raise self.error(f"its axis {axis} is none of a tensor with {rank} axes")
        axis %= rank
        if axis == 0:
            self.needs_fixed_batch()
        return (0, 2, 3, 1)[axis] if form == "first" and rank == 4 else axis

    def needs_fixed_batch(self) -> None:
        """Raises where the number of samples may be any, and an input holds samples."""
        if self.writer.is_free and self.is_sampled:
            raise FixedBatchError

    @property
    def is_sampled(self) -> bool:
        """An input depends on samples."""
        return any(place in self.writer.sampled for place in self.operator.inputs)

    def sizes(self, index: int = 0) -> list[int]:
        """The sizes of an output as they are asked of a reshape; -1 in front where samples are."""
        shape = list(self.output(index).shape)
        if not shape or not (self.writer.is_free and self.is_sampled):
            return shape
        return [-1, *shape[1:]]

    def node(self, op: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """A node under the name of the operator; the first is the layer, and others say what they add."""
        self.writer.node(op, inputs, [output], self.name, **attributes)
        return output

    def step(self, op: str, inputs: Sequence[str], what: str, **attributes: Any) -> str:
        """A node that computes something in between; the name of its value."""
        name = self.writer.unique(f"{self.name}/{what}")
        self.writer.node(op, inputs, [name], name, **attributes)
        return name

    def finished(self, op: str, inputs: Sequence[str], form: Form, **attributes: Any) -> None:
        """The operation, and the activation that the file has fused with it."""
        self.activated(op, inputs, form, _ACTIVATIONS.get(self.option("fusedActivationFunction"), "?"), **attributes)

    def activated(self, op: str, inputs: Sequence[str], form: Form, activation: str, **attributes: Any) -> None:
        """The operation, and this activation behind it."""
        if activation == "NONE":
            self.node(op, inputs, self.put(form), **attributes)
            return
        before = self.writer.unique(f"{self.name}/before activation")
        self.writer.node(op, inputs, [before], self.name, **attributes)
        self.activation(before, form, activation)

    def activation(self, x: str, form: Form, activation: str) -> None:
        """An activation as the last thing that the operator computes."""
        name = f"{self.name}/{activation.lower()}"
        if activation in _BOUNDS:
            low, high = _BOUNDS[activation]
            self.writer.node("Clip", [x], [self.put(form)], name, min=low, max=high)
        elif activation in ("RELU", "TANH"):
            self.writer.node(activation.capitalize(), [x], [self.put(form)], name)
        else:
            raise self.error(f"the activation {activation} is not computed")

    def error(self, fact: str) -> LoadError:
        """To be raised."""
        return LoadError(f"{self.operator.kind}: {fact} ({self.name})")


Rule: TypeAlias = Callable[[Call], None]
"""Rewrites an operator."""


def same_padding(size: int, window: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """What is added before and behind an axis, for `ceil(size / stride)` places: the odd one behind."""
    places = -(-size // stride)
    total = max((places - 1) * stride + (window - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2
