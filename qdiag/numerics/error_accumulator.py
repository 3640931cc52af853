"""Adds up the sums of `ErrorSums` over chunks of tensors, in float64, without holding any of them."""

import math
import threading
from collections.abc import Iterable

import torch
from torch import Tensor

from qdiag.core.measures.error_sums import ErrorSums
from qdiag.numerics.layout import flat_chunks
from qdiag.numerics.waiting import checks_at_the_end, side_by_side, waits

_FIELD_COUNT = 8
_LARGEST = 5
"""Place of `max_abs_error`, the one field that is not added."""
_MOST_UNADDED = 64
"""Batches whose sums wait on a GPU until they are added up: one operation for all of them in place of one each."""
_scratch = threading.local()


class ErrorAccumulator:
    """Sums over pairs (reference, simulated), for several simulated variants of one reference.

    Each chunk is summed in float32 by BLAS (again in float64 over the finite pairs where a sum is not finite), chunks
    are added in float64. On a GPU the sums stay on the device until `sums` is called, and are those of float32 where a
    pass asks at its end whether all was finite (`qdiag.numerics.waiting`).

    Args:
        variants: number of simulated tensors that come with each reference.
    """

    def __init__(self, variants: int = 1) -> None:
        self._host = [[0.0] * _FIELD_COUNT for _ in range(variants)]
        self._device: list[Tensor | None] = [None] * variants
        self._unadded: list[list[tuple[int, Tensor]]] = [[] for _ in range(variants)]

    def add(self, *, reference: Tensor, simulated: list[Tensor]) -> None:
        """Adds tensors of one shape; the reference itself among them has no error, and is not compared."""
        places = [i for i, x in enumerate(simulated) if x is not reference]
        for reference_chunk, *chunks in flat_chunks(reference, *(simulated[i] for i in places)):
            others = dict(zip(places, chunks, strict=True))
            self.add_chunk(
                reference=reference_chunk, simulated=[others.get(i, reference_chunk) for i in range(len(simulated))]
            )

    def add_chunk(self, *, reference: Tensor, simulated: Iterable[Tensor]) -> None:
        """Adds flat tensors of one length; the simulated ones are read one after the other."""
        if not waits(reference):
            power = float(torch.dot(reference, reference))
            for variant, x in enumerate(simulated):
                self._add_host(variant, _fast_sums(reference, x, power) or _masked_sums(reference, x).tolist())
        else:
            checks = checks_at_the_end(reference)
            own_power = torch.dot(reference, reference) if checks is not None else None
            for variant, x in enumerate(simulated):
                if checks is not None and own_power is not None:
                    new = _unread_sums(reference, x, own_power)
                    checks.add(new)
                    self._unadded[variant].append((reference.numel(), new))
                else:
                    self._add_device(variant, _masked_sums(reference, x))

    def _add_host(self, variant: int, new: list[float]) -> None:
        old = self._host[variant]
        merged = [a + b for a, b in zip(old, new, strict=True)]
        merged[_LARGEST] = max(old[_LARGEST], new[_LARGEST])
        self._host[variant] = merged

    def _add_device(self, variant: int, new: Tensor) -> None:
        own = self._device[variant]
        self._device[variant] = new if own is None else _merge(*side_by_side(own, new))

    def _add_up(self, variant: int) -> None:
        """What waits on a GPU."""
        if self._unadded[variant]:
            counts, sums = zip(*self._unadded[variant], strict=True)
            self._unadded[variant] = []
            self._add_device(variant, _added_up(sum(counts), torch.stack(sums)))

    def merge(self, later: "ErrorAccumulator") -> None:
        """Adds what another one added up, of as many variants."""
        for variant, (host, device) in enumerate(zip(later._host, later._device, strict=True)):
            self._add_host(variant, host)
            if device is not None:
                self._add_device(variant, device)
            self._unadded[variant] += later._unadded[variant]
            if len(self._unadded[variant]) > _MOST_UNADDED:
                self._add_up(variant)

    def sums(self) -> list[ErrorSums]:
        """The totals of each variant."""
        result = []
        for variant in range(len(self._host)):
            self._add_up(variant)
        for host, device in zip(self._host, self._device, strict=True):
            v = host if device is None else device.tolist()
            result.append(ErrorSums(int(v[0]), v[1], v[2], v[3], v[4], v[5], int(v[6]), int(v[7])))
        return result


