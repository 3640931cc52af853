"""What looks on while a network runs in lanes."""

from collections.abc import Collection, Container, Sequence
from typing import Any

from torch import Tensor, fx

from qdiag.core.graph import Layer
from qdiag.distributed.collector import Collector
from qdiag.simulate.passes.lanes import Lanes


class LayerObserver(Collector):
    """Sees every layer with a float output, at five moments; a subclass says at which it looks.

    Attributes:
        sample_count: of the batch at hand.
        sees_constants: also at the constants among the sites.
        layers: names of those that it sees; None sees all.
        batches: numbers of those that it looks at, from 0; None looks at all.
    """

    sample_count: int = 1
    sees_constants: bool = False
    layers: Collection[str] | None = None
    batches: Container[int] | None = None
    _next_batch: int = 0
    _looks: bool = True

    def sees(self, layer: str) -> bool:
        """In the batch at hand, it looks at the layer of this name."""
        return self._looks and (self.layers is None or layer in self.layers)

    @property
    def fits_threads(self) -> bool:
        """See `Collector`; not one that nobody can put together."""
        return bool(self.carried)

    @property
    def reads_opened(self) -> bool:
        """It reads values of this batch in `opened`, which must be there before any clamp."""
        return type(self).opened is not LayerObserver.opened

    def begins_at(self, *, batch: int, sample: int) -> None:
        """See `Collector`."""
        del sample
        self._next_batch = batch

    def begin(self, sample_count: int) -> None:
        """A batch of so many samples comes."""
        self.sample_count = sample_count
        self._looks = self.batches is None or self._next_batch in self.batches
        self._next_batch += 1

    def passed_over(self) -> None:
        """A batch does not run."""
        self._next_batch += 1

    def before(self, layer: Layer, node: fx.Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """The layer's first operation is about to run; `args` and `kwargs` hold `Lanes`."""

    def opened(self, layer: Layer, lanes: Lanes) -> None:
        """Its output before the fused clamp and the quantizers."""

    def chunk(self, layer: Layer, lanes: Sequence[Tensor]) -> None:
        """A flat piece of its output in every lane, clamped and quantized, a local lane not yet started anew; lanes are
        closed in the order in which they are asked for."""

    def closed(self, layer: Layer, lanes: Lanes) -> None:
        """Its output as the next layers read it."""
