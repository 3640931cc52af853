"""MX and NVFP4 against numpy, block by block, with numbers of the formats found in their tables."""

import math

import numpy as np
import pytest
import torch

from qdiag.calibrators import CALIBRATORS
from qdiag.core.formats.float_format import FLOAT_FORMATS, ElementName
from qdiag.core.scheme import TensorScheme
from qdiag.core.tensor_scheme import ScaleName
from qdiag.numerics.quantizers.block_float import BlockFloat

# MX v1.0, table 1 and section 5.3: exponent of the largest number, and every number, written out or by its rule
TABLES: dict[ElementName, tuple[int, list[float]]] = {
    "e2m1": (2, [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0]),
    "e3m2": (4, [m / 16 for m in range(4)] + [2.0**e * (4 + m) / 4 for e in range(-2, 5) for m in range(4)]),
    "e4m3": (8, ([m / 512 for m in range(8)] + [2.0**e * (8 + m) / 8 for e in range(-6, 9) for m in range(8)])[:-1]),
    "e5m2": (15, [m / 65536 for m in range(4)] + [2.0**e * (4 + m) / 4 for e in range(-14, 16) for m in range(4)]),
}


def nearest(x: np.ndarray, element: ElementName) -> np.ndarray:
    """The nearest number; of two the one at an even place; beyond the largest the largest."""
    numbers = np.array(TABLES[element][1])
    magnitude = np.minimum(np.abs(x.astype(np.float64)), numbers[-1])
    above = np.searchsorted(numbers, magnitude).clip(1)
    middle = (numbers[above] + numbers[above - 1]) / 2.0
    up = (magnitude > middle) | ((magnitude == middle) & (above % 2 == 0))
    return np.copysign(np.where(up, numbers[above], numbers[above - 1]), x)


def block(values: np.ndarray, element: ElementName, scale: ScaleName, tensor_scale: np.float32) -> np.ndarray:
    """MX v1.0, section 6.3, and NVFP4's two levels, one block."""
    exponent, numbers = TABLES[element]
    largest = np.abs(values).max()
    if largest == 0.0:
        return np.zeros_like(values)
    if scale == "e8m0":
        factor = np.float32(2.0 ** np.clip(math.floor(math.log2(float(largest))) - exponent, -127, 127))
    elif scale == "float32":
        factor = np.float32(largest / np.float32(numbers[-1]))
    else:
        factor = np.float32(nearest(largest / np.float32(numbers[-1]) / tensor_scale, "e4m3")) * tensor_scale
    if factor == 0.0:
        return np.zeros_like(values)
    return (nearest(values / factor, element).astype(np.float32) * factor).astype(np.float32)


def scheme(element: ElementName, size: int, scale: ScaleName) -> TensorScheme:
    bits = FLOAT_FORMATS[element].bits
    return TensorScheme(
        bits=bits, type="block_float", element=element, granularity="per_group", group_size=size, scale=scale
    )


def tensor_scale_of(x: np.ndarray, element: ElementName, scale: ScaleName) -> np.float32:
    numbers = TABLES[element][1]
    return np.float32(np.abs(x).max() / (448.0 * numbers[-1])) if scale == "e4m3" else np.float32(1.0)


FORMATS = [("e2m1", 32, "e8m0"), ("e4m3", 32, "e8m0"), ("e5m2", 32, "e8m0"), ("e3m2", 32, "e8m0")]
FORMATS += [("e2m1", 16, "e4m3"), ("e4m3", 16, "float32")]


