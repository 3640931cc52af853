"""BatchNorm without multiplications: every factor is the power of two nearest to it, and a product becomes a shift."""

import torch
from torch import Tensor


def ap2(x: Tensor) -> Tensor:
    """`sign(x) * 2^round(log2 |x|)`, and 0 for 0, shape of x (arXiv 1602.02830, section 1.3).

    log2 |x| is rounded to the nearest whole number, so that the border between 2^e and 2^(e + 1) is 2^(e + 1/2).
    """
    exponent = x.double().abs().log2().round()
    return torch.where(x == 0.0, 0.0, torch.exp2(exponent) * x.sign()).to(x.dtype)


def shift_batch_norm(
    x: Tensor,
    gamma: Tensor | None,
    beta: Tensor | None,
    mean: Tensor | None,
    variance: Tensor | None,
    eps: float,
) -> Tensor:
    """`AP2(gamma) * (C * AP2(1 / sqrt(variance + eps))) + beta` with `C = x - mean` (arXiv 1602.02830, algorithm 2).

    Without running statistics, those of the batch: the mean of x, and `mean(C * AP2(C))` as variance.

    Args:
        x: (N, C, ...). gamma, beta, mean, variance: (C,) or None.

    Returns:
        Shape and type of x.
    """
    others = [i for i in range(x.ndim) if i != 1]

    def along(values: Tensor) -> Tensor:
        return values.view(1, -1, *[1] * (x.ndim - 2))

    if mean is None or variance is None:
        mean = x.mean(others)
        centred = x - along(mean)
        variance = (centred * ap2(centred)).mean(others)
    else:
        centred = x - along(mean)
    y = centred * along(ap2((variance + eps).rsqrt()))
    if gamma is not None:
        y = y * along(ap2(gamma))
    return y if beta is None else y + along(beta)
