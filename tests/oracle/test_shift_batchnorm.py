"""BatchNorm by shifts against NumPy, written from arXiv 1602.02830, algorithm 2, on the bits of the numbers."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

import qdiag
from qdiag.core.scheme import QuantScheme, TensorScheme
from qdiag.numerics.shift_batchnorm import ap2, shift_batch_norm
from qdiag.writers.csv.layers import layer_frame
from qdiag.writers.json.measurement import from_json, to_json

Doubles = NDArray[np.float64]


def power_of_two(x: float) -> float:
    """Mantissa and exponent: 1.5 * 2^e rounds up, as every mantissa above sqrt(2) does."""
    if x == 0.0:
        return 0.0
    mantissa, exponent = math.frexp(abs(x))  # x = mantissa * 2^exponent, 0.5 <= mantissa < 1
    return math.copysign(math.ldexp(1.0, exponent if mantissa > math.sqrt(0.5) else exponent - 1), x)


def by_shifts(x: Doubles, gamma: Doubles, beta: Doubles, mean: Doubles | None, variance: Doubles | None) -> Doubles:
    """(N, C, H, W), channel by channel, value by value."""
    y = np.empty_like(x)
    for c in range(x.shape[1]):
        mu = x[:, c].mean() if mean is None else mean[c]
        centred = x[:, c] - mu
        if variance is None:
            squares = [value * power_of_two(value) for value in centred.flatten()]
            sigma = sum(squares) / len(squares)
        else:
            sigma = variance[c]
        y[:, c] = power_of_two(gamma[c]) * (centred * power_of_two(1.0 / math.sqrt(sigma + 1e-5))) + beta[c]
    return y


@given(st.floats(width=32, allow_nan=False, allow_infinity=False, min_value=-(2.0**120), max_value=2.0**120))
def test_ap2_is_the_nearest_power_of_two(x: float) -> None:
    found = float(ap2(torch.tensor(x, dtype=torch.float64)))
    assert found == power_of_two(x)
    if x != 0.0:
        assert math.frexp(found)[0] in (0.5, -0.5)
        assert 1.0 / math.sqrt(2.0) <= found / x <= math.sqrt(2.0)


@pytest.mark.parametrize("is_training", [False, True])
def test_the_whole_norm_against_numpy(is_training: bool) -> None:
    rng = np.random.default_rng(0)
    x, gamma, beta, mean = rng.normal(1.0, 2.0, (3, 4, 5, 5)), *rng.normal(0.0, 2.0, (3, 4))
    gamma[1] = 0.0
    variance = rng.uniform(0.1, 9.0, 4)
    running = (None, None) if is_training else (mean, variance)
    tensors = [None if v is None else torch.from_numpy(v) for v in (gamma, beta, *running)]
    found = shift_batch_norm(torch.from_numpy(x), *tensors, 1e-5)
    np.testing.assert_allclose(found.numpy(), by_shifts(x, gamma, beta, *running), rtol=1e-12, atol=1e-12)


class NormFirst(nn.Module):
    """A BatchNorm that no layer can take in: the convolution behind it pads with zeros."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.norm, self.conv = nn.BatchNorm2d(4), nn.Conv2d(4, 3, 3, padding=1)
        with torch.no_grad():
            for values in (self.norm.weight, self.norm.bias, self.norm.running_mean):
                values.normal_()
            self.norm.running_var.uniform_(0.2, 5.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.conv(F.relu(self.norm(x)))
        return y


SHIFTS = QuantScheme(weights=TensorScheme(bits=16), activations=TensorScheme(bits=32), bias="float", batchnorm="shift")


@pytest.fixture(scope="module")
def measured() -> tuple[qdiag.Measurement, NormFirst, torch.Tensor]:
    model, x = NormFirst().eval(), torch.randn(8, 4, 6, 6, generator=torch.Generator().manual_seed(1))
    return qdiag.measure(model, x, scheme=SHIFTS), model, x


def test_the_error_of_the_arithmetic_stands_beside_its_layer(
    measured: tuple[qdiag.Measurement, NormFirst, torch.Tensor],
) -> None:
    result, model, x = measured
    norm = model.norm
    numbers = [v.detach().double().numpy() for v in (norm.weight, norm.bias, norm.running_mean, norm.running_var)]
    own = np.maximum(by_shifts(x.double().numpy(), *numbers), 0.0)  # type: ignore[arg-type]
    with torch.no_grad():
        exact = F.relu(norm(x)).double().numpy()
    expected = 10.0 * math.log10(np.square(exact).sum() / np.square(own - exact).sum())
    record = result.record("norm")
    assert record.arithmetic is not None
    assert record.arithmetic.sqnr_db == pytest.approx(expected, abs=1e-3)
    assert record.local.sqnr_db == pytest.approx(expected, abs=1e-3)  # no activation is quantized
    assert 0.0 < expected < 25.0
    assert [r.name for r in result.records if r.arithmetic is not None] == ["norm"]
    assert result.record("conv").propagated.sqnr_db < 30.0


def test_the_error_is_kept_in_files(measured: tuple[qdiag.Measurement, NormFirst, torch.Tensor]) -> None:
    result = measured[0]
    assert from_json(to_json(result)).record("norm").arithmetic == result.record("norm").arithmetic
    column = layer_frame(result).set_index("layer")["arithmetic_sqnr_db"]
    assert column["norm"] == result.record("norm").arithmetic.sqnr_db  # type: ignore[union-attr]
    assert column.isna()["conv"]


def test_exact_norms_and_norms_in_float_have_no_such_error() -> None:
    model, x = NormFirst().eval(), torch.randn(4, 4, 6, 6, generator=torch.Generator().manual_seed(2))
    exact = qdiag.measure(model, x, scheme=QuantScheme())
    in_float = qdiag.measure(model, x, scheme=QuantScheme(batchnorm="shift", float_layers=("norm",)))
    assert all(record.arithmetic is None for result in (exact, in_float) for record in result.records)