@pytest.mark.parametrize(("element", "size", "scale"), FORMATS)
@pytest.mark.parametrize("shape", [(4, 64), (3, 70, 3, 2), (5, 7, 3), (6, 1, 3, 3)])
def test_a_weight(shape: tuple[int, ...], element: ElementName, size: int, scale: ScaleName) -> None:
    """Along the input channels; along the kernel where there is one input channel; the last block may be short."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(shape, generator=generator) * torch.exp2(torch.randn(shape, generator=generator) * 3)
    weight[0] = 0.0
    quantizer = CALIBRATORS["minmax"].weight(weight, scheme(element, size, scale), 0)
    assert quantizer.granularity == "per_group"
    found = quantizer.fake_quantize(weight).numpy()
    values, tensor_scale = weight.numpy(), tensor_scale_of(weight.numpy(), element, scale)
    rows = values.reshape(shape[0], -1, 1) if shape[1] == 1 else values.reshape(shape[0], shape[1], -1)
    expected = np.empty_like(rows)
    for out in range(rows.shape[0]):
        for position in range(rows.shape[2]):
            for first in range(0, rows.shape[1], size):
                at = (out, slice(first, first + size), position)
                expected[at] = block(rows[at], element, scale, tensor_scale)
    np.testing.assert_array_equal(found, expected.reshape(shape))


def test_a_weight_whose_output_channels_stand_second() -> None:
    weight = torch.randn(40, 6, 3, 3, generator=torch.Generator().manual_seed(1))
    mx = scheme("e2m1", 32, "e8m0")
    found = CALIBRATORS["minmax"].weight(weight, mx, 1).fake_quantize(weight)
    turned = weight.transpose(0, 1).contiguous()
    torch.testing.assert_close(
        found.transpose(0, 1), CALIBRATORS["minmax"].weight(turned, mx, 0).fake_quantize(turned), rtol=0, atol=0
    )


@pytest.mark.parametrize(("element", "size", "scale"), FORMATS)
@pytest.mark.parametrize(("shape", "axis"), [((2, 37, 3, 3), 1), ((2, 5, 33), -1), ((40,), 0)])
def test_values_along_an_axis(
    shape: tuple[int, ...], axis: int, element: ElementName, size: int, scale: ScaleName
) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(2)).to(memory_format=torch.preserve_format)
    quantizer = BlockFloat.from_range(x.min(), x.max(), scheme(element, size, scale))
    found = np.moveaxis(quantizer.in_blocks(x, axis).numpy(), axis, -1)
    rows = np.moveaxis(x.numpy(), axis, -1)
    expected = np.empty_like(rows)
    for at in np.ndindex(rows.shape[:-1]):
        for first in range(0, rows.shape[-1], size):
            part = rows[at][first : first + size]
            expected[at][first : first + size] = block(part, element, scale, tensor_scale_of(x.numpy(), element, scale))
    np.testing.assert_array_equal(found, expected)
    again = quantizer.in_blocks(quantizer.in_blocks(x, axis), axis)
    torch.testing.assert_close(again, quantizer.in_blocks(x, axis), rtol=0, atol=0)


def test_worked_blocks() -> None:
    """Of MX v1.0, section 6.3, by hand: the largest is 7, floor(log2 7) = 2, so MXFP4 has scale 2^(2 - 2) = 1, and 7
    becomes 6; NVFP4 has scale 7 / 6 = 1.1667, in E4M3 1.125, times the scale of the tensor, here 1."""
    x = torch.tensor([7.0, -2.4, 0.3, 0.2])
    mx = BlockFloat.from_range(torch.tensor(-7.0), torch.tensor(7.0), scheme("e2m1", 32, "e8m0"))
    assert mx.in_blocks(x, 0).tolist() == [6.0, -2.0, 0.5, 0.0]
    nv = BlockFloat(FLOAT_FORMATS["e2m1"], 16, "e4m3", 1.0, 7.0)
    assert nv.in_blocks(x, 0).tolist() == [6.75, -2.25, 0.5625, 0.0]


@pytest.mark.parametrize("scale", ["e8m0", "e4m3", "float32"])
def test_what_is_not_finite_stays_in_its_place(scale: ScaleName) -> None:
    x = torch.randn(64, generator=torch.Generator().manual_seed(3))
    made = BlockFloat.from_range(x.min(), x.max(), scheme("e2m1", 32, scale))
    clean = made.in_blocks(x, 0)
    x[3], x[40] = math.nan, -math.inf
    found = made.in_blocks(x, 0)
    assert bool(found[3].isnan())
    finite = torch.where(torch.arange(32) == 8, 0.0, x[32:])
    expected = made.in_blocks(finite, 0)
    expected[8] = found[40]
    torch.testing.assert_close(found[32:], expected, rtol=0, atol=0)
    assert -float(found[40]) >= float(made.in_blocks(finite, 0).abs().max()), "it becomes the largest number there"
    others = [i for i in range(64) if i not in (3, 40) and i != int(clean.abs().argmax())]
    assert bool(found[others].isfinite().all())
    assert made.in_blocks(torch.zeros(40), 0).tolist() == [0.0] * 40
    lost = made.in_blocks(torch.full((4,), math.nan), 0)
    assert bool(lost.isnan().all())


def test_the_smallest_and_largest_scales() -> None:
    mx = BlockFloat.from_range(torch.tensor(0.0), torch.tensor(1.0), scheme("e2m1", 32, "e8m0"))
    tiny = torch.tensor([2.0**-126, 2.0**-128, -(2.0**-125)])
    assert mx.in_blocks(tiny, 0).tolist() == [2.0**-126, 2.0**-128, -(2.0**-125)]
    huge = torch.tensor([3e38, 2.0**126])
    assert mx.in_blocks(huge, 0).tolist() == [2.0**125 * 6.0, 2.0**126]
    nothing = BlockFloat.from_range(torch.tensor(0.0), torch.tensor(0.0), scheme("e2m1", 16, "e4m3"))
    assert (nothing.tensor_scale, nothing.record().range_max) == (1.0, 6.0)


def test_a_block_that_is_small_beside_its_tensor_vanishes() -> None:
    """E4M3 ends at 2^-9, and half of it is rounded to 0: max|x| below 2^-10 of 448 times what the tensor's scale is."""
    nv = BlockFloat.from_range(torch.tensor(0.0), torch.tensor(448.0 * 6.0), scheme("e2m1", 16, "e4m3"))
    assert nv.tensor_scale == 1.0
    assert nv.in_blocks(torch.full((16,), 6.0 * 2.0**-10), 0).tolist() == [0.0] * 16
    assert nv.in_blocks(torch.full((16,), 6.0 * 2.0**-9), 0).tolist() == [6.0 * 2.0**-9] * 16


