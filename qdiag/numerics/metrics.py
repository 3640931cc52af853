"""Error figures of two tensors, and what is known about each figure."""

from dataclasses import dataclass

from torch import Tensor

from qdiag.core.measures.error_sums import ErrorSums
from qdiag.numerics.error_accumulator import ErrorAccumulator


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


def sqnr_db(*, reference: Tensor, simulated: Tensor) -> float:
    """Signal to quantization noise in dB over all elements (arXiv 1803.08607, eq. 5); +inf for equal tensors."""
    return error_sums(reference=reference, simulated=simulated).sqnr_db


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure of `ErrorSums` or `OpRecord`, its unit, and whether more is better."""

    name: str
    unit: str
    higher_is_better: bool


METRICS = (
    Metric("sqnr_db", "dB", True),
    Metric("mse", "squared units of the tensor", False),
    Metric("cosine", "", True),
    Metric("max_abs_error", "units of the tensor", False),
    Metric("mean_shift", "units of the tensor", False),
    Metric("bias_fraction", "share of the noise power", False),
    Metric("rmse_scales", "scales", False),
    Metric("clipped_fraction", "share of the values", False),
)
