"""Gathers where the values of one tensor lie, over batches, in bounded memory."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from qdiag.core.measures.ranges import PERCENTILES, ChannelRanges, TensorRange
from qdiag.numerics.channel_observer import ChannelObserver
from qdiag.numerics.histogram import HistogramAccumulator
from qdiag.numerics.layout import dense, flat_alike, flat_chunks
from qdiag.numerics.moments import MomentAccumulator
from qdiag.numerics.waiting import checks_at_the_end, side_by_side, waits

Ends = tuple[Tensor, Tensor]
"""Smallest and largest value of a piece of a tensor, two numbers where they were computed."""
_STRIDES = (1, 3, 7, 13, 31, 61, 127, 251, 509, 1021, 2039, 4093, 8191)
"""Primes: no channel count or row length divides them, so a stride visits all channels and columns alike."""


@dataclass(frozen=True, slots=True)
class ObserverOptions:
    """How closely to look.

    Attributes:
        samples_per_image: elements per image behind histogram and moments; minimum and maximum always see every one.
        averaging_constant: weight of each new image in the moving average; None leaves the moving average out.
        channel_axis: gather figures per channel along this axis, over every element; None for per tensor only.
        glance_at_channels: only at some positions, see `ChannelObserver`.
        with_shape: gather moments, of channels too. with_histogram: gather a histogram. Without both, only minimum and
            maximum are looked at, and the other figures are NaN.
    """

    samples_per_image: int = 4096
    averaging_constant: float | None = None
    channel_axis: int | None = None
    glance_at_channels: bool = False
    with_shape: bool = True
    with_histogram: bool = True


class TensorObserver:
    """Streaming minimum, maximum, moving averages, moments and histogram of one tensor.

    What waits on a GPU is tensors there; nothing is read back before `range` is called.
    """

    def __init__(self, options: ObserverOptions) -> None:
        self._options = options
        self._count = 0
        self._nonfinite: Tensor | None = None
        self._at_hand: tuple[float, float] | None = None
        self._extremes: Tensor | None = None
        self._ends: list[Tensor] = []
        self._moments = MomentAccumulator()
        self._histogram = HistogramAccumulator()
        self._channels: ChannelObserver | None = None
        if options.channel_axis is not None:
            self._channels = ChannelObserver(
                options.channel_axis, is_glance=options.glance_at_channels, with_shape=options.with_shape
            )

    def update(self, x: Tensor, *, image_count: int, ends: Sequence[Ends] = ()) -> None:
        """Adds one batch.

        Args:
            x: any shape, images along the first axis when its length is `image_count`.
            ends: those of pieces that make up x, where they are known.
        """
        if not x.numel():
            return
        x = dense(x.detach())
        (flat,) = flat_alike(x)
        images = flat.view(image_count, -1) if x.ndim and x.shape[0] == image_count else flat.view(1, -1)
        by_channel = self._channels.update(x) if self._channels is not None else None
        if by_channel is not None:
            ends = ((by_channel[0].amin(), by_channel[1].amax()),)
        elif not ends:
            ends = _ends(flat)
        self._count += flat.numel()
        if waits(x):
            self._look_there(flat, images, ends)
        else:
            self._look_here(flat, images, ends)
        if self._options.averaging_constant is not None:
            by_image = torch.stack(torch.aminmax(images, dim=1), 1) if waits(x) else None
            self._ends.append(torch.stack([_extremes(image) for image in images]) if by_image is None else by_image)

    def _look_here(self, flat: Tensor, images: Tensor, ends: Sequence[Ends]) -> None:
        """A batch whose numbers are at hand."""
        lows, highs = [float(low) for low, _ in ends], [float(high) for _, high in ends]
        is_finite = math.isfinite(sum(lows) + sum(highs))
        if is_finite:
            low, high = min(lows), max(highs)
        else:
            ok = torch.isfinite(flat)
            self._nonfinite = _plus(self._nonfinite, (~ok).sum())
            low = float(torch.where(ok, flat, math.inf).amin())
            high = float(torch.where(ok, flat, -math.inf).amax())
        self._reaches(low, high)
        self._look_at_some(images, max(abs(low), abs(high)) if low <= high else 0.0, is_finite=is_finite)

    def _reaches(self, low: float, high: float) -> None:
        own = self._at_hand
        self._at_hand = (low, high) if own is None else (min(own[0], low), max(own[1], high))

    def _look_there(self, flat: Tensor, images: Tensor, ends: Sequence[Ends]) -> None:
        """A batch whose numbers nobody waits for."""
        lows, highs = zip(*ends, strict=True)
        extremes = outermost(torch.stack([torch.stack(lows), torch.stack(highs)]))
        checks = checks_at_the_end(flat)
        if checks is not None:
            checks.add(extremes)
        else:
            ok = torch.isfinite(flat)
            self._nonfinite = _plus(self._nonfinite, (~ok).sum())
            extremes = torch.stack([torch.where(ok, flat, math.inf).amin(), torch.where(ok, flat, -math.inf).amax()])
        self._extremes = extremes if self._extremes is None else _wider(self._extremes, extremes)
        largest = extremes.abs().nan_to_num(0.0, 0.0, 0.0).amax()
        self._look_at_some(images, largest, is_finite=checks is not None)

    def _look_at_some(self, images: Tensor, largest: Tensor | float, *, is_finite: bool) -> None:
        """Histogram and moments of some values of each image, (N, K).

        Args:
            largest: |value| of all of them.
        """
        if not (self._options.with_histogram or self._options.with_shape):
            return
        sample = images[:, :: _stride(images.shape[1], self._options.samples_per_image)].reshape(1, -1)
        finite = None if is_finite else torch.isfinite(sample)
        if self._options.with_histogram:
            self._histogram.add(sample, largest, finite)
        if self._options.with_shape:
            self._moments.add(sample, finite)

    def merge(self, later: "TensorObserver") -> None:
        """Adds what another one saw of images that come after those of this one, looking as closely."""
        if not later._count:
            return
        self._count += later._count
        if later._nonfinite is not None:
            own = self._nonfinite
            self._nonfinite = later._nonfinite if own is None else torch.add(*side_by_side(own, later._nonfinite))
        if later._at_hand is not None:
            self._reaches(*later._at_hand)
        theirs = later._extremes
        if theirs is not None:
            self._extremes = theirs if self._extremes is None else _wider(*side_by_side(self._extremes, theirs))
        self._moments.merge(later._moments)
        self._histogram.merge(later._histogram)
        self._ends = [*self._ends, *later._ends]
        if self._channels is not None and later._channels is not None:
            self._channels.merge(later._channels)

    @property
    def moving_average(self) -> tuple[float, float]:
        """Exponential averages of the images' minima and maxima, in the order in which the images came.

        The average moves image by image, so that it does not depend on how images are batched.

        Raises:
            ValueError: the observer was not told to keep them.
        """
        constant, average = self._options.averaging_constant, None
        if constant is None or not self._ends:
            raise ValueError("no moving average was kept")
        for new in torch.cat([ends.cpu() for ends in self._ends]):
            new = torch.where(torch.isfinite(new), new, new if average is None else average)
            average = new if average is None else average + constant * (new - average)
        assert average is not None, "there are images"
        low, high = average.tolist()
        return low, high

    def range(self) -> TensorRange | None:
        """Everything seen so far as plain numbers; None when no finite value came."""
        if self._extremes is not None:
            self._reaches(*self._extremes.cpu().tolist())
        if self._at_hand is None:
            return None
        low, high = self._at_hand
        nonfinite = int(self._nonfinite) if self._nonfinite is not None else 0
        if self._moments.count if self._options.with_shape else self._count > nonfinite:
            histogram = self._histogram.histogram()
            mean, std, kurtosis, zero_fraction = self._moments.of_one_row()
            percentiles = () if histogram is None else tuple(self._histogram.percentiles(PERCENTILES).clamp(low, high))
            return TensorRange(
                count=self._count - nonfinite,
                sampled_count=self._moments.count,
                nonfinite_count=nonfinite,
                min=low,
                max=high,
                mean=mean,
                std=std,
                kurtosis=kurtosis,
                zero_fraction=zero_fraction,
                percentiles=tuple(float(value) for value in percentiles),
                histogram=histogram,
            )
        return None

    def channels(self) -> ChannelRanges | None:
        """The figures per channel, when they were asked for."""
        return self._channels.ranges() if self._channels is not None else None


def _ends(flat: Tensor) -> list[Ends]:
    """Minimum and maximum of each chunk, because a chunk in the cache is read twice as fast."""
    return [torch.aminmax(chunk) for (chunk,) in flat_chunks(flat)]


def _extremes(flat: Tensor) -> Tensor:
    """Minimum and maximum, shape (2,)."""
    pairs = [torch.stack(pair) for pair in _ends(flat)]
    return pairs[0] if len(pairs) == 1 else outermost(torch.stack(pairs, 1))


def outermost(pairs: Tensor) -> Tensor:
    """Smallest of the first row and largest of the second one, of (2, N), shape (2,)."""
    return torch.stack([pairs[0].amin(), pairs[1].amax()])


def _wider(a: Tensor, b: Tensor) -> Tensor:
    return torch.stack([torch.minimum(a[0], b[0]), torch.maximum(a[1], b[1])])


def _plus(total: Tensor | None, new: Tensor) -> Tensor:
    return new if total is None else total + new


def _stride(per_image: int, samples_per_image: int) -> int:
    wanted = per_image / samples_per_image
    return max((s for s in _STRIDES if s <= wanted), default=1)


def observe(x: Tensor, *, channel_axis: int | None = None) -> tuple[TensorRange | None, ChannelRanges | None]:
    """Range of one tensor that is at hand whole, over every element."""
    observer = TensorObserver(ObserverOptions(samples_per_image=max(x.numel(), 1), channel_axis=channel_axis))
    observer.update(x, image_count=1)
    return observer.range(), observer.channels()
