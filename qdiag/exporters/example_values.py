"""What every node of a graph gives for one batch: shapes and numbers, for writers that need them."""

from typing import Any

import torch
from torch import Tensor, fx

from qdiag.batches import Batch
from qdiag.capture.program import Program, Runner


class _Recording(Runner):
    def __init__(self, program: Program) -> None:
        super().__init__(program)
        self.seen: dict[str, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        self.seen[n.name] = _told(value)
        return value


def _told(value: Any) -> Any:
    if isinstance(value, Tensor):
        return torch.empty(value.shape, dtype=value.dtype, device="meta")
    return [_told(one) for one in value] if isinstance(value, list | tuple) else value


def example_values(program: Program, batch: Batch) -> dict[str, Any]:
    """By name of the node: tensors without values, lists of them, or plain numbers.

    Raises:
        DataError: the batch does not fit the network's arguments.
    """
    runner = _Recording(program)
    with torch.no_grad():
        runner(batch.args, batch.kwargs)
    return runner.seen
