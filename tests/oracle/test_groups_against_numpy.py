"""INT4 and INT3 in groups against numpy, where groups do not fill the inputs of a channel."""

import numpy as np
import pytest
import torch

from qdiag.calibrators import CALIBRATORS
from qdiag.config import load_preset
from qdiag.core.scheme import TensorScheme

SHAPES = [
    ((6, 256), 0),  # linear, whole groups
    ((6, 200), 0),  # linear, a group of 128 and one of 72
    ((4, 20, 3, 3), 0),  # 180 weights of a channel: groups run on from one input channel to the next
    ((4, 1, 3, 3), 0),  # depthwise: one group of nine
    ((5, 7, 2, 2), 1),  # transposed: output channels stand second
]


@pytest.mark.parametrize("preset", ["w4a16-g128", "w3a16-g128"])
@pytest.mark.parametrize(("shape", "axis"), SHAPES)
def test_groups_of_128(shape: tuple[int, ...], axis: int, preset: str) -> None:
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    scheme = load_preset(preset).weights
    found = CALIBRATORS["minmax"].weight(weight, scheme, axis).fake_quantize(weight).numpy()
    highest = 2 ** (scheme.bits - 1) - 1
    rows = np.moveaxis(weight.numpy(), axis, 0).reshape(shape[axis], -1)
    expected = np.empty_like(rows)
    for first in range(0, rows.shape[1], 128):
        group = rows[:, first : first + 128]
        # GPTQ: scale = (xmax - xmin) / (2^b - 1) with xmax = -xmin = max|w|
        scale = np.float32(2.0 * np.abs(group).max(1, keepdims=True).astype(np.float64) / (2 * highest + 1))
        expected[:, first : first + 128] = np.clip(np.rint(group / scale), -highest - 1, highest) * scale
    np.testing.assert_array_equal(np.moveaxis(found, axis, 0).reshape(rows.shape), expected)


def test_zeros_after_the_last_weights_are_none_of_them() -> None:
    """The last group has 4 weights and is padded to 16: a percentile is one of the 4."""
    weight = torch.randn(3, 20, generator=torch.Generator().manual_seed(1))
    scheme = TensorScheme(
        bits=4, granularity="per_group", group_size=16, calibrator="percentile", percentile=75.0, symmetric=True
    )
    found = CALIBRATORS["percentile"].weight(weight, scheme, 0).fake_quantize(weight).numpy()
    for first in (0, 16):
        part = weight.numpy()[:, first : first + 16]
        bound = np.quantile(np.abs(part), 0.75, axis=1, keepdims=True)
        scale = (2.0 * bound / 15.0).astype(np.float32)
        expected = np.clip(np.rint(part / scale), -8, 7) * scale
        np.testing.assert_allclose(found[:, first : first + 16], expected, rtol=1e-6)
