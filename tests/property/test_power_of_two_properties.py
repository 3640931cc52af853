"""What must hold for powers of two, any range and any input."""

import math
from dataclasses import replace

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from qdiag.core.scheme import TensorScheme
from qdiag.numerics.quantizers import QUANTIZERS
from qdiag.numerics.quantizers.power_of_two import PowerOfTwo

VALUES = hnp.arrays(np.float32, st.integers(1, 60), elements=st.floats(-1000, 1000, width=32, allow_subnormal=False))
SCHEMES = st.builds(
    TensorScheme,
    bits=st.integers(2, 16),
    symmetric=st.booleans(),
    signed=st.booleans(),
    type=st.just("power_of_two"),
)
KINDS = ("affine", "power_of_two", "float", "linear", "binary")
"""Those whose levels do not depend on the values that are rounded, but for ternary ones, which are no activations."""
CLAMPS = st.sampled_from([(0.0, math.inf), (0.0, 6.0), (-1.0, 1.0), (-math.inf, 0.5), (-2000.0, 2000.0)])


def quantizer(values: np.ndarray, scheme: TensorScheme) -> PowerOfTwo:
    x = torch.from_numpy(values)
    return PowerOfTwo.from_range(x.min(), x.max(), scheme)


@settings(max_examples=100, deadline=None)
@given(VALUES, SCHEMES)
def test_levels_are_zero_and_powers_of_two_and_stay(values: np.ndarray, scheme: TensorScheme) -> None:
    q = quantizer(values, scheme)
    once = q.fake_quantize(torch.from_numpy(values))
    mantissa = torch.frexp(once).mantissa.abs()
    assert bool(((mantissa == 0.5) | (once == 0.0)).all())
    assert set(once.tolist()) <= set(q.record().levels)
    torch.testing.assert_close(q.fake_quantize(once), once, rtol=0, atol=0)


@settings(max_examples=100, deadline=None)
@given(VALUES, SCHEMES)
def test_the_error_goes_with_the_value(values: np.ndarray, scheme: TensorScheme) -> None:
    """At most sqrt(2) - 1 of it, for all that is neither clipped nor below the smallest level; all values of the range
    that was seen are not clipped, where their sign has a place."""
    q, x = quantizer(values, scheme), torch.from_numpy(values)
    record = q.record()
    inside = x.abs() > record.zero_bound * (1 + 1e-6)
    inside &= (x >= 0.0) | q.has_sign
    assert bool((x[inside].abs() <= record.clip_bounds[1]).all())
    error = (x - q.fake_quantize(x)).abs().double()
    assert bool((error <= (math.sqrt(2.0) - 1.0) * (1 + 1e-6) * x.abs())[inside].all())
    assert bool((q.fake_quantize(x)[x.abs() < record.zero_bound * (1 - 1e-6)] == 0.0).all())


@settings(max_examples=100, deadline=None)
@given(VALUES, SCHEMES)
def test_order_zero_and_sign_are_kept(values: np.ndarray, scheme: TensorScheme) -> None:
    x = torch.from_numpy(np.sort(values))
    q = quantizer(values, scheme)
    assert float(q.fake_quantize(torch.zeros(1))[0]) == 0.0
    assert bool((q.fake_quantize(x).diff() >= 0).all())
    mirrored = -q.fake_quantize(-x)
    if q.has_sign:
        torch.testing.assert_close(q.fake_quantize(x), mirrored, rtol=0, atol=0)
    else:
        assert bool((q.fake_quantize(x) >= 0.0).all())


@settings(max_examples=100, deadline=None)
@given(VALUES, SCHEMES)
def test_as_many_levels_as_codes_allow(values: np.ndarray, scheme: TensorScheme) -> None:
    """One code is zero; a sign takes a bit; exponents end at -125."""
    record = quantizer(values, scheme).record()
    positive = [level for level in record.levels if level > 0.0]
    bits = scheme.bits - 1 if record.symmetric else scheme.bits
    reach = round(math.log2(positive[-1])) + 126
    assert len(positive) == min(2**bits - 1, reach)
    assert record.level_count == len(positive) * (2 if record.symmetric else 1) + 1
    takes_sign = scheme.signed or (not scheme.symmetric and float(values.min()) < 0.0)
    assert record.symmetric == takes_sign


@settings(max_examples=100, deadline=None)
@given(VALUES, st.sampled_from(KINDS), st.integers(2, 8), st.booleans(), CLAMPS)
def test_a_clamp_that_is_covered_changes_nothing(
    values: np.ndarray, kind: str, bits: int, signed: bool, clamp: tuple[float, float]
) -> None:
    x = torch.from_numpy(values)
    bits = bits if kind != "float" else 8 if bits > 4 else 4
    scheme = TensorScheme(bits=bits, symmetric=signed, signed=signed)
    if kind == "linear":
        bounds = (scheme.quant_min * 0.25, scheme.quant_max * 0.25)
        scheme = replace(scheme, type="linear", step=0.25, range=bounds)
    else:
        scheme = replace(scheme, type=kind, bits=1 if kind == "binary" else bits)  # type: ignore[arg-type]
    low, high = x.min().clamp(*clamp), x.max().clamp(*clamp)
    q = QUANTIZERS[scheme.type].from_range(low, high, scheme)
    clamped = q.fake_quantize(x.clamp(*clamp))
    if q.covers(clamp):
        torch.testing.assert_close(q.fake_quantize(x), clamped, rtol=0, atol=0)
    if kind == "power_of_two" and not signed and clamp[0] == 0.0 and clamp[1] == math.inf:
        assert q.covers(clamp)  # ReLU needs no clamp before an unsigned quantizer
    # what is not covered differs somewhere, be it beyond the values at hand
    ends = torch.tensor([-1e30, 1e30])
    differs = not torch.equal(q.fake_quantize(ends), q.fake_quantize(ends.clamp(*clamp)))
    assert differs == (not q.covers(clamp))


@settings(max_examples=60, deadline=None)
@given(VALUES, SCHEMES)
def test_equal_keys_round_alike_and_others_have_other_keys(values: np.ndarray, scheme: TensorScheme) -> None:
    q, x = quantizer(values, scheme), torch.from_numpy(values)
    same = PowerOfTwo(q.exponent.clone(), q.bits, q.has_sign)
    other = PowerOfTwo(q.exponent + 1.0, q.bits, q.has_sign)
    assert q.key == same.key != other.key
    torch.testing.assert_close(q.fake_quantize(x), same.fake_quantize(x), rtol=0, atol=0)
    top = torch.tensor([2.0 ** float(other.exponent)])
    assert float(q.fake_quantize(top)) != float(other.fake_quantize(top))
