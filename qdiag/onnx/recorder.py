"""Operators recorded as a graph of ATen operations: what a run would compute, with shapes and types of every value.

The graph is that of one shape of inputs; only the number of samples may be left free. Shapes are computed for two
numbers of samples side by side, on tensors without values: a size that is the same for both is a number, any other one
depends on the number of samples.
"""

import operator
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, fx
from torch._dynamo.source import ConstantSource
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv
from torch.utils import _pytree as pytree

from qdiag.errors import CaptureError
from qdiag.onnx.model import Array
from qdiag.onnx.samples import Samples
from qdiag.onnx.scope import Scope, to_tensor
from qdiag.onnx.values import Handle, Size, Value

LAYER_NAME = "layer_name"
"""Where a node keeps the name that its operation has in the file."""
TENSOR_NAME = "tensor_name"
"""Where a node keeps the name that its value has in the file."""
_OTHER_COUNTS = (7, 11)


class Recorder(Scope):
    """Writes nodes into `graph`; placeholders come first.

    Args:
        samples: how many the example has; None: their number is not left free.
    """

    def __init__(self, samples: int | None) -> None:
        self.graph = fx.Graph()
        self.constants: dict[str, Tensor] = {}
        self._count = samples
        self._other = next(count for count in _OTHER_COUNTS if count != samples)
        self._env = ShapeEnv()
        self._mode = FakeTensorMode(shape_env=self._env)
        self._lanes: dict[fx.Node, tuple[Any, Any]] = {}
        self._known: dict[tuple[Any, ...], fx.Node] = {}
        self._parameters: dict[str, fx.Node] = {}
        self._samples: fx.Node | None = None
        self._sizes: dict[Samples, fx.Node] = {}
        self._name: str | None = None
        self._last_placeholder: fx.Node | None = None

    def add_parameter(self, name: str, value: Tensor, prefix: str) -> str:
        """A placeholder for a parameter or a buffer; its name."""
        self._parameters[name] = self._placeholder(f"{prefix}_{_plain(name)}", value)
        self._parameters[name].meta[TENSOR_NAME] = name
        return self._parameters[name].name

    def add_input(self, name: str, value: Any, sample_axis: int | None) -> fx.Node:
        """A placeholder for an input of the network, whose number of samples may be free on this axis."""
        node = self._placeholder(_plain(name), value)
        node.meta[TENSOR_NAME] = name
        if not isinstance(value, Tensor) or sample_axis is None or self._count is None:
            return node
        shape = list(value.shape)
        shape[sample_axis] = self._other
        self._lanes[node] = (self._lanes[node][0], torch.empty(shape, dtype=value.dtype, device="meta"))
        if self._samples is None:
            source = ConstantSource("samples")
            symbol = self._env.create_symbol(self._count, source, DimDynamic.DYNAMIC, None)
            size = self._env.create_symintnode(symbol, hint=self._count, source=source)
            self._samples = self._record(torch.ops.aten.sym_size.int, (node, sample_axis), {}, (size, size))
        symbolic: list[Any] = list(value.shape)
        symbolic[sample_axis] = self._samples.meta["val"]
        with self._mode:
            node.meta["val"] = torch.empty(symbolic, dtype=value.dtype, device="cpu")
        return node

    @contextmanager
    def at(self, name: str) -> Iterator[None]:
        before, self._name = self._name, name
        try:
            yield
        finally:
            self._name = before

    def made(self, name: str, value: Value) -> None:
        if isinstance(value, fx.Node):
            value.meta.setdefault(TENSOR_NAME, name)

    def call(self, target: Any, *args: Any, **kwargs: Any) -> Handle:
        lanes = tuple(self._computed(target, args, kwargs, lane) for lane in ((0, 1) if self._count else (0,)))
        recorded: Any = fx.node.map_aggregate((args, kwargs), self._without_samples)
        return self._record(target, recorded[0], recorded[1], (lanes[0], lanes[-1]))

    def pick(self, results: Handle, index: int) -> Handle:
        assert isinstance(results, fx.Node)
        first, second = self._lanes[results]
        return self._record(operator.getitem, (results, index), {}, (first[index], second[index]))

    def parameter(self, name: str) -> Handle:
        return self._parameters[name]

    def constant(self, array: Array) -> Handle:
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._known:
            value = to_tensor(array)
            node = self._placeholder(f"c_known_{len(self.constants)}", value)
            self.constants[node.name] = value
            self._known[key] = node
        return self._known[key]

    def value(self, handle: Handle) -> Tensor:
        assert isinstance(handle, fx.Node)
        value: Tensor = self._lanes[handle][0]
        return value

    def shape(self, handle: Value) -> tuple[Size, ...]:
        if not isinstance(handle, fx.Node):
            return super().shape(handle)
        first, second = (lane.shape for lane in self._lanes[handle])
        if len(first) != len(second):
            raise CaptureError("how many axes there are depends on the number of samples")
        return tuple(a if a == b else Samples(a, b) for a, b in zip(first, second, strict=True))

    def _computed(self, target: Any, args: Any, kwargs: Any, lane: int) -> Any:
        """The result for one number of samples, without values."""

        def leaf(item: Any) -> Any:
            if isinstance(item, fx.Node):
                return self._lanes[item][lane]
            return (item.first, item.second)[lane] if isinstance(item, Samples) else item

        args, kwargs = pytree.tree_map(leaf, args), {key: leaf(item) for key, item in kwargs.items()}
        if "dtype" in kwargs and not any(isinstance(a, Tensor) for a in pytree.tree_leaves(args)):
            kwargs["device"] = "meta"
        with torch.no_grad():
            return target(*args, **kwargs)

    def _placeholder(self, name: str, value: Any) -> fx.Node:
        nodes = self.graph.nodes
        anchor = self._last_placeholder.next if self._last_placeholder is not None else next(iter(nodes), None)
        with self.graph.inserting_before(anchor) if anchor is not None else nullcontext():
            node = self.graph.placeholder(name)
        node.target = node.name  # two names may differ in signs alone that a name of a node cannot have
        bare = value.detach().to("meta") if isinstance(value, Tensor) else value
        node.meta["val"], self._lanes[node], self._last_placeholder = bare, (bare, bare), node
        return node

    def _record(self, target: Any, args: Any, kwargs: Mapping[str, Any], lanes: tuple[Any, Any]) -> fx.Node:
        node = self.graph.call_function(target, args, dict(kwargs))
        node.meta["val"] = tuple(lanes[0]) if isinstance(lanes[0], list) else lanes[0]
        self._lanes[node] = lanes
        if self._name is not None:
            node.meta[LAYER_NAME] = self._name
        return node

    def _without_samples(self, item: Any) -> Any:
        """The node that computes a size from the number of samples."""
        if not isinstance(item, Samples):
            return item
        if item not in self._sizes:
            self._sizes[item] = self._size_node(item)
        return self._sizes[item]

    def _size_node(self, size: Samples) -> fx.Node:
        assert self._samples is not None and self._count is not None
        factor, rest = divmod(size.second - size.first, self._other - self._count)
        if rest:
            raise CaptureError("a size depends on the number of samples in a way that is not followed")
        node, symbol = self._samples, self._samples.meta["val"]
        for function, number, neutral in (
            (operator.mul, factor, 1),
            (operator.add, size.first - factor * self._count, 0),
        ):
            if number != neutral:
                symbol = function(symbol, number)
                node = self._record(function, (node, number), {}, (symbol, symbol))
        return node


def _plain(name: str) -> str:
    """Letters and digits of a name."""
    return "".join(c if c.isascii() and c.isalnum() else "_" for c in name)[:200]
