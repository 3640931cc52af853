"""BatchNorm in training, where it is folded into the weight that is quantized, and where it stays.

The folded weight is `w gamma / sqrt(var + eps)` with the running variance (arXiv 1712.05877, equation 14, where it is
called a moving average): the weight that the integer network will have, which does not jump from batch to batch. The
output is then corrected to what the statistics of the batch would have made of it, so that without quantizers it is
that of ordinary BatchNorm in training (Krishnamoorthi, arXiv 1806.08342, section 3.2.2).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from qdiag.numerics.shift_batchnorm import shift_batch_norm
from qdiag.numerics.straight_through.identity import identity
from qdiag.train.network.live_values import LiveValues
from qdiag.train.network.weight_source import NormSource
from qdiag.train.processes import ONE, Processes


@dataclass(frozen=True)
class BatchStatistics:
    """Mean and unbiased variance of a batch, (C,) each, without history."""

    mean: Tensor
    variance: Tensor


def corrected(
    y: Tensor,
    bias: Tensor | None,
    norm: NormSource,
    live: LiveValues,
    tensors: Mapping[str, Tensor],
    processes: Processes = ONE,
) -> tuple[Tensor, BatchStatistics]:
    """The output of a layer and of the BatchNorm that is folded into it, with the statistics of the batch.

    With `g = gamma / sqrt(running variance + eps)`, y = g z for the output z of the plain layer without its bias, so
    that `var(z) = var(y) / g^2`, and BatchNorm gives `(y - mean(y)) sqrt(running + eps) / sqrt(var(z) + eps) + beta`.
    A channel with g = 0 keeps its statistics. So does one whose weights were all rounded to zero: its gradient would be
    multiplied by 1 / sqrt(eps).

    Args:
        y: (N, C, ...), computed with the folded weight and without a bias. bias: of the plain layer.
        processes: the batch is that of all of them.
    """
    gamma, beta = norm.parts(live)
    running_mean, running = tensors[norm.mean], tensors[norm.variance]
    deviation = (running + norm.eps).sqrt()
    gain = 1.0 / deviation if gamma is None else gamma / deviation
    count, mean, biased = _moments(y, processes)
    is_live = (gain.detach() != 0.0) & (biased.detach() > 0.0)
    divisor = torch.where(is_live, gain, 1.0)
    variance = torch.where(is_live, biased / divisor.square(), running)
    factor = deviation / (variance + norm.eps).sqrt()
    output = (y - _along(mean, y)) * _along(factor, y)
    if beta is not None:
        output = output + _along(beta, y)
    with torch.no_grad():
        plain = torch.where(is_live, mean / divisor + (0.0 if bias is None else bias), running_mean)
        unbiased = torch.where(is_live, variance * _unbiased(count), running)
    return output, BatchStatistics(plain, unbiased)


def normalized(
    x: Tensor, norm: NormSource, live: LiveValues, processes: Processes = ONE, *, by_shifts: bool
) -> tuple[Tensor, BatchStatistics]:
    """A BatchNorm that stays, with the statistics of the batch.

    Args:
        x: (N, C, ...). processes: the batch is that of all of them.
        by_shifts: with powers of two for all factors (arXiv 1602.02830, algorithm 2), whose derivative is that of the
            exact one; the factors are then those of the samples of each process.
    """
    gamma, beta = norm.parts(live)
    output: Tensor
    if processes.count == 1:
        output = torch.ops.aten.batch_norm.default(x, gamma, beta, None, None, True, 0.0, norm.eps, False)
        with torch.no_grad():
            count, mean, biased = _moments(x, processes)
    else:
        count, mean, biased = _moments(x, processes)
        output = (x - _along(mean, x)) * _along((biased + norm.eps).rsqrt(), x)
        output = output if gamma is None else output * _along(gamma, x)
        output = output if beta is None else output + _along(beta, x)
    with torch.no_grad():
        statistics = BatchStatistics(mean.detach(), biased.detach() * _unbiased(count))
        shifted = shift_batch_norm(x, gamma, beta, None, None, norm.eps) if by_shifts else None
    return output if shifted is None else identity(output, shifted), statistics


def _moments(x: Tensor, processes: Processes) -> tuple[int, Tensor, Tensor]:
    """Values in a channel, and mean and biased variance of each channel, over the samples of all processes."""
    others = [i for i in range(x.ndim) if i != 1]
    variance, mean = torch.var_mean(x, others, correction=0)
    count = x.numel() // x.shape[1]
    if processes.count == 1:
        return count, mean, variance
    whole = int(processes.total(torch.tensor(count)))
    pooled = processes.total(mean * (count / whole))
    return whole, pooled, processes.total((variance + (mean - pooled).square()) * (count / whole))


def _unbiased(count: int) -> float:
    """From the biased variance to the unbiased one."""
    return count / (count - 1) if count > 1 else 1.0


def _along(values: Tensor, x: Tensor) -> Tensor:
    return values.view(1, -1, *[1] * (x.ndim - 2))
