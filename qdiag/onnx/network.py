"""An ONNX network as a module: parameters under their names in the file, and a graph for the shape of its inputs."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram
from torch.export.exported_program import ModuleCallEntry, ModuleCallSignature
from torch.export.graph_signature import (
    ConstantArgument,
    ExportGraphSignature,
    InputKind,
    InputSpec,
    OutputKind,
    OutputSpec,
    TensorArgument,
)
from torch.utils import _pytree as pytree

from qdiag.batches import size_hint
from qdiag.core.measures.measurement import LeftOut
from qdiag.errors import CaptureError, DataError, QdiagError
from qdiag.integer_file import IntegerFile
from qdiag.onnx.interpret import interpret
from qdiag.onnx.linear import biased_outputs
from qdiag.onnx.model import Array, OnnxGraph, OnnxInput, reshapes_to_one_sample
from qdiag.onnx.parameters import put_parameter
from qdiag.onnx.recorder import Recorder
from qdiag.onnx.scope import Eager, Scope, to_tensor
from qdiag.onnx.values import DTYPES, Handle, Known, Value

LIKELY_SIZES = (224, 64, 32, 640)
"""Of images, where a file leaves them free."""
_ELEMENTS_MAX = 1 << 28
"""Of an input that is made up: 1 GiB in float32."""


class OnnxNetwork(nn.Module):
    """Computes what the file says.

    Args:
        graph: as the file has it; `forward` computes it node by node.
        layers: the same network with the nodes that make one layer as one node; `exported` records it.
        parameters: tensors of the network by their names in the graphs, and whether they are trained.
        integers: what a quantized file says of its tensors; None for a float one.
        left_out: operations of the file behind the outputs of this network.
    """

    def __init__(
        self,
        graph: OnnxGraph,
        layers: OnnxGraph,
        parameters: Mapping[str, tuple[Array, bool]],
        integers: IntegerFile | None = None,
        left_out: tuple[LeftOut, ...] = (),
    ) -> None:
        super().__init__()
        self.integers, self.left_out = integers, left_out
        self._graph, self._layers = graph, layers
        self._names: dict[str, str] = {}
        for name, (array, is_trained) in parameters.items():
            self._names[name] = put_parameter(self, name, to_tensor(array), is_trained=is_trained)

    @property
    def inputs(self) -> tuple[OnnxInput, ...]:
        """What the network takes."""
        return self._graph.inputs

    @property
    def origins(self) -> dict[str, tuple[str, str]]:
        """Of parameters and buffers, the name of the tensor in the file, and its form there (`OnnxGraph.forms`)."""
        forms = self._graph.forms
        return {path: forms.get(name, (name, "")) for name, path in self._names.items()}

    @property
    def readers(self) -> dict[str, tuple[str, int]]:
        """Of parameters that the file stores once for several layers, who reads each (`OnnxGraph.readers`)."""
        found = self._graph.readers
        return {path: found[name] for name, path in self._names.items() if name in found}

    @property
    def biased(self) -> frozenset[str]:
        """The outputs of convolutions and linear layers that have a bias."""
        return biased_outputs(self._layers)

    @property
    def batch_size(self) -> int | None:
        """The one number of samples that the file allows; None when it allows any."""
        dims = self.inputs[0].dims if self.inputs else None
        free = 1 if reshapes_to_one_sample(self._graph) else None
        return (dims[0] or free) if dims else None

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """A tensor, or a dictionary where the file has several outputs."""
        named = self._arranged(args, kwargs)
        device = next((value.device for value in named.values() if isinstance(value, Tensor)), None)
        tensors = self._tensors()
        scope = Eager(tensors, device if device is not None and device.type != "cpu" else None)
        values = {name: self._entered(scope, name, self._value(name, value)) for name, value in named.items()}
        values |= {name: tensors[name] for name in self._names}
        found = interpret(self._graph, scope, values)
        return self._outputs([scope.tensor(value) for value in found])

    def exported(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, has_free_batch: bool) -> ExportedProgram:
        """The graph for inputs of these shapes.

        Raises:
            CaptureError: it would hold for one number of samples alone, and `has_free_batch` is set.
        """
        named = self._arranged(args, kwargs)
        samples = next((int(v.shape[0]) for v in named.values() if isinstance(v, Tensor) and v.ndim), 1)
        scope = Recorder(samples if has_free_batch else None)
        tensors, specs = self._tensors(), []
        trained = {name for name, _ in self.named_parameters()}
        for name, stored in self._names.items():
            kind = InputKind.PARAMETER if stored in trained else InputKind.BUFFER
            holder = scope.add_parameter(name, tensors[name], "p" if stored in trained else "b")
            persistent = None if stored in trained else True
            specs.append(InputSpec(kind, TensorArgument(holder), stored, persistent))
        values: dict[str, Value] = {name: scope.parameter(name) for name in self._names}
        user_inputs = []
        for name, value in named.items():
            axis = self._sample_axis(name, value, samples) if has_free_batch else None
            node = scope.add_input(name, value, axis)
            is_tensor = isinstance(value, Tensor)
            values[name] = self._entered(scope, name, node) if is_tensor else self._value(name, value)
            argument: Any = TensorArgument(node.name) if is_tensor else ConstantArgument(node.name, value)
            user_inputs.append(InputSpec(InputKind.USER_INPUT, argument, None))
        found = [scope.tensor(value) for value in interpret(self._layers, scope, values)]
        constants = [InputSpec(InputKind.CONSTANT_TENSOR, TensorArgument(n), n) for n in scope.constants]
        return self._program(scope, [*specs, *user_inputs], constants, found, (args, dict(kwargs)))

    def for_its_own_shape(self) -> ExportedProgram:
        """The graph for the shape that the file declares, and for a likely one where sizes are free.

        Raises:
            CaptureError: the graph of no such shape is known.
        """
        error: QdiagError | None = None
        for size in LIKELY_SIZES:
            try:
                return self.exported((), self.zeros(size), has_free_batch=False)
            except QdiagError as problem:
                error = problem
        assert error is not None
        raise CaptureError(
            f"the file leaves sizes free, and no likely ones fit ({error.message})", at=error.at, hint=error.hint
        )

    def zeros(self, size: int) -> dict[str, Tensor]:
        """Inputs of the declared shapes, with one sample, and with this size along free axes.

        Raises:
            DataError: a shape is so large that the file is damaged rather than meant so.
        """
        zeros = {}
        for described in self.inputs:
            dims = described.dims if described.dims is not None else (None, 3, None, None)
            shape = [d or (1 if axis == 0 else size) for axis, d in enumerate(dims)]
            if math.prod(shape) > _ELEMENTS_MAX:
                raise DataError(
                    f"the network takes {described.name} of shape {tuple(shape)}, which is more than is made up",
                    hint="the file is damaged, or the network has to be measured on data of its own",
                )
            zeros[described.name] = torch.zeros(shape, dtype=DTYPES.get(described.dtype, torch.float32))
        return zeros

    def _entered(self, scope: Scope, name: str, value: Value) -> Value:
        """An input as the graph takes it."""
        del scope, name
        return value

    def _program(
        self, scope: Recorder, specs: list[InputSpec], constants: list[InputSpec], found: list[Handle], arguments: Any
    ) -> ExportedProgram:
        shown = [(h, name) for h, name in zip(found, self._graph.outputs, strict=True) if isinstance(h, fx.Node)]
        nodes = [node for node, _ in shown]
        scope.graph.output(tuple(nodes))
        order = [node.name for node in scope.graph.nodes if node.op == "placeholder"]
        inputs = sorted([*specs, *constants], key=lambda spec: order.index(spec.arg.name))
        outputs = [OutputSpec(OutputKind.USER_OUTPUT, TensorArgument(node.name), name) for node, name in shown]
        in_spec = pytree.tree_flatten(arguments)[1]
        out_spec = pytree.tree_flatten(self._outputs(list(range(len(nodes)))))[1]
        whole = ModuleCallSignature([], [], in_spec, out_spec)
        state = {**dict(self.named_parameters()), **dict(self.named_buffers())}
        return ExportedProgram(
            root=nn.Module(),
            graph=scope.graph,
            graph_signature=ExportGraphSignature(inputs, outputs),
            state_dict=state,
            range_constraints={},
            module_call_graph=[ModuleCallEntry("", whole)],
            constants=dict(scope.constants),
        )

    def _tensors(self) -> dict[str, Tensor]:
        stored = {**dict(self.named_parameters()), **dict(self.named_buffers())}
        return {name: stored[path] for name, path in self._names.items()}

    def _outputs(self, values: list[Any]) -> Any:
        names = self._graph.outputs
        return values[0] if len(names) == 1 else dict(zip(names, values, strict=True))

    def _arranged(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Values by input, in the order in which they were given."""
        names = [i.name for i in self.inputs]
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        unknown, missing = [n for n in kwargs if n not in names], [n for n in names if n not in given]
        if len(args) > len(names) or unknown or missing:
            raise DataError(
                f"the network takes {', '.join(names)}; " + _what_is_wrong(len(args), unknown, missing),
                hint="name the arrays of the data file after the inputs of the network; `arg` gives what is no data",
            )
        for described in self.inputs:
            self._check(described, given[described.name])
        return given

    def _check(self, described: OnnxInput, value: Any) -> None:
        if not isinstance(value, Tensor) or described.dims is None:
            return
        dims = described.dims
        if len(dims) != value.ndim or any(d not in (None, s) for d, s in zip(dims, value.shape, strict=True)):
            taken = f"the network takes {described.name} of shape {described.shape_text}, not {tuple(value.shape)}"
            hint = "check `crop`, `resize`, the channels, and which array of the data file is meant"
            raise DataError(taken, hint=size_hint(value.shape, dims) or hint)

    def _sample_axis(self, name: str, value: Any, samples: int) -> int | None:
        if not isinstance(value, Tensor):
            return None
        dims = next(i.dims for i in self.inputs if i.name == name) or (None,) * value.ndim
        return next((a for a, s in enumerate(value.shape) if s == samples and dims[a] is None), None)

    def _value(self, name: str, value: Any) -> Value:
        """An input in the type that the file declares; a plain number is known beforehand."""
        dtype = next(i.dtype for i in self.inputs if i.name == name)
        if isinstance(value, Tensor):
            wanted = DTYPES.get(dtype, value.dtype)
            return value if value.dtype == wanted else value.to(wanted)
        if isinstance(value, bool | int | float):
            return Known(np.asarray(value, dtype=dtype))
        raise CaptureError(f"the input {name} is a {type(value).__name__}, and has to be a tensor or a number")


def _what_is_wrong(count: int, unknown: list[str], missing: list[str]) -> str:
    if unknown:
        return f"{', '.join(unknown)} is none of them"
    return f"{', '.join(missing)} is missing" if missing else f"{count} were given"
