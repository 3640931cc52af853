"""Signs with and without a magnitude against arXiv 1602.02830 and 1603.05279, written in float64 NumPy."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from qdiag.calibrators import CALIBRATORS
from qdiag.core.scheme import TensorScheme
from qdiag.errors import CalibrationError
from qdiag.numerics.quantizers import QUANTIZERS
from qdiag.numerics.quantizers.base import Quantizer
from qdiag.numerics.quantizers.binary import Binary

Numbers = NDArray[np.float64]


def signs(x: Numbers) -> Numbers:
    return np.where(x >= 0.0, 1.0, -1.0)


def xnor(weight: Numbers, *, centred: bool, per_channel: bool, scaled: bool) -> Numbers:
    """Weights (C_out, C_in, ...)."""
    w = weight.copy()
    if centred:
        for channel in w:
            channel -= channel.mean(axis=0)
        w = np.minimum(np.maximum(w, -1.0), 1.0)
    if not scaled:
        return signs(w)
    if not per_channel:
        return signs(w) * np.abs(w).mean()
    return np.stack([signs(channel) * (np.abs(channel).sum() / channel.size) for channel in w])


def made(weight: torch.Tensor, axis: int = 0, **fields: object) -> Quantizer:
    scheme = TensorScheme(bits=1, type="binary", **fields)  # type: ignore[arg-type]
    return CALIBRATORS["minmax"].weight(weight, scheme, axis)


@pytest.mark.parametrize("shape", [(6, 5, 3, 3), (4, 7), (3, 4, 5)])
@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("granularity", ["per_tensor", "per_channel"])
@pytest.mark.parametrize("scale", ["float32", "none"])
def test_a_weight(shape: tuple[int, ...], centred: bool, granularity: str, scale: str) -> None:
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(1)) * 1.5 + 0.3
    q = made(weight, granularity=granularity, scale=scale, center=centred)
    scaled, per_channel = scale == "float32", granularity == "per_channel"
    expected = xnor(weight.double().numpy(), centred=centred, per_channel=per_channel, scaled=scaled)
    np.testing.assert_allclose(q.fake_quantize(weight).numpy(), expected, rtol=1e-6)
    assert q.granularity == (granularity if scaled else "per_tensor")
    channels = shape[0] if per_channel else 1
    assert q.scale_bytes(weight.shape) == (4 * channels if scaled else 0)


def test_a_transposed_convolution_has_its_channels_on_the_second_axis() -> None:
    weight = torch.randn(5, 6, 2, 2, generator=torch.Generator().manual_seed(2))
    q = made(weight, 1, granularity="per_channel", scale="float32", center=True)
    turned = weight.transpose(0, 1).double().numpy()
    expected = xnor(turned, centred=True, per_channel=True, scaled=True)
    np.testing.assert_allclose(q.fake_quantize(weight).transpose(0, 1).numpy(), expected, rtol=1e-6)


def test_a_filter_with_one_input_channel_is_not_centred() -> None:
    weight = torch.tensor([[[[0.5, -0.25]]], [[[-1.0, 3.0]]]])
    q = made(weight, center=True, scale="float32", granularity="per_channel")
    assert q.fake_quantize(weight).flatten().tolist() == [0.375, -0.375, -2.0, 2.0]


def test_the_mean_of_magnitudes_has_the_least_squared_error() -> None:
    """1603.05279, equation 6, by search."""
    weight = torch.randn(1, 200, generator=torch.Generator().manual_seed(3)).double().numpy()
    errors = {alpha: float(np.square(weight - alpha * signs(weight)).sum()) for alpha in np.linspace(0.3, 1.5, 1201)}
    best = min(errors, key=lambda alpha: errors[alpha])
    q = made(torch.from_numpy(weight).float(), scale="float32")
    assert isinstance(q, Binary)
    assert float(q.alpha) == pytest.approx(best, abs=1e-3)


def test_zero_has_the_sign_of_plus() -> None:
    x = torch.tensor([0.0, -0.0, 1e-30, -1e-30, math.inf, -math.inf])
    q = QUANTIZERS["binary"].from_range(torch.tensor(-1.0), torch.tensor(1.0), TensorScheme(bits=1, type="binary"))
    assert q.fake_quantize(x).tolist() == [1.0, 1.0, 1.0, -1.0, 1.0, -1.0]
    q.fake_quantize_chunk(x, x)
    assert x.tolist() == [1.0, 1.0, 1.0, -1.0, 1.0, -1.0]


def test_nan_stays_nan() -> None:
    x = torch.tensor([[math.nan, 1.0], [2.0, -3.0]])
    plain = QUANTIZERS["binary"].from_range(torch.tensor(-1.0), torch.tensor(1.0), TensorScheme(bits=1, type="binary"))
    scaled = made(torch.ones(2, 2), scale="float32", granularity="per_channel")
    drawn = made(torch.ones(2, 2), stochastic_seed=0)
    for q in (plain, scaled, drawn):
        assert q.fake_quantize(x).isnan().tolist() == [[True, False], [False, False]]
    with pytest.raises(CalibrationError):
        made(x)


def test_a_weight_of_zeros_stays_zero_under_its_mean() -> None:
    q = made(torch.zeros(2, 3), scale="float32")
    assert q.fake_quantize(torch.zeros(2, 3)).abs().sum() == 0.0
    assert q.record().range_max > 0.0


def test_signs_are_drawn_with_the_probability_of_the_hard_sigmoid() -> None:
    """1602.02830, equations 2 and 3."""
    x = torch.linspace(-1.4, 1.4, 15).repeat(4000, 1)
    q = made(x, stochastic_seed=5)
    drawn = q.fake_quantize(x)
    assert set(drawn.unique().tolist()) == {-1.0, 1.0}
    share = (drawn > 0.0).double().mean(0).numpy()
    expected = np.clip((np.linspace(-1.4, 1.4, 15) + 1.0) / 2.0, 0.0, 1.0)
    np.testing.assert_allclose(share, expected, atol=5 * 0.5 / math.sqrt(4000))
    assert (share[:3] == 0.0).all() and (share[-3:] == 1.0).all(), "beyond -1 and 1 nothing is left to chance"


def test_one_seed_gives_one_draw() -> None:
    x = torch.randn(40, 9, generator=torch.Generator().manual_seed(4)) * 0.3
    first, again, other = (made(x, stochastic_seed=seed) for seed in (1, 1, 2))
    torch.testing.assert_close(first.fake_quantize(x), again.fake_quantize(x), rtol=0, atol=0)
    assert first.key == again.key != other.key
    assert not torch.equal(first.fake_quantize(x), other.fake_quantize(x))
    state = torch.random.get_rng_state()
    first.fake_quantize(x)
    assert torch.equal(state, torch.random.get_rng_state()), "the caller's generator is left alone"


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_types_of_float_keep_their_type(dtype: torch.dtype) -> None:
    x = torch.randn(30, generator=torch.Generator().manual_seed(5)).to(dtype)
    q = made(torch.ones(2, 2), scale="float32")
    assert q.fake_quantize(x).dtype == dtype
    np.testing.assert_array_equal(q.fake_quantize(x).double().numpy(), signs(x.double().numpy()))