def test_the_record_is_of_the_widest_block() -> None:
    mx = BlockFloat.from_range(torch.tensor([-1.0, 0.0]), torch.tensor([2.0, 5.0]), scheme("e2m1", 32, "e8m0"))
    record = mx.record()
    assert (record.type, record.bits, record.range_max, record.level_count) == ("block_float", 4, 6.0, 15)
    assert record.step_at(5.0) == 2.0
    other = BlockFloat.from_range(torch.tensor(-3.0), torch.tensor(5.0), scheme("e2m1", 32, "e8m0"))
    assert mx.key == other.key, "blocks make their scales, whatever the range is"
    assert mx.key != BlockFloat.from_range(torch.tensor(-3.0), torch.tensor(5.0), scheme("e2m1", 16, "e8m0")).key


def test_bytes_of_scales() -> None:
    def made(size: int, scale: ScaleName) -> BlockFloat:
        return BlockFloat.from_range(torch.tensor(-1.0), torch.tensor(1.0), scheme("e2m1", size, scale))

    assert made(32, "e8m0").scale_bytes((100,)) == 4
    assert made(16, "e4m3").scale_bytes((100,)) == 7 + 4
    assert made(16, "float32").scale_bytes((100,)) == 7 * 4


@pytest.mark.parametrize(
    ("shape", "axis", "row_lengths"),
    [
        ((12, 20, 3, 3), 0, [20] * (12 * 9)),  # for each filter and position of the kernel, along its inputs
        ((12, 1, 3, 3), 0, [9] * 12),  # depthwise: along the kernel
        ((20, 12, 2, 2), 1, [20] * (12 * 4)),  # transposed
        ((5, 40), 0, [40] * 5),
        ((5, 1), 0, [1] * 5),
        ((33,), None, [33]),
        ((2, 33), None, [33] * 2),
        ((), None, [1]),
        ((4, 0), 0, []),
    ],
)
def test_every_block_has_a_scale_and_the_last_one_of_a_row_too(
    shape: tuple[int, ...], axis: int | None, row_lengths: list[int]
) -> None:
    assert sum(row_lengths) == np.prod(shape)
    for size in (16, 32):
        made = BlockFloat.from_range(
            torch.tensor(-1.0), torch.tensor(1.0), scheme("e2m1", size, "e8m0"), channel_axis=axis
        )
        assert made.scale_bytes(shape) == sum(len(range(0, length, size)) for length in row_lengths)
