"""Small floats bit for bit: torch's casts, ml_dtypes, numpy written apart, and the tables of the published formats."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from qdiag.calibrators import CALIBRATORS
from qdiag.core.formats.float_format import FLOAT_FORMATS, ElementName
from qdiag.core.scheme import TensorScheme
from qdiag.numerics.float_rounding import round_to_format
from qdiag.numerics.quantizers.small_float import SmallFloat

ML_DTYPES: dict[ElementName, str] = {
    "e2m1": "float4_e2m1fn",
    "e2m3": "float6_e2m3fn",
    "e3m2": "float6_e3m2fn",
    "e4m3": "float8_e4m3fn",
    "e5m2": "float8_e5m2",
    "bfloat16": "bfloat16",
}


def all_sorts(count: int = 60_000) -> torch.Tensor:
    """Any bits, ordinary values, and what lies at and beside the ends."""
    generator = torch.Generator().manual_seed(0)
    bits = torch.randint(-(2**31), 2**31 - 1, (count,), generator=generator).to(torch.int32).view(torch.float32)
    bits[bits.isnan()] = math.nan  # quiet ones: numpy warns of the others
    near = torch.randn(count, generator=generator) * torch.exp2(
        torch.randint(-20, 18, (count,), generator=generator).float()
    )
    ends = [n for f in FLOAT_FORMATS.values() for n in (f.largest, f.overflow, f.smallest, f.smallest / 2, 0.0)]
    at = torch.tensor([*ends, *(-n for n in ends)])
    beside = [torch.nextafter(at, torch.tensor(math.inf)), torch.nextafter(at, torch.tensor(-math.inf))]
    return torch.cat([bits, near, at, *beside, torch.tensor([math.inf, -math.inf, math.nan])])


def in_numpy(x: np.ndarray, name: ElementName, *, saturates: bool) -> np.ndarray:
    """The nearest of all numbers of the format, found by search; of two equally near ones that at an even place.

    Places of numbers are their codes, so an even place is an even mantissa.
    """
    numbers = numbers_of(name)
    step = numbers[-1] - numbers[-2]
    extended = np.append(numbers, numbers[-1] + step)
    magnitude = np.minimum(np.abs(x.astype(np.float64)), extended[-1])
    above = np.searchsorted(extended, magnitude).clip(1, len(extended) - 1)
    below = above - 1
    middle = (extended[above] + extended[below]) / 2.0
    nearest = np.where(
        magnitude == middle, np.where(below % 2 == 0, below, above), np.where(magnitude < middle, below, above)
    )
    value = extended[nearest]
    if saturates or FLOAT_FORMATS[name].specials == "none":
        value = np.minimum(value, numbers[-1])
    else:
        value = np.where(value > numbers[-1], math.inf if FLOAT_FORMATS[name].specials == "inf" else math.nan, value)
    return np.where(np.isnan(x), math.nan, np.copysign(value, x)).astype(np.float32)


def numbers_of(name: ElementName) -> np.ndarray:
    """Every code of 8 bits and fewer decoded bit by bit; those of 16 bits by numpy's own float16, and by bfloat16 as
    the upper half of a float32."""
    if name == "float16":
        return np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(np.float64)
    if name == "bfloat16":
        return (np.arange(0x7F80, dtype=np.uint32) << 16).view(np.float32).astype(np.float64)
    exponents, mantissas = int(name[1]), int(name[3])
    codes = 1 << (exponents + mantissas)
    codes -= {"e4m3": 1, "e5m2": 4}.get(name, 0)  # NaN; infinity and three times NaN
    bias = {2: 1, 3: 3, 4: 7, 5: 15}[exponents]
    found = []
    for code in range(codes):
        e, m = code >> mantissas, code & ((1 << mantissas) - 1)
        found.append(2.0 ** (1 - bias) * m / 2**mantissas if e == 0 else 2.0 ** (e - bias) * (1 + m / 2**mantissas))
    return np.array(found)


def same_bits(a: np.ndarray, b: np.ndarray) -> None:
    np.testing.assert_array_equal(a, b)
    known = ~np.isnan(b)
    np.testing.assert_array_equal(np.signbit(a)[known], np.signbit(b)[known])


@pytest.mark.parametrize("saturates", [True, False])
@pytest.mark.parametrize("name", list(FLOAT_FORMATS))
def test_rounding_against_a_search_among_all_numbers(name: ElementName, saturates: bool) -> None:
    x = all_sorts()
    found = round_to_format(x.clone(), FLOAT_FORMATS[name], saturates=saturates).numpy()
    same_bits(found, in_numpy(x.numpy(), name, saturates=saturates))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", list(ML_DTYPES))
def test_rounding_against_ml_dtypes(name: ElementName) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    x = all_sorts()
    if FLOAT_FORMATS[name].specials == "none":
        x = x[~x.isnan()]  # there is no NaN to compare with
    found = round_to_format(x.clone(), FLOAT_FORMATS[name], saturates=False).numpy()
    same_bits(found, x.numpy().astype(getattr(ml_dtypes, ML_DTYPES[name])).astype(np.float32))


def test_rounding_against_the_casts_of_torch() -> None:
    x = all_sorts()
    for name, dtype in (("e5m2", torch.float8_e5m2), ("float16", torch.float16), ("bfloat16", torch.bfloat16)):
        found = round_to_format(x.clone(), FLOAT_FORMATS[name], saturates=False)  # type: ignore[index]
        same_bits(found.numpy(), x.to(dtype).float().numpy())
    inside = x[x.abs() <= FLOAT_FORMATS["e4m3"].overflow]  # beyond, versions of torch differ: NaN, or 448
    for saturates in (True, False):
        found = round_to_format(inside.clone(), FLOAT_FORMATS["e4m3"], saturates=saturates)
        same_bits(found.numpy(), inside.to(torch.float8_e4m3fn).float().numpy())


@pytest.mark.parametrize(
    ("name", "largest", "smallest_normal", "smallest", "count"),
    [  # OFP8 v1.0, tables 1 and 2; MX v1.0, tables 3 to 5; IEEE 754-2019, table 3.5
        ("e4m3", 448.0, 2.0**-6, 2.0**-9, 127),
        ("e5m2", 57344.0, 2.0**-14, 2.0**-16, 124),
        ("e3m2", 28.0, 0.25, 0.0625, 32),
        ("e2m3", 7.5, 1.0, 0.125, 32),
        ("e2m1", 6.0, 1.0, 0.5, 8),
        ("float16", 65504.0, 2.0**-14, 2.0**-24, 31744),
        ("bfloat16", 2.0**127 * (2 - 2**-7), 2.0**-126, 2.0**-133, 32640),
    ],
)
def test_published_tables(
    name: ElementName, largest: float, smallest_normal: float, smallest: float, count: int
) -> None:
    found = FLOAT_FORMATS[name]
    assert (found.largest, found.smallest) == (largest, smallest)
    assert math.ldexp(1.0, found.least_exponent) == smallest_normal
    assert len(found.magnitudes) == count
    np.testing.assert_array_equal(found.magnitudes, numbers_of(name))


def test_every_number_of_e2m1() -> None:
    assert FLOAT_FORMATS["e2m1"].magnitudes == (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)


@pytest.mark.parametrize("element", ["e2m1", "e4m3", "e5m2"])
@pytest.mark.parametrize("granularity", ["per_tensor", "per_channel", "per_group"])
def test_a_weight_with_a_scale(granularity: str, element: ElementName) -> None:
    weight = torch.randn(3, 5, 3, 3, generator=torch.Generator().manual_seed(1)) * torch.tensor([1e-3, 1.0, 50.0]).view(
        3, 1, 1, 1
    )
    size = 16 if granularity == "per_group" else None
    bits = FLOAT_FORMATS[element].bits
    scheme = TensorScheme(bits=bits, type="float", element=element, granularity=granularity, group_size=size)  # type: ignore[arg-type]
    found = CALIBRATORS["minmax"].weight(weight, scheme, 0).fake_quantize(weight).numpy()
    rows = weight.numpy().reshape(3, -1)
    cut = {
        "per_tensor": [rows],
        "per_channel": list(rows),
        "per_group": [r[i : i + 16] for r in rows for i in range(0, 45, 16)],
    }
    expected = []
    for part in cut[granularity]:
        scale = np.float32(np.float64(np.abs(part).max()) / FLOAT_FORMATS[element].largest)
        expected.append(in_numpy(part / scale, element, saturates=True).ravel() * scale)
    np.testing.assert_array_equal(found.ravel(), np.concatenate(expected))


def test_an_activation_in_place_and_of_other_types() -> None:
    x = torch.randn(1000, generator=torch.Generator().manual_seed(2))
    quantizer = SmallFloat.from_range(
        torch.tensor(-1.0), torch.tensor(2.0), TensorScheme(type="float", symmetric=False)
    )
    scale = np.float32(2.0 / 448.0)
    expected = in_numpy(x.numpy() / scale, "e4m3", saturates=True) * scale
    np.testing.assert_array_equal(quantizer.fake_quantize(x).numpy(), expected)
    half = quantizer.fake_quantize(x.half())
    assert half.dtype == torch.float16
    in_place = x.clone()
    quantizer.fake_quantize_chunk(in_place, in_place)
    np.testing.assert_array_equal(in_place.numpy(), expected)
    assert quantizer.clip_bounds == (-464.0 * scale, 464.0 * scale)
    assert quantizer.covers((-3.0, 3.0))
    assert not quantizer.covers((0.0, 6.0)), "a float has its sign whatever it is used for, so ReLU comes first"


@pytest.mark.parametrize("name", list(FLOAT_FORMATS))
def test_where_denormal_numbers_count_as_zero(name: ElementName) -> None:
    """As they do in the passes over a network: zeros and small values stay what they are, to a step of float32."""
    x = torch.tensor([0.0, -0.0, 1e-37, -1e-38, 0.75, -3.0, 6.0])
    expected = in_numpy(x.numpy(), name, saturates=True)
    torch.set_flush_denormal(True)
    try:
        found = round_to_format(x.clone(), FLOAT_FORMATS[name], saturates=True)
    finally:
        torch.set_flush_denormal(False)
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1.2e-38)


def test_what_overflows() -> None:
    x = torch.tensor([500.0, -1e9, math.inf, math.nan])
    scheme = TensorScheme(type="float", scale="none")
    made = {
        s: SmallFloat.from_range(torch.tensor(-1.0), torch.tensor(1.0), replace(scheme, saturate=s))
        for s in (True, False)
    }
    assert made[True].fake_quantize(x)[:3].tolist() == [448.0, -448.0, 448.0]
    assert bool(made[True].fake_quantize(x)[3].isnan())
    assert bool(made[False].fake_quantize(x).isnan().all())
    half = SmallFloat.from_range(torch.tensor(-1.0), torch.tensor(1.0), replace(scheme, bits=16, saturate=False))
    assert half.fake_quantize(torch.tensor([65519.0, 65520.0, -1e9])).tolist() == [65504.0, math.inf, -math.inf]
    assert made[True].key != made[False].key


def test_bytes_of_scales() -> None:
    weight = torch.randn(3, 20)
    per_channel = TensorScheme(type="float", granularity="per_channel")
    assert CALIBRATORS["minmax"].weight(weight, per_channel, 0).scale_bytes(weight.shape) == 3 * 4
    plain = TensorScheme(type="float", scale="none")
    assert CALIBRATORS["minmax"].weight(weight, plain, 0).scale_bytes(weight.shape) == 0
