"""Sums of quantized images, taken piece by piece, are those of whole images in any layout."""

import pytest
import torch
from torch import Tensor

from qdiag.config import load_preset
from qdiag.numerics.quantizers import QUANTIZERS
from qdiag.simulate import mean_inputs
from qdiag.simulate.mean_inputs import quantized_sum

SHAPES = ((3, 5), (4, 1), (1, 7), (2, 3, 4), (3, 5, 6, 7), (3, 1, 6, 7), (3, 5, 1, 1), (1, 5, 6, 7), (2, 3, 4, 5, 6))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("is_channels_last", [False, True])
def test_pieces_give_the_sum_of_the_whole(
    shape: tuple[int, ...], is_channels_last: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mean_inputs, "_PIECE", 4)
    images: Tensor = 3.0 * torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    if is_channels_last and len(shape) == 4:
        images = images.contiguous(memory_format=torch.channels_last)
    scheme = load_preset("tf-uint8").activations
    quantizer = QUANTIZERS["affine"].from_range(torch.tensor(-2.0), torch.tensor(4.0), scheme)
    expected = quantizer.fake_quantize(images).double().sum(0, keepdim=True)
    torch.testing.assert_close(quantized_sum(images, quantizer).double(), expected, rtol=1e-6, atol=1e-6)
