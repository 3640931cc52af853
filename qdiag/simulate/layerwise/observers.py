"""What looks on in a paired pass, and what all of it saw."""

from collections.abc import Sequence

from qdiag.core.measures.error_sums import ErrorSums
from qdiag.core.measures.records import LossRecord, PairRecord
from qdiag.simulate.case import Case
from qdiag.simulate.facts.arithmetic import ArithmeticObserver
from qdiag.simulate.facts.mac_observer import MacObserver
from qdiag.simulate.facts.observer import FactObserver, PassFacts
from qdiag.simulate.facts.pairs import PairObserver
from qdiag.simulate.facts.wraps import WrapObserver
from qdiag.simulate.layerwise.samples import LOSS_SAMPLES, Depth, loss_batches
from qdiag.simulate.passes.observer import LayerObserver
from qdiag.simulate.passes.paired import ErrorObserver, LayerErrors
from qdiag.simulate.passes.spread import spread_over
from qdiag.simulate.passes.weights import SimulatedWeights
from qdiag.simulate.sweeps.losses import LossObserver


class PairedObservers:
    """The observers of one paired pass.

    Args:
        case: on the samples of the pass. weights: of its quantized network, by layer; what is missing is made.
        layers: names of those that are looked at, which are so few and small that losses and pairs are those of all
            samples; None looks at all layers.
    """

    def __init__(
        self, case: Case, depth: Depth, weights: dict[str, SimulatedWeights], layers: frozenset[str] | None = None
    ) -> None:
        network, plan = case.network, case.plan
        some = spread_over(case.measured, LOSS_SAMPLES if layers is None else case.measured.sample_count)
        self.macs, self.arithmetic, self.errors = MacObserver(), ArithmeticObserver(plan), ErrorObserver(plan)
        self.losses = LossObserver(network, plan, loss_batches(case) if depth == "facts" and layers is None else None)
        self.facts = FactObserver(is_full=depth == "full facts" or layers is not None)
        self.wraps = WrapObserver(network, plan, weights)
        self.pairs = PairObserver(network, plan, some, weights)
        by_depth: dict[Depth, Sequence[LayerObserver]] = {
            "errors": [self.macs, self.arithmetic, self.pairs, self.errors],
            "full errors": [self.macs, self.arithmetic, self.pairs, self.errors],
            "losses": [self.macs, self.arithmetic, self.pairs, self.losses, self.errors],
            "facts": [self.macs, self.arithmetic, self.wraps, self.pairs, self.losses, self.facts, self.errors],
            "full facts": [self.macs, self.arithmetic, self.wraps, self.pairs, self.losses, self.facts, self.errors],
        }
        self.all = by_depth[depth]
        for observer in self.all:
            observer.layers = layers


class Seen:
    """What the observers of several passes saw; of a layer that several looked at, what the last one saw."""

    def __init__(self, passes: Sequence[PairedObservers]) -> None:
        self.errors: dict[str, LayerErrors] = {}
        self.losses: dict[str, LossRecord] = {}
        self.arithmetic: dict[str, ErrorSums] = {}
        self.pairs: dict[str, PairRecord] = {}
        self.facts: dict[str, PassFacts] = {}
        self.wrapped: dict[str, tuple[int, ...]] = {}
        self.mac_counts: dict[str, int] = {}
        for one in passes:
            self.errors |= one.errors.errors()
            self.losses |= one.losses.records()
            self.arithmetic |= one.arithmetic.errors()
            self.pairs |= one.pairs.records()
            self.facts |= one.facts.facts()
            self.wrapped |= one.wraps.channels()
            self.mac_counts |= one.macs.counts()
