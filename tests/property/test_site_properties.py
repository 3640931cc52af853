"""Closing a layer in chunks and in place equals clamping, then quantizing, then comparing."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qdiag.core.graph import Layer
from qdiag.core.scheme import QuantScheme, TensorScheme
from qdiag.numerics.error_accumulator import ErrorAccumulator, error_sums
from qdiag.numerics.quantizers.affine import Affine
from qdiag.plan import LayerPlan, QuantPlan
from qdiag.simulate.passes.closing.site import Site, Step
from qdiag.simulate.passes.lanes import LOCAL, REFERENCE, Lanes
from qdiag.simulate.passes.paired import ErrorObserver

CLAMPS = st.sampled_from([None, (0.0, math.inf), (0.0, 6.0), (-1.0, 1.0), (-math.inf, 0.5)])
SCHEMES = st.builds(TensorScheme, bits=st.integers(2, 10), symmetric=st.booleans(), signed=st.booleans())
LAYER = Layer("x", "conv", "compute", "", (), ("x",))
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
    steps = [Step.of(None, clamp), *(Step.of(plans[i], clamp) for i in (0, 0, 1))]
    sums, observer = ErrorAccumulator(3), ErrorObserver(QuantPlan(QuantScheme(), {"x": LayerPlan(plans[0])}))

    def look(lanes: list[torch.Tensor]) -> None:
        sums.add_chunk(reference=lanes[REFERENCE], simulated=lanes[LOCAL:])
        observer.chunk(LAYER, lanes)

    result = Site(steps, {LOCAL: steps[LOCAL].quantizer}).close(Lanes([reference, local, first, second], fresh), look)
    observer.closed(LAYER, result)
    torch.testing.assert_close(result.reference, expected_reference, rtol=0, atol=0)
    for actual, wanted in zip(result.tensors[LOCAL + 1 :], expected[1:], strict=True):
        torch.testing.assert_close(actual, wanted, rtol=0, atol=0)
    # the next layer's local error starts anew, from the quantized reference
    torch.testing.assert_close(result.tensors[LOCAL], closed(expected_reference, 0), rtol=0, atol=0)
    if not fresh:
        assert all(torch.equal(t, k) for t, k in zip(tensors, kept, strict=True))
    for actual_sums, simulated in zip(sums.sums(), expected, strict=True):
        wanted_sums = error_sums(reference=expected_reference, simulated=simulated)
        assert actual_sums.count == wanted_sums.count
        assert actual_sums.error_sq_sum == pytest.approx(wanted_sums.error_sq_sum, rel=1e-5)
        assert actual_sums.max_abs_error == wanted_sums.max_abs_error
    q = plans[0]
    assert q is not None
    # clipped is what loses more than rounding can: half a step, which the widest value of a symmetric range may lose
    lost = (expected_reference.double() - result.tensors[LOCAL].double()).abs() / q.scale.double()
    assert int((lost > 0.5 + 1e-4).sum()) <= observer.errors()["x"].clipped_count <= int((lost > 0.5 - 1e-4).sum())


def test_one_tensor_in_several_lanes_is_not_written_twice() -> None:
    x = torch.randn(4, 5)
    q = Affine.from_range(x.min(), x.max(), TensorScheme(symmetric=False, signed=False))
    kept = x.clone()
    result = Site([Step(), Step(q), Step(q)], {LOCAL: q}).close(Lanes([x, x, x], is_fresh=True))
    assert result.tensors[LOCAL] is result.tensors[2], "what is equal is computed once"
    assert result.reference is x and torch.equal(x, kept)
    torch.testing.assert_close(result.tensors[2], q.fake_quantize(x), rtol=0, atol=0)


@pytest.mark.parametrize("clamp", [None, (0.0, 6.0)])
@pytest.mark.parametrize("is_fresh", [True, False])
def test_lanes_that_hold_the_same_tensor(clamp: tuple[float, float] | None, is_fresh: bool) -> None:
    """A local lane beside a simulated one on the same input, a lane in float, and the reference itself."""
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(4, 5, generator=generator), torch.randn(4, 5, generator=generator)
    q = Affine.from_range(x.min(), x.max(), TensorScheme(symmetric=False, signed=False))
    kept, other = x.clone(), y.clone()
    steps = [Step.of(None, clamp), Step.of(q, clamp), Step.of(q, clamp), Step.of(None, clamp), Step.of(None, clamp)]
    seen: list[torch.Tensor] = []
    result = Site(steps, {LOCAL: steps[LOCAL].quantizer}).close(
        Lanes([x, y, y, x, y], is_fresh), lambda lanes: seen.extend(lanes)
    )

    def clamped(t: torch.Tensor) -> torch.Tensor:
        return t.clamp(*clamp) if clamp is not None else t

    measured = q.fake_quantize(clamped(other))
    expected = [clamped(kept), q.fake_quantize(clamped(kept)), measured, clamped(kept), clamped(other)]
    for actual, wanted in zip(result.tensors, expected, strict=True):
        torch.testing.assert_close(actual, wanted, rtol=0, atol=0)
    assert result.tensors[3] is result.reference
    assert seen[1] is seen[2] and torch.equal(seen[1].view(4, 5), measured), "what the local lane made is measured"
    if not is_fresh:
        assert torch.equal(x, kept) and torch.equal(y, other)
