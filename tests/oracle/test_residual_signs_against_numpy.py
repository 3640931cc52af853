"""A residual block of a binary network, written out in numpy: the sign is taken by the layer with weights alone.

The addition beside it, the pooling behind it, and what the network returns read the same output as it is.
"""

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from torch import Tensor, nn

import qdiag
from qdiag.config import load_scheme
from qdiag.core.measures.measurement import Measurement
from tests.oracle.test_binary_against_numpy import xnor

Array = NDArray[np.float64]
IMAGES = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))


class Block(nn.Module):
    """Two binary convolutions around which what they read is carried; both ends are kept in float."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.a = nn.Conv2d(3, 6, 1), nn.Conv2d(6, 6, 3, padding=1)
        self.b, self.head = nn.Conv2d(6, 6, 1), nn.Conv2d(6, 4, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        kept = torch.tanh(self.stem(x))
        summed = self.b(nn.functional.max_pool2d(torch.tanh(self.a(kept)) + kept, 2)) - 0.25
        return self.head(summed + 2.0), kept


def convolved(x: Array, layer: nn.Conv2d, weight: Array) -> Array:
    """Zeros around what is read, as the layer has them."""
    pad = int(layer.padding[0])
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = sliding_window_view(padded, weight.shape[2:], (2, 3))
    assert layer.bias is not None
    bias: Array = layer.bias.detach().double().numpy()[:, None, None]
    result: Array = np.einsum("nchwij,ocij->nohw", windows, weight) + bias
    return result


def written_out(net: Block, x: Array, *, is_binary: bool) -> tuple[Array, Array]:
    """Both outputs."""

    def weight(layer: nn.Conv2d) -> Array:
        own = layer.weight.detach().double().numpy()
        return xnor(own, centred=True, per_channel=True, scaled=True) if is_binary else own

    def read(x: Array) -> Array:
        return np.where(x >= 0.0, 1.0, -1.0) if is_binary else x

    kept = np.tanh(convolved(x, net.stem, net.stem.weight.detach().double().numpy()))
    summed = np.tanh(convolved(read(kept), net.a, weight(net.a))) + kept
    pooled = sliding_window_view(summed, (2, 2), (2, 3))[:, :, ::2, ::2].max((-2, -1))
    behind = convolved(read(pooled), net.b, weight(net.b)) - 0.25
    return convolved(behind + 2.0, net.head, net.head.weight.detach().double().numpy()), kept


@pytest.fixture(scope="module")
def measured() -> tuple[Block, Measurement]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = Block().eval()
    return net, qdiag.measure(net, IMAGES, scheme=load_scheme("xnor"), with_losses=True)


def test_the_addition_reads_the_value_and_the_convolution_its_sign(measured: tuple[Block, Measurement]) -> None:
    net, found = measured
    x = IMAGES.double().numpy()
    reference, simulated = (written_out(net, x, is_binary=one)[0] for one in (False, True))
    error = found.outputs[0].error
    assert error.error_sq_sum == pytest.approx(float(np.square(reference - simulated).sum()), rel=1e-5)
    assert error.reference_sq_sum == pytest.approx(float(np.square(reference).sum()), rel=1e-5)
    assert found.outputs[1].error.error_sq_sum == 0.0, "what the network returns is no sign"


def test_records_and_notes(measured: tuple[Block, Measurement]) -> None:
    net, found = measured
    kept, reader = found.record("tanh"), found.record("a")
    assert kept.quantizer is None and [one.type for one in reader.operands] == ["binary"]
    assert found.record("add").quantizer is not None, "nobody but a convolution reads it, behind a pooling"
    assert found.record("b").operands == ()
    assert reader.losses is not None
    values = np.tanh(convolved(IMAGES.double().numpy(), net.stem, net.stem.weight.detach().double().numpy()))
    own = net.a.weight.detach().double().numpy()
    lost = convolved(np.where(values >= 0.0, 1.0, -1.0), net.a, own) - convolved(values, net.a, own)
    assert reader.losses.input.error_sq_sum == pytest.approx(float(np.square(lost).sum()), rel=1e-5)
    assert (
        "1 output is read as signs by layers with weights, and as it is by whatever else reads it, first tanh"
        in found.notes
    )


def test_a_network_in_which_nothing_else_reads_is_as_before() -> None:
    """The sign stands at the output there, as one row with one error."""
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Tanh(), nn.Conv2d(4, 4, 1), nn.Tanh(), nn.Conv2d(4, 2, 1)).eval()
    found = qdiag.measure(net, IMAGES, scheme="xnor")
    assert found.record("1").quantizer is not None and found.record("2").operands == ()


def test_eight_bits_at_that_output_are_read_by_both(measured: tuple[Block, Measurement]) -> None:
    net, _ = measured
    eight = ['layers."tanh".activations.bits=8', 'layers."tanh".activations.type=affine']
    found = qdiag.measure(net, IMAGES, scheme=load_scheme("xnor", eight))
    assert found.record("tanh").quantizer is not None and found.record("a").operands == ()
