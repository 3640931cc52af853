"""Figures of one row, as numbers of Python, against NumPy and against those of rows."""

import math

import numpy as np
import pytest
import torch

from qdiag.numerics.moments import MomentAccumulator


def test_figures_of_one_row_are_those_of_numpy() -> None:
    values = torch.randn(2, 500, generator=torch.Generator().manual_seed(0)).mul(3.0).add(1.0).relu()
    sums = MomentAccumulator()
    for part in values:
        sums.add(part.view(1, -1))
    x = values.double().numpy()
    kurtosis = ((x - x.mean()) ** 4).mean() / x.var() ** 2
    expected = (x.mean(), x.std(), kurtosis, np.mean(x == 0.0))
    assert sums.of_one_row() == pytest.approx(expected, rel=1e-12)
    assert sums.of_one_row() == pytest.approx(_of_rows(sums), rel=1e-12)


@pytest.mark.parametrize("values", [torch.full((1, 9), 0.1), torch.zeros(1, 9), torch.zeros(1, 0)])
def test_a_constant_has_no_spread_and_nothing_has_no_mean(values: torch.Tensor) -> None:
    sums = MomentAccumulator()
    if values.numel():
        sums.add(values)
    mean, std, kurtosis, zeros = sums.of_one_row()
    assert (std, math.isnan(kurtosis)) == (0.0, True)
    assert (mean, zeros) == pytest.approx(_of_rows(sums)[::3], rel=1e-12, nan_ok=True)


def _of_rows(sums: MomentAccumulator) -> tuple[float, ...]:
    return tuple(float(x) for x in (sums.mean(), sums.std(), sums.kurtosis(), sums.zero_fraction()))


def test_the_order_of_batches_leaves_no_trace() -> None:
    """Channels that hardly move have a kurtosis that is what cancellation leaves of sums a billion times as large."""
    batches = [200.0 + torch.randn(3, 50, generator=torch.Generator().manual_seed(i)) for i in range(40)]

    def added(*orders: range) -> list[float]:
        parts = [MomentAccumulator(3) for _ in orders]
        for part, order in zip(parts, orders, strict=True):
            for i in order:
                part.add(batches[i])
        whole = parts[0]
        for later in parts[1:]:
            whole.merge(later)
        return torch.cat([whole.mean(), whole.std(), whole.kurtosis()]).tolist()

    one = added(range(40))
    assert one == added(range(20), range(20, 40)) == added(range(39, -1, -1)) == added(range(0), range(40))
    together = torch.cat(batches, 1).double()
    centred = together - together.mean(1, keepdim=True)
    expected = (centred**4).mean(1) / (centred**2).mean(1) ** 2
    assert one[6:] == pytest.approx(expected.tolist(), rel=1e-5)
