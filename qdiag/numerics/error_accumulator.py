"""Adds up the sums of `ErrorSums` over chunks of tensors, in float64, without holding any of them."""

import math
import threading

import torch
from torch import Tensor

from qdiag.core.measures.error_sums import ErrorSums
from qdiag.numerics.layout import flat_chunks

_FIELD_COUNT = 8
_LARGEST = 5
"""Place of `max_abs_error`, the one field that is not added."""
_scratch = threading.local()


class ErrorAccumulator:
    """Sums over pairs (reference, simulated), for several simulated variants of one reference.

    Each chunk is summed in float32 by BLAS (again in float64 over the finite pairs where a sum is not finite), chunks
    are added in float64. On a GPU the sums stay on the device until `sums` is called.

    Args:
        variants: number of simulated tensors that come with each reference.
    """

    def __init__(self, variants: int = 1) -> None:
        self._host = [[0.0] * _FIELD_COUNT for _ in range(variants)]
        self._device: list[Tensor | None] = [None] * variants

    def add(self, *, reference: Tensor, simulated: list[Tensor]) -> None:
        """Adds tensors of one shape."""
        for reference_chunk, *simulated_chunks in flat_chunks(reference, *simulated):
            self.add_chunk(reference=reference_chunk, simulated=simulated_chunks)

    def add_chunk(self, *, reference: Tensor, simulated: list[Tensor]) -> None:
        """Adds flat tensors of one length."""
        if reference.device.type == "cpu":
            power = float(torch.dot(reference, reference))
            for variant, x in enumerate(simulated):
                self._add_host(variant, _fast_sums(reference, x, power) or _masked_sums(reference, x).tolist())
        else:
            for variant, x in enumerate(simulated):
                total, new = self._device[variant], _masked_sums(reference, x)
                self._device[variant] = new if total is None else _merge(total, new)

    def _add_host(self, variant: int, new: list[float]) -> None:
        old = self._host[variant]
        merged = [a + b for a, b in zip(old, new, strict=True)]
        merged[_LARGEST] = max(old[_LARGEST], new[_LARGEST])
        self._host[variant] = merged

    def merge(self, later: "ErrorAccumulator") -> None:
        """Adds what another one added up, of as many variants."""
        for variant, (host, device) in enumerate(zip(later._host, later._device, strict=True)):
            self._add_host(variant, host)
            own = self._device[variant]
            if device is not None:
                self._device[variant] = device.cpu() if own is None else _merge(own.cpu(), device.cpu())

    def sums(self) -> list[ErrorSums]:
        """The totals of each variant."""
        result = []
        for host, device in zip(self._host, self._device, strict=True):
            v = host if device is None else device.tolist()
            result.append(ErrorSums(int(v[0]), v[1], v[2], v[3], v[4], v[5], int(v[6]), int(v[7])))
        return result


def _fast_sums(reference: Tensor, simulated: Tensor, power: float) -> list[float] | None:
    """The eight sums of a chunk without NaN and Inf; None when it has some, or a square overflows."""
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
    return buffer[: x.numel()]


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
