"""A LiteRT network as a module that takes images with channels first, or last as the file has them."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from qdiag.core.measures.measurement import LeftOut
from qdiag.errors import DataError
from qdiag.integer_file import IntegerFile
from qdiag.litert.model import LiteGraph
from qdiag.litert.writer import TO_FIRST
from qdiag.onnx.model import Array, OnnxGraph, OnnxInput
from qdiag.onnx.network import OnnxNetwork
from qdiag.onnx.scope import Scope
from qdiag.onnx.values import Value


class LitertNetwork(OnnxNetwork):
    """Computes what the file says, in float.

    Args:
        graph, layers, parameters, integers, left_out: the rewritten network, see `OnnxNetwork`.
        source: the file.
    """

    def __init__(
        self,
        graph: OnnxGraph,
        layers: OnnxGraph,
        parameters: Mapping[str, tuple[Array, bool]],
        integers: IntegerFile | None = None,
        left_out: tuple[LeftOut, ...] = (),
        *,
        source: LiteGraph,
    ) -> None:
        super().__init__(graph, layers, parameters, integers, left_out)
        self.source = source

    def _entered(self, scope: Scope, name: str, value: Value) -> Value:
        """Images whose channels come last are turned; where both orders fit, they come first."""
        described = next(i for i in self.inputs if i.name == name)
        shape = scope.shape(value)
        if described.dims is None or len(shape) != 4 or _fits(described.dims, shape):
            return value
        return scope.call(torch.ops.aten.permute.default, scope.tensor(value), list(TO_FIRST))

    def _check(self, described: OnnxInput, value: Any) -> None:
        dims = described.dims
        if not isinstance(value, Tensor) or dims is None:
            return
        orders = [dims, (dims[0], dims[2], dims[3], dims[1])] if len(dims) == 4 else [dims]
        if any(len(order) == value.ndim and _fits(order, value.shape, 0) for order in orders):
            return
        texts = " or ".join(f"({', '.join('?' if d is None else str(d) for d in order)})" for order in orders)
        raise DataError(
            f"the network takes {described.name} of shape {texts}, not {tuple(value.shape)}",
            hint="check `crop`, `resize`, the channels, and which array of the data file is meant",
        )


def _fits(dims: tuple[int | None, ...], shape: Any, start: int = 1) -> bool:
    pairs = list(zip(dims, shape, strict=True))[start:]
    return all(wanted is None or wanted == size for wanted, size in pairs)
