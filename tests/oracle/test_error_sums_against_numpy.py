"""Pooled sums and the figures made of them, against numpy in float64."""

import math

import numpy as np
import pytest
import torch

from qdiag.core.measures.error_sums import ErrorSums
from qdiag.numerics.error_accumulator import ErrorAccumulator, error_sums


def pair(seed: int = 0, shape: tuple[int, ...] = (4, 3, 17, 19)) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    reference = torch.randn(shape, generator=generator) * 2 + 0.5
    return reference, reference + 0.01 * torch.randn(shape, generator=generator) + 0.003


def test_every_figure_equals_numpy() -> None:
    reference, simulated = pair()
    r, s = reference.double().numpy().ravel(), simulated.double().numpy().ravel()
    e = s - r
    sums = error_sums(reference=reference, simulated=simulated)
    assert sums.count == r.size
    assert sums.signal_power == pytest.approx(np.mean(r**2), rel=1e-6)
    assert sums.mse == pytest.approx(np.mean(e**2), rel=1e-4)
    assert sums.rmse == pytest.approx(np.sqrt(np.mean(e**2)), rel=1e-4)
    assert sums.sqnr_db == pytest.approx(10 * np.log10(np.sum(r**2) / np.sum(e**2)), abs=1e-3)
    assert sums.max_abs_error == pytest.approx(np.max(np.abs(e)), rel=1e-4)
    assert sums.mean_shift == pytest.approx(np.mean(e), rel=1e-3)
    assert sums.bias_fraction == pytest.approx(np.mean(e) ** 2 / np.mean(e**2), rel=1e-3)
    assert sums.cosine == pytest.approx(np.dot(r, s) / np.linalg.norm(r) / np.linalg.norm(s), abs=1e-7)


def test_the_reference_itself_has_the_sums_of_its_copy() -> None:
    reference, other = pair()
    accumulators = ErrorAccumulator(2), ErrorAccumulator(2)
    for accumulator, same in zip(accumulators, (reference, reference.clone()), strict=True):
        accumulator.add(reference=reference, simulated=[same, other])
    assert accumulators[0].sums() == accumulators[1].sums()


def test_the_reference_is_the_signal_not_the_simulated() -> None:
    """The trap of the field: with the operands swapped this figure would be -5.0 dB."""
    reference, simulated = torch.tensor([1.0, 1.0]), torch.tensor([0.0, 0.5])
    assert error_sums(reference=reference, simulated=simulated).sqnr_db == pytest.approx(10 * math.log10(2.0 / 1.25))


def test_memory_layouts_are_paired_element_by_element() -> None:
    reference, simulated = pair(1, (2, 8, 9, 10))
    expected = error_sums(reference=reference, simulated=simulated)
    for r, s in [
        (reference.contiguous(memory_format=torch.channels_last), simulated),
        (reference, simulated.contiguous(memory_format=torch.channels_last)),
        (reference.transpose(2, 3), simulated.transpose(2, 3)),
    ]:
        assert error_sums(reference=r, simulated=s).sqnr_db == pytest.approx(expected.sqnr_db, abs=1e-4)


def test_equal_signals_have_no_noise() -> None:
    x = torch.randn(100)
    sums = error_sums(reference=x, simulated=x.clone())
    assert sums.sqnr_db == math.inf
    assert sums.bias_fraction == 0.0
    assert sums.cosine == pytest.approx(1.0)


def test_zero_reference_with_noise_is_minus_infinity() -> None:
    assert error_sums(reference=torch.zeros(5), simulated=torch.ones(5)).sqnr_db == -math.inf


def test_nothing_measured_is_nan() -> None:
    assert math.isnan(ErrorSums().sqnr_db)
    assert math.isnan(ErrorSums().mse)


def test_nonfinite_values_are_counted_and_left_out() -> None:
    reference, simulated = pair(2)
    reference[0, 0, 0, :3] = math.nan
    simulated[1, 1, 1, :2] = math.inf
    ok = torch.isfinite(reference) & torch.isfinite(simulated)
    sums = error_sums(reference=reference, simulated=simulated)
    assert (sums.reference_nonfinite_count, sums.simulated_nonfinite_count) == (3, 2)
    assert sums.count == int(ok.sum())
    kept = error_sums(reference=reference[ok], simulated=simulated[ok])
    assert sums.sqnr_db == pytest.approx(kept.sqnr_db, abs=1e-3)


def test_squares_that_overflow_float32_are_summed_in_float64() -> None:
    reference = torch.tensor([1e30, -2e30])
    sums = error_sums(reference=reference, simulated=reference * 1.01)
    assert sums.count == 2
    assert sums.sqnr_db == pytest.approx(40.0, abs=0.01)


def test_several_variants_share_one_reference() -> None:
    reference, simulated = pair(3)
    other = reference * 1.1
    accumulator = ErrorAccumulator(2)
    accumulator.add(reference=reference, simulated=[simulated, other])
    first, second = accumulator.sums()
    assert first.sqnr_db == pytest.approx(error_sums(reference=reference, simulated=simulated).sqnr_db, abs=1e-4)
    assert second.sqnr_db == pytest.approx(20.0, abs=1e-3)


def test_sums_of_parts_add_up() -> None:
    reference, simulated = pair(4)
    whole = error_sums(reference=reference, simulated=simulated)
    parts = error_sums(reference=reference[:1], simulated=simulated[:1]) + error_sums(
        reference=reference[1:], simulated=simulated[1:]
    )
    assert parts.count == whole.count
    assert parts.max_abs_error == whole.max_abs_error
    assert parts.sqnr_db == pytest.approx(whole.sqnr_db, abs=1e-5)
