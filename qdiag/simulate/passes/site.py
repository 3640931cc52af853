"""The output of one layer: clamp, quantize, and measure, in one walk over memory."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from qdiag.core.measures.error_sums import ErrorSums
from qdiag.numerics.error_accumulator import ErrorAccumulator
from qdiag.numerics.layout import alike, dense, flat_chunks
from qdiag.numerics.quantizers.base import Clamp, Quantizer
from qdiag.simulate.passes.streams import Streams


@dataclass
class Site:
    """Closes one layer's output, and keeps its sums.

    Args:
        clamp: bounds of a fused clamp.
        quantizers: that of each plan, None in float; the first one also serves the local stream.
    """

    clamp: Clamp | None
    quantizers: list[Quantizer | None]
    errors: ErrorAccumulator = field(init=False)
    output_shape: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        self.errors = ErrorAccumulator(1 + len(self.quantizers))
        self._clipped: float | Tensor = 0.0
        # local first: stream 0 is the local one, the others are the plans'
        self._stream_quantizers = [self.quantizers[0], *self.quantizers]
        self._clamps = [
            self.clamp if self.clamp is not None and (q is None or not q.covers(self.clamp)) else None
            for q in self._stream_quantizers
        ]

    def close(self, streams: Streams) -> Streams:
        """Streams after the layer: clamped, the simulated ones quantized, local starting anew from the reference.

        Fresh tensors are written to; others are copied.
        """
        reference = dense(streams.reference)
        if self.clamp is not None and not streams.is_fresh:
            reference = reference.clone()
        sources = [alike(reference, x) for x in (streams.local, *streams.simulated)]
        targets = list(sources)
        for i, source in enumerate(sources):
            shared = any(source.data_ptr() == other.data_ptr() for other in (reference, *sources[:i]))
            if not streams.is_fresh or shared:
                targets[i] = torch.empty_like(source) if self._changes(i) else source
        for chunk in flat_chunks(reference, *sources, *targets):
            self._close_chunk(chunk[0], chunk[1 : 1 + len(sources)], chunk[1 + len(sources) :])
        self.output_shape = tuple(reference.shape[1:])
        local = targets[0] if self._stream_quantizers[0] is not None else reference
        return Streams(reference, local, targets[1:])

    def _changes(self, stream: int) -> bool:
        return self._stream_quantizers[stream] is not None or self._clamps[stream] is not None

    def _close_chunk(self, reference: Tensor, sources: tuple[Tensor, ...], targets: tuple[Tensor, ...]) -> None:
        if self.clamp is not None:
            reference.clamp_(*self.clamp)
        for source, target, quantizer, clamp in zip(
            sources, targets, self._stream_quantizers, self._clamps, strict=True
        ):
            if clamp is not None:
                torch.clamp(source, *clamp, out=target)
                source = target
            if quantizer is not None:
                quantizer.fake_quantize_chunk(source, target)
        self.errors.add_chunk(reference=reference, simulated=list(targets))
        first = self._stream_quantizers[0]
        if first is not None:
            self._count_clipped(reference, first)
            first.fake_quantize_chunk(reference, targets[0])

    def _count_clipped(self, reference: Tensor, quantizer: Quantizer) -> None:
        low, high = quantizer.clip_bounds
        if reference.device.type == "cpu":
            smallest, largest = torch.aminmax(reference)
            # the common case costs one read; NaN compares false and is counted by the sums
            if not (float(smallest) < low or float(largest) > high):
                return
            self._clipped += float(((reference < low) | (reference > high)).sum())
        else:
            self._clipped = self._clipped + ((reference < low) | (reference > high)).sum()

    @property
    def clipped_count(self) -> int:
        return int(self._clipped)

    def sums(self) -> tuple[ErrorSums, list[ErrorSums]]:
        """Local sums, and the propagated sums of each plan."""
        local, *propagated = self.errors.sums()
        return local, propagated
