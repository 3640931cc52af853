"""The multiplications of every layer, counted as a pass meets them."""

from typing import Any

from torch import Tensor, fx
from torch.utils import _pytree as pytree

from qdiag.core.graph import Layer
from qdiag.simulate.facts.macs import mac_count
from qdiag.simulate.passes.lanes import REFERENCE, Lanes, pick
from qdiag.simulate.passes.observer import LayerObserver


class MacObserver(LayerObserver):
    """Counts once for each layer, on the first batch; no operation runs again."""

    carried = ("_counts",)

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._operands: tuple[fx.Node, list[Tensor]] | None = None

    def merge(self, later: "MacObserver") -> None:
        """See `Collector`."""
        self._counts = later._counts | self._counts

    @property
    def reads_opened(self) -> bool:
        """Shapes alone."""
        return False

    def before(self, layer: Layer, node: fx.Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        del kwargs
        if layer.policy in ("compute", "float") and layer.name not in self._counts:
            tensors = [leaf for leaf in pytree.tree_leaves(pick(args, REFERENCE)) if isinstance(leaf, Tensor)]
            # shapes alone: the values are freed as soon as they are read
            self._operands = node, [tensor.to("meta") for tensor in tensors]

    def opened(self, layer: Layer, lanes: Lanes) -> None:
        if self._operands is not None:
            (node, operands), self._operands = self._operands, None
            self._counts[layer.name] = mac_count(node, operands, lanes.reference) // max(self.sample_count, 1)

    def counts(self) -> dict[str, int]:
        """Layer name to its multiplications for one sample, of the layers that multiply, or that are unknown."""
        return dict(self._counts)
