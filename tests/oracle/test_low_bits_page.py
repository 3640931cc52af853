"""The worked numbers of docs/formats.md on few bits, computed anew, and that the page has them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import qdiag
from qdiag.calibrators import CALIBRATORS
from qdiag.config import load_preset
from qdiag.core.scheme import TensorScheme
from qdiag.numerics.quantizers import QUANTIZERS

PAGE = " ".join((Path(__file__).parents[2] / "docs" / "formats.md").read_text(encoding="utf-8").split())


def rounded(values: list[float], **fields: object) -> list[float]:
    """As a weight with one output channel."""
    weight = torch.tensor([values])
    q = CALIBRATORS["minmax"].weight(weight, TensorScheme(**fields), 0)  # type: ignore[arg-type]
    return [round(value, 6) for value in q.fake_quantize(weight)[0].tolist()]


def said(text: str) -> None:
    """In ASCII, which the page writes with its own signs."""
    assert text in PAGE.replace("\u2212", "-").replace("\u03b1", "alpha").replace("\u0394", "Delta")


def test_binary() -> None:
    filter_ = [0.5, -1.5, 0.25, -0.75]
    said("0.5, -1.5, 0.25, -0.75 has alpha = 0.75 and becomes 0.75, -0.75, 0.75, -0.75")
    assert rounded(filter_, bits=1, type="binary", scale="float32") == [0.75, -0.75, 0.75, -0.75]
    said("has the mean -0.375, is 0.875, -1.125, 0.625, -0.375 after it")
    said("has alpha = 0.71875, and its signs are +, -, +, -")
    assert [value - np.mean(filter_) for value in filter_] == [0.875, -1.125, 0.625, -0.375]
    assert np.abs(np.clip([0.875, -1.125, 0.625, -0.375], -1, 1)).mean() == 0.71875
    centred = rounded(filter_, bits=1, type="binary", scale="float32", center=True)
    assert centred == [0.71875, -0.71875, 0.71875, -0.71875]
    said("4.4 dB")
    assert -10 * np.log10(1 - 2 / np.pi) == pytest.approx(4.4, abs=0.05)


class Residual(nn.Module):
    """One weight of +1 around which its input is carried."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 1, bias=False)
        nn.init.ones_(self.conv.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        summed: torch.Tensor = self.conv(x) + x
        return summed


def test_a_shortcut_beside_a_binary_layer() -> None:
    said("x = 0.5, -0.25 and one weight of +1 gives sign(x) + x = 1.5 and -1.25")
    plain = replace(load_preset("bnn"), layers=())  # without 8 bits for the input and the last layer
    x = torch.tensor([0.5, -0.25]).view(2, 1, 1, 1)
    (output,) = qdiag.measure(Residual().eval(), x, scheme=plain).outputs
    assert output.error.error_sq_sum == pytest.approx((1.5 - 2 * 0.5) ** 2 + (-1.25 - 2 * -0.25) ** 2)


def test_ternary() -> None:
    said("0.1, -0.5, 0.9, -1.3 have E|W| = 0.7 and Delta = 0.49, and become 0, -0.9, 0.9, -0.9")
    assert rounded([0.1, -0.5, 0.9, -1.3], bits=2, type="ternary") == [0.0, -0.9, 0.9, -0.9]
    said("7.2 dB")


def test_powers_of_two() -> None:
    scheme = TensorScheme(bits=4, type="power_of_two")
    q = QUANTIZERS["power_of_two"].from_range(torch.tensor(-5.9), torch.tensor(5.9), scheme)
    levels = [level for level in q.record().levels if level > 0.0]
    said("seven magnitudes; a range that ends at 5.9 has 2^round(2.56) = 8 as its largest and 0.125 as its smallest")
    assert (len(levels), levels[-1], levels[0]) == (7, 8.0, 0.125)
    said("5.6 becomes 4 and 5.7 becomes 8, as the border is 2^2.5 = 5.657; 0.09 becomes 0.125 and 0.08 becomes 0")
    assert q.fake_quantize(torch.tensor([5.6, 5.7, 0.09, 0.08])).tolist() == [4.0, 8.0, 0.125, 0.0]


def test_given_steps() -> None:
    said("0.125 from -1 to 0.875, 4 bits, 0.3 becomes 0.25, 0.1875 becomes 0.25, and 2 becomes 0.875")
    found = rounded([0.3, 0.1875, 2.0], bits=4, type="linear", step=0.125, range=(-1.0, 0.875))
    assert found == [0.25, 0.25, 0.875]


def test_bit_planes() -> None:
    said("The pixels 5, 0 and 255 with the weights +1, -1 and -1 give 5 - 0 - 255 = -250")
    pixels, weights = np.array([5, 0, 255]), np.array([1, -1, -1])
    planes = [(pixels >> k) & 1 for k in range(8)]
    parts = [int((plane * weights).sum()) << k for k, plane in enumerate(planes)]
    said("the planes give 0 - 2 + 0 - 8 - 16 - 32 - 64 - 128 = -250")
    assert parts == [0, -2, 0, -8, -16, -32, -64, -128]
    assert sum(parts) == int(pixels @ weights) == -250


@pytest.mark.parametrize("weights_kind", ["signs", "scaled"])
def test_eight_planes_give_the_8_bit_product_exactly(weights_kind: str) -> None:
    """The identity for a whole convolution, by counts of equal bits, against the layer as it is simulated."""
    generator = torch.Generator().manual_seed(3)
    x, weight = torch.rand(2, 5, 6, 6, generator=generator), torch.randn(4, 5, 3, 3, generator=generator)
    uint8 = QUANTIZERS["affine"].from_range(x.min(), x.max(), TensorScheme(symmetric=False, signed=False))
    scheme = TensorScheme(
        bits=1, type="binary", granularity="per_channel", scale="float32" if weights_kind == "scaled" else "none"
    )
    w = CALIBRATORS["minmax"].weight(weight, scheme, 0).fake_quantize(weight)
    simulated = torch.nn.functional.conv2d(uint8.fake_quantize(x).double(), w.double())
    scale = float(uint8.record().scale or 0.0)
    integers = (uint8.fake_quantize(x) / scale).round().to(torch.int64)
    bits, alpha = (w > 0).flatten(1), w.flatten(1).abs().amax(1).double()
    total = torch.zeros(simulated.shape, dtype=torch.int64)
    for k in range(8):
        plane = torch.nn.functional.unfold(((integers >> k) & 1).double(), 3).bool()  # (N, K, positions)
        ones = plane.sum(1, keepdim=True)
        # with b in {0, 1} and w in {-1, +1}: ones where the weight is + less ones where it is -
        at_plus = (plane[:, None] & bits[None, :, :, None]).sum(2)
        total += ((2 * at_plus - ones) << k).view(simulated.shape)
    torch.testing.assert_close(total.double() * scale * alpha.view(1, -1, 1, 1), simulated, rtol=1e-6, atol=1e-6)
