"""Values that parameters alone decide, computed from the parameters as they are, with the history of a gradient."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, fx

from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.arithmetic.differentiable import Differentiable


class LiveValues:
    """Of one step of the training: everything is computed once.

    Args:
        tensors: by placeholder.
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = tensors
        self._values: dict[fx.Node, Any] = {}
        self._arithmetic = Differentiable()

    def of(self, node: fx.Node) -> Any:
        """The value of a node of the captured graph that nothing but constants lead to.

        Raises:
            KeyError: an input of the network leads to it.
        """
        pending = [node]
        while pending:
            at = pending[-1]
            missing = [i for i in at.all_input_nodes if i not in self._values]
            if missing:
                pending += missing
                continue
            pending.pop()
            if at not in self._values:
                self._values[at] = self._computed(at)
        return self._values[node]

    def _computed(self, node: fx.Node) -> Any:
        if node.op == "placeholder":
            return self._tensors[str(node.target)]
        args, kwargs = fx.node.map_arg((node.args, dict(node.kwargs)), lambda n: self._values[n])
        with torch.enable_grad():
            return self._arithmetic.run(LayerOp(node), args, kwargs)
