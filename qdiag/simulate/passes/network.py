"""What every pass runs: the folded program, its layers, and where its tensors live."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils import _pytree as pytree

from qdiag.batches import Batch
from qdiag.capture.program import Program
from qdiag.core.graph import OpGraph


@dataclass(frozen=True)
class Network:
    """A captured network on one device.

    On a CPU, images and convolution kernels are kept channels-last: the convolutions of MobileNetV2 run three times as
    fast that way, and no value changes beyond rounding.
    """

    program: Program
    graph: OpGraph
    device: torch.device

    @cached_property
    def _nodes(self) -> Mapping[str, fx.Node]:
        return {node.name: node for node in self.program.graph.nodes}

    def node(self, name: str) -> fx.Node:
        """A node of the graph.

        Raises:
            KeyError: there is none of that name.
        """
        return self._nodes[name]

    def placed(self, batch: Batch) -> Batch:
        """The batch on this device, in the layout of this device."""
        return replace(batch, args=_mapped(batch.args, self.device), kwargs=_mapped(dict(batch.kwargs), self.device))


def network_on(program: Program, graph: OpGraph, device: torch.device) -> Network:
    """The network with its constants moved to the device; the program given is left as it is."""
    constants = {name: place(value, device) for name, value in program.constants.items()}
    return Network(replace(program, constants=constants), graph, device)


def place(x: Tensor, device: torch.device) -> Tensor:
    """x on the device, 4-D float tensors channels-last on a CPU."""
    x = x.detach().to(device)
    if device.type == "cpu" and x.ndim == 4 and x.is_floating_point():
        return x.contiguous(memory_format=torch.channels_last)
    return x


def _mapped(tree: Any, device: torch.device) -> Any:
    return pytree.tree_map(lambda leaf: place(leaf, device) if isinstance(leaf, Tensor) else leaf, tree)
