"""Bytes of weights, scales and activations, against sums written out for one small network."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from qdiag.config import load_scheme
from qdiag.core.measures.size import NetworkBytes, NetworkSize
from qdiag.simulate.size import network_size
from tests.cases import open_test_case

IMAGES = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class Residual(nn.Module):
    """Two convolutions around which the first one's output is carried."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.fc = nn.Linear(4, 5)
        self.register_buffer("position", torch.rand(1, 4, 8, 8))

    def forward(self, x: Tensor) -> Tensor:
        kept = F.relu(self.norm(self.first(x)))
        y = self.second(kept) + kept
        return self.fc((y + self.position).mean((2, 3)))


WEIGHTS, BIASES, POSITION = 3 * 4 * 9 + 4 * 4 * 9 + 4 * 5, 4 + 5, 4 * 64
MAP = 4 * 64


def size_under(*sets: str) -> NetworkSize:
    return network_size(open_test_case(Residual().eval(), IMAGES, load_scheme("int8", sets)))


def test_sums_written_out() -> None:
    size = size_under()
    assert size.reference == NetworkBytes(4 * (WEIGHTS + BIASES + POSITION), 0, 4 * 3 * MAP)
    channels = 4 + 4 + 5
    outputs = 6  # input, first, second, both sums and fc; the pooling uses the quantizer of the sum before it
    assert size.simulated == NetworkBytes(
        WEIGHTS + 4 * BIASES + POSITION,
        4 * channels + (4 + 1) * (outputs + 1),  # weights are symmetric and have no zero points; the buffer has one
        3 * MAP,
    )
    assert size.compression == size.reference.stored / size.simulated.stored
    assert size.saved_fraction == pytest.approx(1.0 - 1.0 / size.compression)


def test_values_of_few_bits_are_packed_and_scales_of_groups_count() -> None:
    sets = ("weights.bits=3", "weights.granularity=per_group", "weights.group_size=16")
    size = size_under(*sets)
    packed = sum(math.ceil(3 * count / 8) for count in (3 * 4 * 9, 4 * 4 * 9, 4 * 5))
    groups = 4 * math.ceil(27 / 16) + 4 * math.ceil(36 / 16) + 5 * 1
    assert size.simulated.weights == packed + 4 * BIASES + POSITION
    assert size.simulated.scales == 4 * groups + 5 * 7


def test_what_stays_in_float_takes_four_bytes() -> None:
    size = size_under("weights.bits=32", "activations.bits=32")
    assert size.simulated == size.reference
    assert size.compression == 1.0
    some = size_under("float_layers=['second']")
    assert some.simulated.weights - size_under().simulated.weights == 3 * 4 * 4 * 9


def test_wider_activations_and_powers_of_two() -> None:
    wide = size_under("activations.bits=16")
    assert wide.simulated.activations == 2 * 3 * MAP
    powers = size_under("weights.type=power_of_two", "weights.bits=4")
    assert powers.simulated.scales == 13 + 5 * 7  # one byte for the exponent of each channel


def test_activations_are_counted_from_the_layer_that_writes_them_to_the_last_that_reads_them() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 2, 1), nn.Conv2d(2, 6, 1)).eval()
    size = network_size(open_test_case(model, IMAGES))
    assert size.reference.activations == 4 * 64 * max(3 + 8, 8 + 2, 2 + 6)


class TwoOutputs(nn.Module):
    """What is returned is kept until the end."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 5, 1), nn.Conv2d(5, 1, 1), nn.Conv2d(1, 7, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.a(x)
        return y, self.c(self.b(y))


def test_outputs_of_the_network_are_kept_to_the_end() -> None:
    size = network_size(open_test_case(TwoOutputs().eval(), IMAGES))
    assert size.reference.activations == 4 * 64 * (5 + 1 + 7)


class Tied(nn.Module):
    """Two layers with one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(6, 6, bias=False)
        self.b = nn.Linear(6, 6, bias=False)
        self.b.weight = self.a.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.b(F.relu(self.a(x)))


def test_a_weight_that_layers_share_counts_once() -> None:
    size = network_size(open_test_case(Tied().eval(), torch.rand(4, 6)))
    assert (size.reference.weights, size.simulated.weights) == (4 * 36, 36)


def test_without_weights_there_is_no_ratio() -> None:
    nothing = NetworkBytes(0, 0, 8)
    assert math.isnan(NetworkSize(nothing, nothing).compression)
    assert math.isnan(NetworkSize(nothing, nothing).saved_fraction)
