"""The output of one layer: clamp, quantize, and measure, in one walk over memory."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from qdiag.core.measures.error_sums import ErrorSums
from qdiag.numerics.affine import fake_quantize_chunk, integer_bounds
from qdiag.numerics.error_accumulator import ErrorAccumulator
from qdiag.numerics.layout import alike, dense, flat_chunks
from qdiag.numerics.qparams import QParams
from qdiag.simulate.passes.streams import Streams

Clamp = tuple[float, float]


@dataclass(frozen=True)
class Rounding:
    """A per-tensor quantizer as plain numbers; `low` and `high` are integers counted from the zero point."""

    scale: float
    low: float
    high: float

    @classmethod
    def of(cls, qparams: QParams | None) -> "Rounding | None":
        """None for a tensor that stays in float."""
        if qparams is None:
            return None
        low, high = integer_bounds(qparams)
        return cls(float(qparams.scale), low, high)

    def includes(self, clamp: Clamp) -> bool:
        """Clamping first would change nothing: the integer range ends at or inside the bounds.

        This is why Conv + ReLU needs one quantizer, not two (arXiv 1712.05877, section 2.4).
        """
        low, high = (torch.tensor([*clamp], dtype=torch.float32) / self.scale).round().tolist()
        return bool(low <= self.low and high >= self.high)

    @property
    def clip_bounds(self) -> tuple[float, float]:
        """Values beyond these are clipped rather than rounded."""
        return (self.low - 0.5) * self.scale, (self.high + 0.5) * self.scale


@dataclass
class Site:
    """Closes one layer's output, and keeps its sums.

    Args:
        clamp: bounds of a fused clamp.
        roundings: quantizer of each plan; the first one also serves the local stream.
    """

    clamp: Clamp | None
    roundings: list[Rounding | None]
    errors: ErrorAccumulator = field(init=False)
    output_shape: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        self.errors = ErrorAccumulator(1 + len(self.roundings))
        self._clipped: float | Tensor = 0.0
        # local first: stream 0 is the local one, the others are the plans'
        self._stream_roundings = [self.roundings[0], *self.roundings]
        self._clamps = [
            self.clamp if self.clamp is not None and (r is None or not r.includes(self.clamp)) else None
            for r in self._stream_roundings
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
        local = targets[0] if self._stream_roundings[0] is not None else reference
        return Streams(reference, local, targets[1:])

    def _changes(self, stream: int) -> bool:
        return self._stream_roundings[stream] is not None or self._clamps[stream] is not None

    def _close_chunk(self, reference: Tensor, sources: tuple[Tensor, ...], targets: tuple[Tensor, ...]) -> None:
        if self.clamp is not None:
            reference.clamp_(*self.clamp)
        for source, target, rounding, clamp in zip(sources, targets, self._stream_roundings, self._clamps, strict=True):
            if clamp is not None:
                torch.clamp(source, *clamp, out=target)
                source = target
            if rounding is not None:
                fake_quantize_chunk(source, target, rounding.scale, rounding.low, rounding.high)
        self.errors.add_chunk(reference=reference, simulated=list(targets))
        first = self._stream_roundings[0]
        if first is not None:
            self._count_clipped(reference, first)
            fake_quantize_chunk(reference, targets[0], first.scale, first.low, first.high)

    def _count_clipped(self, reference: Tensor, rounding: Rounding) -> None:
        low, high = rounding.clip_bounds
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
