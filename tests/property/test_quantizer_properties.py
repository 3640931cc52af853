"""What must hold for every quantizer, every range and every input."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from qdiag.core.scheme import TensorScheme
from qdiag.numerics.quantizers.affine import Affine

VALUES = hnp.arrays(np.float32, st.integers(1, 60), elements=st.floats(-1000, 1000, width=32, allow_subnormal=False))
SCHEMES = st.builds(TensorScheme, bits=st.integers(2, 16), symmetric=st.booleans(), signed=st.booleans()) | st.builds(
    TensorScheme, bits=st.integers(2, 16), symmetric=st.booleans(), narrow_range=st.just(True)
)


@settings(max_examples=100, deadline=None)
@given(VALUES, SCHEMES)
def test_idempotent_and_within_half_a_step(values: np.ndarray, scheme: TensorScheme) -> None:
    x = torch.from_numpy(values)
    q = Affine.from_range(x.min(), x.max(), scheme)
    once = q.fake_quantize(x)
    torch.testing.assert_close(q.fake_quantize(once), once, rtol=0, atol=0)
    inside = (x >= q.record().range_min) & (x <= q.record().range_max)
    # float32 division and multiplication: half an ulp of the value each
    slack = 1e-6 * x.abs() + 1e-7 * float(q.scale)
    assert bool(((x - once).abs() <= float(q.scale) / 2 + slack)[inside].all())


@settings(max_examples=100, deadline=None)
@given(VALUES, SCHEMES, st.floats(0.1, 1.0))
def test_clamping_to_the_ends_first_changes_nothing(values: np.ndarray, scheme: TensorScheme, share: float) -> None:
    x = torch.from_numpy(values)
    q = Affine.from_range(share * x.min(), share * x.max(), scheme)
    steps = (torch.arange(-3, 4) + 0.5).float()  # halves, which are rounded to the even side
    x = torch.cat([x, *(end + steps * q.scale for end in q.ends or ()), q.scale * steps])
    if q.ends is not None:
        limited = x.clamp(*q.ends)
        q.round_chunk(limited, limited)
        torch.testing.assert_close(limited, q.fake_quantize(x), rtol=0, atol=0)


@settings(max_examples=100, deadline=None)
@given(VALUES, SCHEMES)
def test_zero_is_exact_and_order_is_kept(values: np.ndarray, scheme: TensorScheme) -> None:
    x = torch.from_numpy(np.sort(values))
    q = Affine.from_range(x.min(), x.max(), scheme)
    assert float(q.fake_quantize(torch.zeros(1))[0]) == 0.0
    assert bool((q.fake_quantize(x).diff() >= 0).all())


@settings(max_examples=100, deadline=None)
@given(VALUES, st.integers(2, 15))
def test_one_more_bit_never_hurts_by_more_than_rounding(values: np.ndarray, bits: int) -> None:
    x = torch.from_numpy(values)

    def worst(b: int) -> float:
        q = Affine.from_range(x.min(), x.max(), TensorScheme(bits=b, symmetric=False, signed=False))
        # zero_point is rounded, so the range may move by half a step and clip by as much
        assert float((q.fake_quantize(x) - x).abs().max()) <= float(q.scale) * 1.001 + 1e-4
        return float(q.scale)

    if float(x.max()) != float(x.min()) or float(x.max()) != 0.0:
        assert worst(bits + 1) <= worst(bits)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 12), st.floats(-4.0, 0.0), st.floats(0.1, 4.0))
def test_uniform_noise_power_is_a_twelfth_of_the_step_squared(bits: int, low: float, high: float) -> None:
    """The assumption behind the expected SQNR (arXiv 1803.08607, eq. 6)."""
    q = Affine.from_range(torch.tensor(low), torch.tensor(high), TensorScheme(bits=bits, symmetric=False, signed=False))
    x = torch.empty(200_000).uniform_(
        q.record().range_min, q.record().range_max, generator=torch.Generator().manual_seed(0)
    )
    noise = (q.fake_quantize(x) - x).double().square().mean().item()
    steps = (1 << bits) - 1
    # the outermost half-steps hold no values, so the mean is a little off a full set of steps
    assert abs(noise / (float(q.scale) ** 2 / 12) - 1.0) < 0.03 + 1.0 / steps


@settings(max_examples=100, deadline=None)
@given(
    st.floats(-(2.0**127), 0.0, width=32, allow_subnormal=False),
    st.floats(0.0, 2.0**127, width=32, allow_subnormal=False),
    SCHEMES,
)
def test_integers_come_back_from_their_values(low: float, high: float, scheme: TensorScheme) -> None:
    q = Affine.from_range(torch.tensor(low), torch.tensor(high), scheme)
    stored = torch.arange(q.quant_min, q.quant_max + 1)
    values = q.dequantize(stored)
    finite = torch.isfinite(values)
    assert bool(finite.all()) or abs(low) > 1e38 or high > 1e38
    torch.testing.assert_close(q.quantize(values)[finite], stored.int()[finite], rtol=0, atol=0)
    torch.testing.assert_close(q.fake_quantize(values)[finite], values[finite], rtol=0, atol=0)