def _fast_sums(reference: Tensor, simulated: Tensor, power: float) -> list[float] | None:
    """The eight sums of a chunk without NaN and Inf; None when it has some, or a square overflows."""
    if simulated is reference and math.isfinite(power):
        return [reference.numel(), power, 0.0, power, 0.0, 0.0, 0.0, 0.0]
    error = torch.sub(simulated, reference, out=_scratch_like(reference))
    error_power = float(torch.dot(error, error))
    if not (math.isfinite(power) and math.isfinite(error_power)):
        return None
    low, high = torch.aminmax(error)
    cross = power + float(torch.dot(reference, error))
    return [reference.numel(), power, error_power, cross, float(error.sum()), max(-float(low), float(high)), 0.0, 0.0]


def _scratch_like(x: Tensor) -> Tensor:
    """A buffer for one chunk; fresh memory each time would cost a page fault for every 4 KiB."""
    buffer: Tensor | None = getattr(_scratch, "buffer", None)
    if buffer is None or buffer.numel() < x.numel() or buffer.dtype != x.dtype:
        with torch.inference_mode(False):  # a caller's inference mode must not mark a buffer that outlives it
            buffer = _scratch.buffer = torch.empty(x.numel(), dtype=x.dtype)
    return buffer if buffer.numel() == x.numel() else buffer[: x.numel()]


def _unread_sums(reference: Tensor, simulated: Tensor, power: Tensor) -> Tensor:
    """Of finite pairs: power of the reference and of the error, product, sum of the error, its ends; (6,).

    Nothing is read here. Some of them is not finite where a value is not.
    """
    error = torch.sub(simulated, reference)
    products = torch.dot(error, error), torch.dot(reference, error)
    return torch.stack([power, *products, error.sum(), *torch.aminmax(error)])


def _added_up(count: int, unread: Tensor) -> Tensor:
    """The eight sums of `count` finite pairs in float64, from (B, 6) of `_unread_sums`."""
    power, error_power, product, error = unread[:, :4].double().sum(0)
    largest = torch.maximum(-unread[:, 4].amin(), unread[:, 5].amax()).double()
    none = torch.zeros_like(largest)
    return torch.stack([none + count, power, error_power, power + product, error, largest, none, none])


def _masked_sums(reference: Tensor, simulated: Tensor) -> Tensor:
    """The eight sums over finite pairs in float64, shape (8,), on the device of the inputs."""
    reference_ok, simulated_ok = torch.isfinite(reference), torch.isfinite(simulated)
    ok = reference_ok & simulated_ok
    r = torch.where(ok, reference.double(), 0.0)
    s = torch.where(ok, simulated.double(), 0.0)
    e = s - r
    return torch.stack(
        [
            ok.sum().double(),
            (r * r).sum(),
            (e * e).sum(),
            (r * s).sum(),
            e.sum(),
            e.abs().amax(),
            (~reference_ok).sum().double(),
            (~simulated_ok).sum().double(),
        ]
    )


def _merge(a: Tensor, b: Tensor) -> Tensor:
    merged = a + b
    merged[_LARGEST] = torch.maximum(a[_LARGEST], b[_LARGEST])
    return merged


def error_sums(*, reference: Tensor, simulated: Tensor) -> ErrorSums:
    """The pooled sums of two tensors of one shape.

    >>> import torch
    >>> sums = error_sums(reference=torch.tensor([3.0, 4.0]), simulated=torch.tensor([3.0, 4.5]))
    >>> sums.error_sq_sum, round(sums.sqnr_db, 6)
    (0.25, 20.0)
    """
    accumulator = ErrorAccumulator()
    accumulator.add(reference=reference.detach().float(), simulated=[simulated.detach().float()])
    return accumulator.sums()[0]
