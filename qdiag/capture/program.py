"""One ATen graph with its constants: what every model format ends as."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils import _pytree as pytree

from qdiag.capture.fake_quantizers.operation import StoredOperation
from qdiag.core.listed import count_noun
from qdiag.core.measures.measurement import SkippedRoute
from qdiag.errors import DataError


@dataclass(frozen=True)
class Program:
    """A network as a graph of functional ATen operations.

    Attributes:
        graph: placeholders for constants and inputs, `call_function` nodes, one output node with a flat tuple.
        constants: placeholder name to parameter, buffer or constant tensor.
        parameter_names: placeholder name to the name in the original model (`features.0.0.weight`).
        inputs: placeholder names of the network's inputs, in flattened order.
        in_spec: how the arguments (args, kwargs) flatten to `inputs`.
        output_names: one per tensor output: the key path in a dict or tuple output, or `output`.
        batch_size: the one batch size that the graph accepts; None when any does.
        route: how the graph was captured.
        skipped: routes tried before.
        doubts: where the graph may follow one way of several, as the tracer said, with file and line.
        fake_quantizers: operations of the file that were left out of the graph.
    """

    graph: fx.Graph
    constants: Mapping[str, Tensor]
    parameter_names: Mapping[str, str]
    inputs: tuple[str, ...]
    in_spec: pytree.TreeSpec
    output_names: tuple[str, ...]
    batch_size: int | None
    route: str
    skipped: tuple[SkippedRoute, ...] = ()
    doubts: tuple[str, ...] = ()
    fake_quantizers: tuple[StoredOperation, ...] = ()

    def flatten_inputs(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Placeholder name to value for one call.

        Raises:
            DataError: the arguments do not have the structure that the network was captured with.
        """
        leaves, spec = pytree.tree_flatten((args, dict(kwargs)))
        if spec != self.in_spec:
            leaves = self._reordered(args, dict(kwargs))
        if len(leaves) != len(self.inputs):
            raise DataError(
                f"the network takes {count_noun(len(self.inputs), 'input')}, the data gives {len(leaves)}",
                hint="name the arrays of the data file after the arguments of forward",
            )
        return dict(zip(self.inputs, leaves, strict=True))

    def _reordered(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        try:
            from torch.export._tree_utils import reorder_kwargs

            kwargs = reorder_kwargs(kwargs, self.in_spec)
        except (ImportError, ValueError) as error:
            raise DataError(
                "the data does not have the structure that the network takes",
                hint="give inputs the names and nesting that forward expects",
            ) from error
        return pytree.tree_leaves((args, kwargs))


class Runner(fx.Interpreter):
    """Runs a program on plain tensors: the float network."""

    def __init__(self, program: Program) -> None:
        super().__init__(torch.nn.Module(), garbage_collect_values=True, graph=program.graph)
        self.program = program
        self._values: dict[str, Any] = {}

    def __call__(self, args: tuple[Any, ...], kwargs: Mapping[str, Any] | None = None) -> tuple[Any, ...]:
        """The flat outputs for one batch."""
        self._values = self.program.flatten_inputs(args, kwargs or {})
        try:
            result: tuple[Any, ...] = self.run()
        finally:
            self._values = {}
        return result

    def placeholder(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A constant, or one of the inputs."""
        del args, kwargs
        return self._values[target] if target in self._values else self.program.constants.get(target)
