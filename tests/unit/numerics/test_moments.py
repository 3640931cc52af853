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
