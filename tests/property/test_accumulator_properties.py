"""Sums do not depend on how values come: batch size, order, chunking."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qdiag.numerics.error_accumulator import ErrorAccumulator, error_sums
from qdiag.numerics.histogram import HistogramAccumulator
from qdiag.numerics.observer import ObserverOptions, TensorObserver

CUTS = st.lists(st.integers(1, 5), min_size=1, max_size=6)


def parts(x: torch.Tensor, sizes: list[int]) -> list[torch.Tensor]:
    return list(x.split(sizes))


@settings(max_examples=60, deadline=None)
@given(CUTS, st.integers(0, 10_000))
def test_error_sums_do_not_depend_on_the_batch_split(sizes: list[int], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    reference = torch.randn(sum(sizes), 3, 5, 7, generator=generator)
    simulated = reference + 0.02 * torch.randn(reference.shape, generator=generator)
    whole = error_sums(reference=reference, simulated=simulated)
    accumulator = ErrorAccumulator()
    for r, s in zip(parts(reference, sizes), parts(simulated, sizes), strict=True):
        accumulator.add(reference=r, simulated=[s])
    split = accumulator.sums()[0]
    assert split.count == whole.count
    assert split.max_abs_error == whole.max_abs_error
    for name in ("reference_sq_sum", "error_sq_sum", "cross_sum"):
        assert getattr(split, name) == pytest.approx(getattr(whole, name), rel=2e-6)
    assert split.error_sum == pytest.approx(whole.error_sum, abs=1e-4)


@settings(max_examples=60, deadline=None)
@given(st.integers(-20, 20), st.integers(0, 10_000))
def test_sqnr_is_unchanged_by_a_common_gain(exponent: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    reference = torch.randn(500, generator=generator)
    simulated = reference + 0.05 * torch.randn(500, generator=generator)
    gain = 2.0**exponent
    plain = error_sums(reference=reference, simulated=simulated).sqnr_db
    assert error_sums(reference=gain * reference, simulated=gain * simulated).sqnr_db == pytest.approx(plain, abs=1e-4)


@settings(max_examples=60, deadline=None)
@given(CUTS, st.integers(0, 10_000), st.floats(-8, 8))
def test_histogram_is_exactly_the_same_for_every_split_and_order(
    sizes: list[int], seed: int, log_spread: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(sum(sizes), 40, generator=generator) * 10.0**log_spread
    x *= torch.logspace(-2, 2, sum(sizes)).unsqueeze(1)

    def counted(pieces: list[torch.Tensor]) -> HistogramAccumulator:
        accumulator = HistogramAccumulator()
        for piece in pieces:
            accumulator.add(piece.reshape(1, -1), piece.abs().max())
        return accumulator

    whole = counted([x]).histogram()
    assert whole == counted(parts(x, sizes)).histogram()
    assert whole == counted(parts(x, sizes)[::-1]).histogram()
    assert whole is not None
    edges = (np.arange(len(whole.counts) + 1) + whole.first_bin) * whole.bin_width
    expected, _ = np.histogram(x.double().numpy().ravel(), bins=edges)
    # numpy's last bin is closed on the right; no value sits on that edge by construction of the width
    np.testing.assert_array_equal(expected, whole.counts)
    assert whole.bin_width <= float(x.abs().max()) / 1024


@settings(max_examples=40, deadline=None)
@given(CUTS, st.integers(0, 10_000), st.sampled_from([None, 0.05]))
def test_observed_ranges_do_not_depend_on_the_batch_split(sizes: list[int], seed: int, averaging: float | None) -> None:
    x = torch.randn(sum(sizes), 6, 9, generator=torch.Generator().manual_seed(seed)) + 0.3
    options = ObserverOptions(samples_per_image=16, averaging_constant=averaging, channel_axis=1)
    whole, split = TensorObserver(options), TensorObserver(options)
    whole.update(x, image_count=len(x))
    for piece in parts(x, sizes):
        split.update(piece, image_count=len(piece))
    a, b = whole.range(), split.range()
    assert a is not None
    assert b is not None
    assert (a.count, a.sampled_count, a.min, a.max, a.histogram) == (
        b.count,
        b.sampled_count,
        b.min,
        b.max,
        b.histogram,
    )
    assert a.kurtosis == pytest.approx(b.kurtosis, rel=1e-9)
    if averaging is not None:
        assert whole.moving_average == split.moving_average
    first, second = whole.channels(), split.channels()
    assert first is not None
    assert second is not None
    assert first.min == second.min
    assert first.std == pytest.approx(second.std, rel=1e-9)
    assert first.percentiles == second.percentiles
