"""Bytes of the binary NIN, counted by hand: all but the first and the last convolution take one bit a weight."""

import pytest
import torch

import qdiag
from qdiag.config import load_scheme
from qdiag.zoo import build

INPUTS = (3, 192, 160, 96, 192, 192, 192, 192, 192)
OUTPUTS = (192, 160, 96, 192, 192, 192, 192, 192, 10)
KERNELS = (5, 1, 1, 5, 1, 1, 3, 1, 1)
COUNTS = [i * o * k * k for i, o, k in zip(INPUTS, OUTPUTS, KERNELS, strict=True)]
BIASES = 4 * sum(OUTPUTS)
"""One float per channel: bias, mean, variance and beta are one number behind a folded BatchNorm."""


@pytest.mark.parametrize(("ends", "bits_of_ends"), [(("c0.conv", "c8.conv"), 32), ((), 8)])
def test_it_is_a_twentieth_of_the_float_network(ends: tuple[str, ...], bits_of_ends: int) -> None:
    torch.manual_seed(0)
    model = build("nin", {"weights": "scaled_sign", "activations": "sign"})
    images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    names = ", ".join(f'"{name}"' for name in ends)
    result = qdiag.measure(model, images, scheme=load_scheme("int8", [f"float_layers=[{names}]", "bias=float"]))
    size = result.size
    assert size is not None
    binary = {
        record.name: record.weight.bits for record in result.records if record.weight and record.weight.own_format
    }
    assert binary == {f"c{i}.conv": 1 for i in range(1, 8)}
    assert size.reference.stored == 4 * sum(COUNTS) + BIASES
    assert size.simulated.weights == sum(COUNTS[1:8]) // 8 + (COUNTS[0] + COUNTS[8]) * bits_of_ends // 8 + BIASES
    magnitudes = 4 * sum(OUTPUTS[1:8])
    assert magnitudes <= size.simulated.scales <= magnitudes + 5 * (OUTPUTS[0] + OUTPUTS[8]) + 64
    if not ends:  # c5 gives 192 x 4 x 4 sums in 8 bits, from as many signs; the mean behind it is compared, not stored
        assert size.simulated.activations == 192 * 16 + 192 * 16 // 8
    assert size.saved_fraction == pytest.approx(0.95 if ends else 0.962, abs=0.001)
