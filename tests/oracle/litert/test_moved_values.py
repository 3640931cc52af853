"""Values that are moved, repeated and added up in files that are written: every integer is that of the runtime."""

from collections import Counter
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

pytest.importorskip("ai_edge_litert")
from qdiag.batches import Batch
from qdiag.capture.program import Runner
from qdiag.config import load_preset
from qdiag.core.scheme import RuntimeName
from qdiag.errors import CaptureError
from qdiag.exporters.litert.write import LiteFile, write_lite
from qdiag.litert.load import load_network
from qdiag.litert.read import parse
from qdiag.plan import QuantPlan
from qdiag.simulate.arithmetic.table import difference_to_runtime
from qdiag.simulate.passes.network import Network
from tests.oracle.litert.integers_of import RESOLVERS, differing
from tests.oracle.litert.test_export import planned

Case = tuple[Network, QuantPlan, LiteFile, Tensor]


class Moved(nn.Module):
    """Images, tokens and their parts; a factor behind each, whose integers tell where a value went."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.mixed = nn.Conv2d(4, 8, 1)
        self.token = nn.Parameter(torch.randn(1, 1, 16))
        self.bias = nn.Parameter(torch.randn(16, 1, 1))
        self.columns = nn.Parameter(torch.randn(12))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = (self.stem(x) + self.bias) * self.columns
        large = F.pixel_shuffle(x, 2)
        small = F.pixel_unshuffle(large, 2)
        tokens = torch.cat([self.token.expand(x.shape[0], -1, -1), x.flatten(2).transpose(1, 2)], 1)
        halves = tokens.unflatten(2, (2, 8)).unbind(2)
        found = [
            *(small - 0.5 * x, self.mixed(large), F.channel_shuffle(x, 4), x[:, [3, 1, 0]], F.pixel_unshuffle(x, 2)),
            *(x[:, 3], x[..., 2], tokens[:, 0], tokens.narrow(1, 2, 5), halves[0] + halves[1]),
            *(torch.stack([tokens[:, 0], tokens[:, 1]], 1), tokens[:, :1].expand(-1, 4, -1)),
            *(x.repeat(1, 2, 1, 1), x.mean((2, 3), keepdim=True).expand(-1, -1, 3, 4)),
            *(F.pad(x, (1, 1, 2, 2), mode="reflect"), tokens.swapaxes(1, 2)),
        ]
        return tuple(1.1 * one for one in found)


class Sums(nn.Module):
    """Sums over images, channels and tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 20, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = self.stem(x)
        rows = x.flatten(2)
        images = (x.sum((2, 3), keepdim=True), x.sum((2, 3)), x.sum(1), x.sum(1, keepdim=True), x.sum((1, 2, 3)))
        return *images, rows.sum(1), rows.sum(2, keepdim=True), torch.relu(rows.sum(2))


