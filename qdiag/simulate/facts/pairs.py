"""Sums of products in which pairs leave int16, where a kernel adds pairs first."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import fx

from qdiag.core.graph import Layer
from qdiag.core.measures.records import PairRecord
from qdiag.plan import QuantPlan
from qdiag.simulate.arithmetic.base import AddsPairs, LayerOp
from qdiag.simulate.arithmetic.table import arithmetic_of
from qdiag.simulate.passes.lanes import LOCAL, has_lanes, pick
from qdiag.simulate.passes.network import Network
from qdiag.simulate.passes.observer import LayerObserver
from qdiag.simulate.passes.weights import SimulatedWeights, simulated_weights


class PairObserver(LayerObserver):
    """Adds up pairs once more, on the inputs of each layer alone, where weights and range could drive one out of int16.

    Args:
        weights: of the quantized network, by layer, as far as they are at hand; what is missing is made.
    """

    carried = ("_records",)

    def __init__(self, network: Network, plan: QuantPlan, weights: dict[str, SimulatedWeights] | None = None) -> None:
        self._network, self._plan = network, plan
        self._weights = weights if weights is not None else {}
        self._arithmetics: dict[str, AddsPairs | None] = {}
        self._records: dict[str, PairRecord] = {}

    def merge(self, later: "PairObserver") -> None:
        """See `Collector`."""
        for name, record in later._records.items():
            self._add(name, record)

    def before(self, layer: Layer, node: fx.Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if layer.name not in self._arithmetics:
            found = arithmetic_of(self._plan, layer)
            self._arithmetics[layer.name] = found if isinstance(found, AddsPairs) and found.may_lose_pairs else None
        arithmetic = self._arithmetics[layer.name]
        if arithmetic is None or not has_lanes((args, kwargs)):
            return
        if layer.name not in self._weights:
            self._weights[layer.name] = simulated_weights(self._network, self._plan, layer)
        op = LayerOp(node, layer, self._weights[layer.name])
        lost = arithmetic.lost_in_pairs(op, *pick((args, kwargs), LOCAL))
        if lost is not None:
            self._add(layer.name, PairRecord(lost.numel(), int(torch.count_nonzero(lost))))

    def _add(self, name: str, record: PairRecord) -> None:
        before = self._records.get(name, PairRecord(0, 0))
        self._records[name] = PairRecord(
            before.sum_count + record.sum_count, before.saturated_count + record.saturated_count
        )

    def records(self) -> Mapping[str, PairRecord]:
        """By layer, for those that have a pair which some input could drive out of int16."""
        return self._records
