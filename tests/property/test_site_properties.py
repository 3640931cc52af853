"""Closing a layer in chunks and in place equals clamping, then quantizing, then comparing."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qdiag.core.scheme import TensorScheme
from qdiag.numerics.error_accumulator import error_sums
from qdiag.numerics.quantizers.affine import Affine
from qdiag.simulate.passes.site import Site
from qdiag.simulate.passes.streams import Streams

CLAMPS = st.sampled_from([None, (0.0, math.inf), (0.0, 6.0), (-1.0, 1.0), (-math.inf, 0.5)])
SCHEMES = st.builds(TensorScheme, bits=st.integers(2, 10), symmetric=st.booleans(), signed=st.booleans())
SHAPES = st.sampled_from([(2, 3), (2, 3, 5, 7), (1, 1), (1, 8, 300, 301)])


@settings(max_examples=60, deadline=None)
@given(
    CLAMPS, SCHEMES, st.none() | SCHEMES, SHAPES, st.booleans(), st.booleans(), st.floats(0.2, 8), st.integers(0, 99)
)
def test_clamp_quantize_and_sums(
    clamp: tuple[float, float] | None,
    scheme: TensorScheme,
    other: TensorScheme | None,
    shape: tuple[int, ...],
    fresh: bool,
    channels_last: bool,
    spread: float,
    seed: int,
) -> None:
    generator = torch.Generator().manual_seed(seed)
    tensors = [spread * torch.randn(shape, generator=generator) for _ in range(4)]
    if channels_last and len(shape) == 4:
        tensors = [t.contiguous(memory_format=torch.channels_last) for t in tensors]
    reference, local, first, second = tensors
    low, high = reference.min() * 0.9, reference.max() * 0.9
    if clamp is not None:
        low, high = low.clamp(*clamp), high.clamp(*clamp)
    plans = [Affine.from_range(low, high, s) if s is not None else None for s in (scheme, other)]

    def closed(x: torch.Tensor, plan: int) -> torch.Tensor:
        x = x.clamp(*clamp) if clamp is not None else x
        q = plans[plan]
        return q.fake_quantize(x) if q is not None else x

    kept = [t.clone() for t in tensors]
    expected_reference = reference.clamp(*clamp) if clamp is not None else reference.clone()
    expected = [closed(local, 0), closed(first, 0), closed(second, 1)]
    site = Site(clamp, list(plans))
    result = site.close(Streams(reference, local, [first, second], fresh))
    torch.testing.assert_close(result.reference, expected_reference, rtol=0, atol=0)
    for actual, wanted in zip(result.simulated, expected[1:], strict=True):
        torch.testing.assert_close(actual, wanted, rtol=0, atol=0)
    # the next layer's local error starts anew, from the quantized reference
    torch.testing.assert_close(result.local, closed(expected_reference, 0), rtol=0, atol=0)
    if not fresh:
        assert all(torch.equal(t, k) for t, k in zip(tensors, kept, strict=True))
    local_sums, propagated = site.sums()
    for actual_sums, simulated in zip([local_sums, *propagated], expected, strict=True):
        wanted_sums = error_sums(reference=expected_reference, simulated=simulated)
        assert actual_sums.count == wanted_sums.count
        assert actual_sums.error_sq_sum == pytest.approx(wanted_sums.error_sq_sum, rel=1e-5)
        assert actual_sums.max_abs_error == wanted_sums.max_abs_error
    q = plans[0]
    assert q is not None
    # clipped is what loses more than rounding can: half a step, which the widest value of a symmetric range may lose
    lost = (expected_reference.double() - result.local.double()).abs() / q.scale.double()
    assert int((lost > 0.5 + 1e-4).sum()) <= site.clipped_count <= int((lost > 0.5 - 1e-4).sum())


def test_one_tensor_in_two_streams_is_not_written_twice() -> None:
    x = torch.randn(4, 5)
    q = Affine.from_range(x.min(), x.max(), TensorScheme(symmetric=False, signed=False))
    result = Site(None, [q]).close(Streams(x, x, [x], is_fresh=True))
    assert result.local.data_ptr() != result.simulated[0].data_ptr() != result.reference.data_ptr()
    torch.testing.assert_close(result.simulated[0], q.fake_quantize(x), rtol=0, atol=0)
