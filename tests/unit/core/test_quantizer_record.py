"""What a quantizer's plain numbers say: against the quantizer itself, on values drawn from what was seen."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from qdiag.core.measures.quantizer import QuantizerRecord
from qdiag.core.measures.ranges import Histogram, TensorRange
from qdiag.core.scheme import TensorScheme
from qdiag.numerics.observer import ObserverOptions, TensorObserver
from qdiag.numerics.quantizers import QUANTIZERS
from qdiag.numerics.quantizers.base import Quantizer

UINT8 = TensorScheme(symmetric=False, signed=False)


OF_A_RANGE = sorted(set(QUANTIZERS) - {"block_float", "binary", "ternary"})
"""Formats whose levels a range tells; those of the others are means of the values."""


def made(kind: str, low: float, high: float, bits: int = 4, *, signed: bool = True) -> Quantizer:
    scheme = TensorScheme(bits=bits, symmetric=signed, signed=signed)
    if kind == "linear":
        step = high / scheme.quant_max
        bounds = (step * scheme.quant_min, high)
        return QUANTIZERS["linear"].from_range(
            torch.tensor(low), torch.tensor(high), replace(scheme, type="linear", step=step, range=bounds)
        )
    scheme = replace(scheme, type=kind)  # type: ignore[arg-type]
    return QUANTIZERS[scheme.type].from_range(torch.tensor(low), torch.tensor(high), scheme)


def seen(x: torch.Tensor) -> TensorRange:
    observer = TensorObserver(ObserverOptions(x.numel()))
    observer.update(x.view(1, -1), image_count=1)
    found = observer.range()
    assert found is not None
    return found


@pytest.mark.parametrize("bits", [2, 3, 4, 6])
@pytest.mark.parametrize("shape", ["gaussian", "relu", "peaked"])
def test_expected_noise_of_powers_of_two_is_what_rounding_makes(bits: int, shape: str) -> None:
    x = torch.randn(200_000, generator=torch.Generator().manual_seed(bits))
    x = {"gaussian": x, "relu": x.clamp(min=0.0), "peaked": x * x.abs()}[shape]
    q = made("power_of_two", float(x.min()), float(x.max()), bits, signed=shape != "relu")
    power = float(x.double().square().mean())
    noise = float((x - q.fake_quantize(x)).double().square().mean())
    record = q.record()
    assert record.expected_noise_power(seen(x), power) == pytest.approx(noise, rel=0.02)
    assert record.expected_sqnr_db(seen(x), power) == pytest.approx(10 * math.log10(power / noise), abs=0.1)
    bare = replace(seen(x), histogram=None)
    if shape == "gaussian":
        assert record.expected_sqnr_db(bare, power) == pytest.approx(10 * math.log10(power / noise), abs=0.1)


def test_expected_noise_of_even_steps_is_a_twelfth() -> None:
    x = torch.rand(100_000, generator=torch.Generator().manual_seed(0))
    q = made("affine", 0.0, 1.0, 6, signed=False)
    noise = float((x - q.fake_quantize(x)).double().square().mean())
    assert q.record().expected_noise_power(None, 1.0) == pytest.approx(noise, rel=0.05)
    assert q.record().expected_sqnr_db(None, 2.0) == pytest.approx(10 * math.log10(2.0 / noise), abs=0.2)
    assert math.isnan(q.record().expected_sqnr_db(None, 0.0))


def test_clipped_values_are_no_rounding() -> None:
    """Values far beyond the range count for the signal, not for the noise of rounding."""
    record = made("power_of_two", -1.0, 1.0).record()
    wide = TensorRange(2, 2, 0, 0.5, 8.0, 4.0, 4.0, 1.0, 0.0, histogram=Histogram(0.5, 1, (1, *([0] * 13), 1)))
    x = np.linspace(0.5, 1.0, 200_001)
    rounding = np.square(x - np.where(x > 2**-0.5, 1.0, 0.5)).mean()
    power = (np.square(x).mean() + np.square(np.linspace(7.5, 8.0, 1001)).mean()) / 2
    assert record.expected_noise_power(wide, power) == pytest.approx(rounding / 2, rel=1e-3)


def test_a_gaussian_of_four_deviations() -> None:
    x = torch.randn(400_000, generator=torch.Generator().manual_seed(1)).clamp(-4.0, 4.0)
    q = made("power_of_two", -4.0, 4.0)
    noise = float((x - q.fake_quantize(x)).double().square().mean())
    assert q.record().gaussian_sqnr_db == pytest.approx(-10 * math.log10(noise), abs=0.05)
    assert made("affine", -4.0, 4.0, 8).record().gaussian_sqnr_db == pytest.approx(6.02 * 8 - 7.3)


@pytest.mark.parametrize("kind", OF_A_RANGE)
@pytest.mark.parametrize("signed", [True, False])
def test_levels_and_steps_are_those_of_the_quantizer(kind: str, signed: bool) -> None:
    q = made(kind, -5.0 if signed else 0.0, 5.0, 4, signed=signed)
    record = q.record()
    x = torch.linspace(-6.0, 6.0, 100_001)
    levels = sorted(set(q.fake_quantize(x).tolist()))
    assert record.values() == pytest.approx(levels, rel=1e-6)
    assert record.level_count == len(levels)
    assert (record.range_min, record.range_max) == pytest.approx((levels[0], levels[-1]), rel=1e-6)
    zero = levels.index(0.0)
    assert record.step_at(0.0) == pytest.approx(levels[zero + 1])
    assert record.step_at(levels[-1]) == pytest.approx(levels[-1] - levels[-2])
    assert record.steps_between(levels[zero], levels[-1]) == pytest.approx(len(levels) - 1 - zero)
    assert record.steps_between(levels[0], levels[-1]) == pytest.approx(len(levels) - 1)
    assert float(q.fake_quantize(torch.tensor([record.zero_bound * 0.999]))) == 0.0
    assert float(q.fake_quantize(torch.tensor([record.zero_bound * 1.001]))) > 0.0


def test_effective_bits_count_the_levels_in_reach() -> None:
    affine, power = made("affine", -1.0, 1.0, 8).record(), made("power_of_two", -1.0, 1.0, 4).record()
    assert affine.effective_bits(1 / 16, 1.0) == 4.0
    assert power.effective_bits(1.0, 1.0) == math.log2(15)
    assert power.effective_bits(1 / 16, 1.0) == math.log2(7)
    assert power.effective_bits(1e-3, 1.0) == 0.0
    assert power.effective_bits(1e-3, 1e-3) == math.log2(15)


def test_limits_for_even_steps_are_lowered_for_uneven_ones() -> None:
    affine, power = made("affine", -1.0, 1.0, 8).record(), made("power_of_two", -1.0, 1.0, 4).record()
    assert (affine.sqnr_limit_db(25.0), affine.steps_limit(16.0)) == (25.0, 16.0)
    assert power.sqnr_limit_db(25.0) == pytest.approx(power.gaussian_sqnr_db - 3.0)
    assert power.sqnr_limit_db(5.0) == 5.0
    assert (power.steps_limit(16.0), power.steps_limit(1.0)) == (3.0, 1.0)


def test_an_affine_record_that_an_older_version_wrote() -> None:
    record = QuantizerRecord(8, False, 0.5, 0, 0, 255, 0.0, 127.5)
    assert (record.type, record.level_count, record.clip_bounds) == ("affine", 256, (0.0, 127.5))


@pytest.mark.parametrize("element", ["float16", "bfloat16"])
def test_floats_of_16_bits_are_not_listed(element: str) -> None:
    scheme = TensorScheme(bits=16, type="float", element=element, scale="none")  # type: ignore[arg-type]
    q = QUANTIZERS["float"].from_range(torch.tensor(-1.0), torch.tensor(1.0), scheme)
    record, magnitudes = q.record(), scheme.float_format.magnitudes
    assert record.levels == ()
    assert record.level_count == 2 * len(magnitudes) - 1
    assert record.values() == (*(-number for number in reversed(magnitudes[1:])), *magnitudes)
    assert record.values(every=1000) == record.values()[::1000]
    for value in (0.0, 1e-6, 0.7, -1.0, 3.2):
        above = magnitudes[np.searchsorted(magnitudes, abs(value), side="right")]
        below = magnitudes[np.searchsorted(magnitudes, abs(value), side="right") - 1]
        assert record.step_at(value) == above - below
    assert record.steps_between(0.0, magnitudes[1234]) == 1234.0
    assert record.steps_between(-magnitudes[10], 0.0) == 10.0
    assert record.zero_bound == magnitudes[1] / 2
    assert record.effective_bits(1.0, 1.0) == pytest.approx(math.log2(record.level_count))


@pytest.mark.parametrize("element", ["float16", "bfloat16"])
@pytest.mark.parametrize("shape", ["gaussian", "relu", "peaked", "tiny"])
def test_expected_noise_of_floats_of_16_bits_is_what_rounding_makes(element: str, shape: str) -> None:
    x = torch.randn(200_000, generator=torch.Generator().manual_seed(5))
    x = {"gaussian": x, "relu": x.clamp(min=0.0), "peaked": x * x.abs(), "tiny": x * 1e-5}[shape]
    scheme = TensorScheme(bits=16, type="float", element=element, scale="none")  # type: ignore[arg-type]
    q = QUANTIZERS["float"].from_range(torch.tensor(-1.0), torch.tensor(1.0), scheme)
    power = float(x.double().square().mean())
    noise = float((x.double() - q.fake_quantize(x).double()).square().mean())
    assert q.record().expected_sqnr_db(seen(x), power) == pytest.approx(10 * math.log10(power / noise), abs=0.2)


@pytest.mark.parametrize("bits", [4, 6, 8])
def test_expected_noise_of_small_floats_is_what_rounding_makes(bits: int) -> None:
    x = torch.randn(200_000, generator=torch.Generator().manual_seed(6))
    q = made("float", float(x.min()), float(x.max()), bits)
    power = float(x.double().square().mean())
    noise = float((x.double() - q.fake_quantize(x).double()).square().mean())
    assert q.record().expected_sqnr_db(seen(x), power) == pytest.approx(10 * math.log10(power / noise), abs=0.1)


def of_weight(kind: str, x: torch.Tensor, scale: str = "float32") -> Quantizer:
    bits = {"binary": 1, "ternary": 2}[kind]
    scheme = TensorScheme(bits=bits, type=kind, scale=scale)  # type: ignore[arg-type]
    made_of = QUANTIZERS[scheme.type].from_weight(x, scheme, channel_axis=0)
    assert made_of is not None
    return made_of


@pytest.mark.parametrize(("kind", "best_db"), [("binary", 4.4), ("ternary", 7.2)])
def test_numbers_of_a_gaussian_weight_have_its_best_level(kind: str, best_db: float) -> None:
    """1 / (1 - 2 / pi) for the sign, as E|x| = sqrt(2 / pi) of the standard deviation."""
    x = torch.randn(100_000, generator=torch.Generator().manual_seed(7))
    q = of_weight(kind, x)
    power = float(x.double().square().mean())
    noise = float((x.double() - q.fake_quantize(x).double()).square().mean())
    found = 10 * math.log10(power / noise)
    record = q.record()
    assert found == pytest.approx(best_db, abs=0.1)
    assert record.expected_sqnr_db(seen(x), power) == pytest.approx(found, abs=0.05)
    assert record.gaussian_sqnr_db == pytest.approx(found, abs=0.1)
    assert not record.has_range


@pytest.mark.parametrize("kind", ["binary", "ternary"])
@pytest.mark.parametrize("scale", ["float32", "none"])
def test_levels_and_borders_of_few_bits_are_those_of_the_quantizer(kind: str, scale: str) -> None:
    q = of_weight(kind, torch.tensor([-3.0, -0.5, 0.1, 2.0, 4.0]), scale)
    record, x = q.record(), torch.linspace(-6.0, 6.0, 10_001)
    levels = sorted(set(q.fake_quantize(x).tolist()))
    assert record.values() == pytest.approx(levels)
    assert (record.level_count, record.bits) == (len(levels), {"binary": 1, "ternary": 2}[kind])
    assert (record.range_min, record.range_max) == pytest.approx((levels[0], levels[-1]))
    assert record.step_at(0.0) == pytest.approx(levels[-1] - levels[-2])
    assert record.steps_between(-5.0, 5.0) == len(levels) - 1
    assert record.effective_bits(4.0, 4.0) == pytest.approx(math.log2(len(levels)))
    if kind == "binary":
        assert record.zero_bound == 0.0
        assert float(q.fake_quantize(torch.zeros(1))) == levels[-1]
        assert record.effective_bits(1e-6, 1.0) == 1.0, "small weights keep their sign beside large ones"
    else:
        assert float(q.fake_quantize(torch.tensor([record.zero_bound * 0.999]))) == 0.0
        assert float(q.fake_quantize(torch.tensor([record.zero_bound * 1.001]))) > 0.0
        assert record.effective_bits(1e-6, 1.0) == 0.0 <= record.bits_limit(3.0)
    assert record.bits_limit(3.0) < record.effective_bits(4.0, 4.0), "a full range is no loss"
    assert record.steps_limit(16.0) == len(levels) - 1
