"""Our quantizer against torch's own kernels and a numpy version written apart."""

import numpy as np
import pytest
import torch

from qdiag.core.scheme import TensorScheme
from qdiag.numerics.quantizers.affine import Affine

SCHEMES = {
    f"{bits} bits, {'symmetric' if symmetric else 'affine'}, {'signed' if signed else 'unsigned'}": TensorScheme(
        bits=bits, symmetric=symmetric, signed=signed
    )
    for bits in (2, 4, 7, 8, 12, 16)
    for symmetric in (True, False)
    for signed in (True, False)
}


def numpy_fake_quantize(x: np.ndarray, scale: np.ndarray, zero_point: np.ndarray, low: int, high: int) -> np.ndarray:
    q = np.clip(np.rint(x.astype(np.float32) / scale) + zero_point, low, high)
    return ((q - zero_point) * scale).astype(np.float32)


def away_from_ties(x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Torch multiplies by 1/scale where we divide: the two may differ exactly half-way between integers."""
    fraction = (x.double() / scale.double()).frac().abs()
    return (fraction - 0.5).abs() > 1e-3


@pytest.mark.parametrize("name", SCHEMES)
def test_per_tensor_equals_torch_and_numpy(name: str) -> None:
    scheme = SCHEMES[name]
    x = torch.randn(4, 5, 6, 7, generator=torch.Generator().manual_seed(1)) * 3 + 0.7
    q = Affine.from_range(x.min() * 0.8, x.max() * 0.8, scheme)
    ours = q.fake_quantize(x)
    theirs = torch.fake_quantize_per_tensor_affine(
        x, float(q.scale), int(q.zero_point), scheme.quant_min, scheme.quant_max
    )
    clear = away_from_ties(x, q.scale)
    torch.testing.assert_close(ours[clear], theirs[clear], rtol=1e-6, atol=0)
    by_numpy = numpy_fake_quantize(x.numpy(), q.scale.numpy(), q.zero_point.numpy(), scheme.quant_min, scheme.quant_max)
    np.testing.assert_array_equal(ours.numpy(), by_numpy)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("symmetric", [True, False])
def test_per_channel_equals_torch(axis: int, symmetric: bool) -> None:
    x = torch.randn(6, 8, 3, 3, generator=torch.Generator().manual_seed(2)) * torch.logspace(-3, 2, 8).view(1, 8, 1, 1)
    scheme = TensorScheme(bits=8, symmetric=symmetric, granularity="per_channel")
    rows = x.movedim(axis, 0).flatten(1)
    q = Affine.from_range(rows.amin(1), rows.amax(1), scheme, channel_axis=axis)
    theirs = torch.fake_quantize_per_channel_affine(x, q.scale, q.zero_point.int(), axis, -128, 127)
    shape = [1] * 4
    shape[axis] = -1
    clear = away_from_ties(x, q.scale.view(shape))
    torch.testing.assert_close(q.fake_quantize(x)[clear], theirs[clear], rtol=1e-6, atol=0)


def test_per_group_quantizes_each_group_alone() -> None:
    weight = torch.randn(3, 5, 2, 2, generator=torch.Generator().manual_seed(3))
    scheme = TensorScheme(bits=4, granularity="per_group", group_size=8)
    rows = weight.reshape(3, 20)
    pieces = [rows[:, 0:8], rows[:, 8:16], rows[:, 16:20]]
    low = torch.stack([p.amin(1) for p in pieces], 1)
    high = torch.stack([p.amax(1) for p in pieces], 1)
    q = Affine.from_range(low, high, scheme, channel_axis=0)
    expected = []
    for group, piece in enumerate(pieces):
        scale = q.scale[:, group : group + 1].numpy()
        expected.append(numpy_fake_quantize(piece.numpy(), scale, np.zeros_like(scale), -8, 7))
    np.testing.assert_array_equal(q.fake_quantize(weight).reshape(3, 20).numpy(), np.concatenate(expected, 1))


def test_large_tensors_are_walked_in_pieces_without_seams() -> None:
    x = torch.randn(3, 8, 200, 200, generator=torch.Generator().manual_seed(4))
    q = Affine.from_range(x.min(), x.max(), TensorScheme(symmetric=False, signed=False))
    by_numpy = numpy_fake_quantize(x.numpy(), q.scale.numpy(), q.zero_point.numpy(), 0, 255)
    np.testing.assert_array_equal(q.fake_quantize(x).numpy(), by_numpy)
    last = x.contiguous(memory_format=torch.channels_last)
    np.testing.assert_array_equal(q.fake_quantize(last).numpy(), by_numpy)
    np.testing.assert_array_equal(q.fake_quantize(x[:, ::2, 1:, ::3]).numpy(), by_numpy[:, ::2, 1:, ::3])


def test_quantize_and_dequantize_are_the_two_halves() -> None:
    x = torch.linspace(-3, 9, 1001)
    q = Affine.from_range(torch.tensor(-2.0), torch.tensor(8.0), TensorScheme(symmetric=False, signed=False))
    integers = q.quantize(x)
    assert integers.dtype is torch.int32
    assert int(integers.min()) == 0
    assert int(integers.max()) == 255
    torch.testing.assert_close(q.dequantize(integers), q.fake_quantize(x), rtol=0, atol=0)


def test_affine_scale_and_zero_point_by_hand() -> None:
    q = Affine.from_range(torch.tensor(-1.0), torch.tensor(4.1), TensorScheme(symmetric=False, signed=False))
    assert float(q.scale) == pytest.approx(5.1 / 255)
    assert int(q.zero_point) == 50
    assert float(q.fake_quantize(torch.zeros(1))) == 0.0


def test_range_is_widened_to_hold_zero() -> None:
    q = Affine.from_range(torch.tensor(3.0), torch.tensor(5.0), TensorScheme(symmetric=False, signed=False))
    assert int(q.zero_point) == 0
    assert float(q.scale) == pytest.approx(5.0 / 255)


def test_constant_zero_has_scale_one() -> None:
    zero = torch.tensor(0.0)
    for scheme in SCHEMES.values():
        q = Affine.from_range(zero, zero, scheme)
        assert float(q.scale) == 1.0
        assert float(q.fake_quantize(torch.zeros(3)).abs().sum()) == 0.0


def test_subnormal_range_does_not_divide_by_zero() -> None:
    q = Affine.from_range(torch.tensor(0.0), torch.tensor(1e-44), TensorScheme(symmetric=False, signed=False))
    assert float(q.scale) == 1.0


def test_fp32_extremes_keep_a_finite_scale() -> None:
    q = Affine.from_range(torch.tensor(-3.4e38), torch.tensor(3.4e38), TensorScheme(symmetric=False, signed=False))
    assert torch.isfinite(q.scale)


def test_affine_refuses_impossible_scales() -> None:
    from qdiag.errors import CalibrationError

    for scale in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(CalibrationError):
            Affine(torch.tensor(scale), torch.tensor(0.0), 0, 255)
    with pytest.raises(CalibrationError):
        Affine.from_range(torch.tensor(float("nan")), torch.tensor(1.0), TensorScheme())