class Signals(nn.Module):
    """What networks of audio are made of."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv1d(2, 12, 5, stride=2, padding=2)
        self.norm = nn.BatchNorm1d(12)
        self.depthwise = nn.Conv1d(12, 12, 3, padding=1, groups=12)
        self.point = nn.Conv1d(12, 12, 1, bias=False)
        self.wide = nn.Conv1d(12, 16, 3, padding=2, dilation=2)
        self.up = nn.ConvTranspose1d(16, 12, 4, stride=2, padding=1)
        self.head = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = torch.relu(self.norm(self.stem(x)))
        x = x + self.point(self.depthwise(x))
        x = x * torch.sigmoid(x.mean(2, keepdim=True))
        wide = F.leaky_relu(self.wide(F.max_pool1d(x, 2)), 0.1)
        x = torch.cat([F.silu(self.up(wide)), x], 1)
        x = F.avg_pool1d(x, 3, 2, 1)[:, :12]
        fine = F.interpolate(x, scale_factor=2.0, mode="linear") + 0.1
        mean = F.adaptive_avg_pool1d(F.pad(fine, (2, 0)), 1).flatten(1)
        left, right = fine.chunk(2, 1)
        ends = (1.1 * F.interpolate(fine, scale_factor=2.0), fine.sum(2), 1.1 * fine.amax(2), left * right)
        return fine, fine.mean(2) + mean, self.head(mean), 1.1 * F.pad(fine, (1, 1), mode="reflect"), *ends


NETWORKS = {"moved": (Moved, (3, 12, 12)), "sums": (Sums, (3, 12, 12)), "signals": (Signals, (2, 64))}


@pytest.fixture(scope="module", params=["int8", "tf-uint8", "int16x8"])
def preset(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module", params=list(NETWORKS))
def case(request: pytest.FixtureRequest, preset: str) -> Case:
    network_of, shape = NETWORKS[request.param]
    torch.manual_seed(0)
    net, x = network_of(), torch.randn(2, *shape)
    if isinstance(net, Signals):
        with torch.no_grad():
            net(torch.randn(8, *shape))  # statistics of the BatchNorm
    network, plan = planned(net, x, load_preset(preset))
    return network, plan, write_lite(network, plan, Batch((x,))), x


@pytest.mark.parametrize("kernels", RESOLVERS)
def test_no_integer_differs(case: Case, kernels: RuntimeName) -> None:
    network, plan, file, x = case
    found = differing(network, plan, file, x, kernels)
    under = replace(plan, scheme=replace(plan.scheme, arithmetic=kernels))
    assert len(found) >= 10 and not any(found.values()), found
    assert not [one.name for one in network.graph.layers if difference_to_runtime(under, one) is not None]


def test_the_file_is_read_as_the_network_of_its_numbers(case: Case) -> None:
    """For any number of samples where the network is one of images alone."""
    network, _, file, x = case
    read = load_network(file.content, "net.tflite").eval()
    with torch.no_grad():
        parts = [list(read(one).values()) for one in (x.split(1) if read.batch_size else (x,))]
    for found, wanted in zip(zip(*parts, strict=True), Runner(network.program)((x,)), strict=True):
        noise = (torch.cat(found) - wanted).double().square().sum() / wanted.double().square().sum()
        assert float(noise) < 2e-3


def test_a_signal_stays_an_image_of_one_row_between_its_layers() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv1d(2, 4, 3, padding=1), nn.ReLU(), nn.MaxPool1d(2), nn.Conv1d(4, 4, 3), nn.Sigmoid())
    x = torch.randn(2, 2, 16)
    network, plan = planned(net, x, load_preset("int8"))
    kinds = [one.kind for one in parse(write_lite(network, plan, Batch((x,))).content, "net").operators]
    layers = ["CONV_2D", "MAX_POOL_2D", "CONV_2D", "LOGISTIC"]
    assert [kind for kind in kinds if kind != "QUANTIZE"] == ["TRANSPOSE", "RESHAPE", *layers, "RESHAPE", "TRANSPOSE"]


def test_a_sum_has_no_operator_in_float() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 6, 6)
    network, plan = planned(Sums(), x, load_preset("int8"))
    kinds = Counter(one.kind for one in parse(write_lite(network, plan, Batch((x,))).content, "net").operators)
    assert kinds["MEAN"] == kinds["MUL"] == 8 and "DEQUANTIZE" not in kinds and "SUM" not in kinds


class Recurrent(nn.Module):
    """A state that begins with zeros, which are floats, and the states of three steps side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.read, self.kept, self.head = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.read(x)
        state, states = torch.zeros_like(x[:, 0]), []
        for step in x.unbind(1):
            state = torch.tanh(step + self.kept(state))
            states.append(state)
        head: Tensor = self.head(torch.stack(states, 1).mean(1))
        return head


@pytest.mark.parametrize("kernels", RESOLVERS)
def test_a_state_begins_with_zeros(kernels: RuntimeName) -> None:
    torch.manual_seed(0)
    x = torch.randn(8, 3, 6)
    network, plan = planned(Recurrent(), x, load_preset("int8"))
    found = differing(network, plan, write_lite(network, plan, Batch((x,))), x, kernels)
    assert len(found) >= 11 and not any(found.values()), found


class Unknown(nn.Module):
    """Places along two axes."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, [0, 2], [1, 3]]


class Token(nn.Module):
    """A class token before the tokens of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, stride=4)
        self.token = nn.Parameter(torch.randn(1, 1, 8))
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(x.shape[0], -1, -1), tokens], 1)
        head: Tensor = self.head(torch.relu(tokens) + tokens.mean(1, keepdim=True))
        return head[:, 0]


def test_a_class_token_is_read_for_any_number_of_samples() -> None:
    torch.manual_seed(0)
    net, x = Token(), torch.randn(5, 3, 8, 8)
    network, plan = planned(net, x, load_preset("int8"))
    read = load_network(write_lite(network, plan, Batch((x,))).content, "net.tflite").eval()
    assert read.batch_size is None
    with torch.no_grad():
        found, alone, wanted = read(x), read(x[2:3]), net(x)
    assert torch.allclose(found[2:3], alone, atol=1e-6)
    assert float((found - wanted).square().sum() / wanted.square().sum()) < 1e-3


def test_places_along_several_axes_are_refused() -> None:
    x = torch.rand(2, 3, 6)
    network, plan = planned(Unknown(), x, load_preset("int8"))
    with pytest.raises(CaptureError, match="places for several axes"):
        write_lite(network, plan, Batch((x,)))
