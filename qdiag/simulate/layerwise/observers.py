"""What looks on in a paired pass, and what all of it saw."""

from collections.abc import Collection, Container, Sequence

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
    """The observers of some layers in one paired pass.

    Args:
        case: on the samples of the pass. weights: of its quantized network, by layer; what is missing is made.
        layers: names of those that are looked at; None looks at all.
        are_sparse: these have so few values that losses and channels are those of all that is looked at.
        batches: numbers of those that are looked at, from 0; None looks at all.
    """

    def __init__(
        self,
        case: Case,
        depth: Depth,
        weights: dict[str, SimulatedWeights],
        layers: Collection[str] | None = None,
        *,
        are_sparse: bool = False,
        batches: Container[int] | None = None,
    ) -> None:
        network, plan = case.network, case.plan
        looks_at_some = depth == "facts" and not are_sparse
        with_losses = loss_batches(case) if looks_at_some else None
        self.macs, self.arithmetic, self.errors = MacObserver(), ArithmeticObserver(plan), ErrorObserver(plan)
        self.losses = LossObserver(network, plan, weights, is_full=with_losses is None)
        self.facts = FactObserver(is_full=not looks_at_some)
        self.wraps = WrapObserver(network, plan, weights)
        self.pairs = PairObserver(network, plan, weights)
        by_depth: dict[Depth, Sequence[LayerObserver]] = {
            "errors": [self.macs, self.arithmetic, self.pairs, self.errors],
            "repaired": [self.macs, self.arithmetic, self.pairs, self.errors],
            "full errors": [self.macs, self.arithmetic, self.pairs, self.errors],
            "losses": [self.macs, self.arithmetic, self.pairs, self.losses, self.errors],
            "facts": [self.macs, self.arithmetic, self.wraps, self.pairs, self.losses, self.facts, self.errors],
            "full facts": [self.macs, self.arithmetic, self.wraps, self.pairs, self.losses, self.facts, self.errors],
        }
        self.all = by_depth[depth]
        for observer in self.all:
            observer.layers, observer.batches = layers, batches
        self.pairs.batches = spread_over(case.measured, LOSS_SAMPLES) if batches is None else ()
        if looks_at_some:
            self.losses.batches = with_losses

    def merge(self, later: "PairedObservers") -> None:
        """Adds what others saw of other batches."""
        for own, other in zip(self.all, later.all, strict=True):
            own.merge(other)


class Seen:
    """What observers of different layers saw, together."""

    def __init__(self, parts: Sequence[PairedObservers]) -> None:
        self.errors: dict[str, LayerErrors] = {}
        self.losses: dict[str, LossRecord] = {}
        self.arithmetic: dict[str, ErrorSums] = {}
        self.pairs: dict[str, PairRecord] = {}
        self.facts: dict[str, PassFacts] = {}
        self.wrapped: dict[str, tuple[int, ...]] = {}
        self.mac_counts: dict[str, int] = {}
        for one in parts:
            self.errors |= one.errors.errors()
            self.losses |= one.losses.records()
            self.arithmetic |= one.arithmetic.errors()
            self.pairs |= one.pairs.records()
            self.facts |= one.facts.facts()
            self.wrapped |= one.wraps.channels()
            self.mac_counts |= one.macs.counts()
