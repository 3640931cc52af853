"""Layers that read what they multiply in blocks, against the same network written out."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import qdiag
from qdiag.calibrators import CALIBRATORS
from qdiag.config import load_scheme
from qdiag.numerics.quantizers.block_float import BlockFloat
from qdiag.repairs.weights.correct_bias import mean_shifts
from qdiag.simulate.arithmetic.einsum_axes import summed_axes
from qdiag.simulate.layerwise.measure import measure_case
from qdiag.simulate.plan_builder import UNTOLD_PRODUCT
from qdiag.simulate.surroundings import engine_arithmetic
from qdiag.simulate.sweeps.sensitivity import alone, part_only, switchable_layers
from tests.cases import SESSION, open_test_case, output_error

IMAGES = torch.randn(6, 5, 6, 6, generator=torch.Generator().manual_seed(1))


class Net(nn.Module):
    """A convolution of each kind, a product of activations and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(5, 40, 3, padding=1)
        self.grouped = nn.Conv2d(40, 40, 3, stride=2, padding=1, groups=4)
        self.depthwise = nn.Conv2d(40, 40, 3, padding=1, groups=40)
        self.up = nn.ConvTranspose2d(40, 36, 2, stride=2)
        self.head = nn.Linear(36, 7)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.conv(x))
        x = torch.relu(self.up(torch.relu(self.depthwise(torch.relu(self.grouped(x))))))
        rows = x.flatten(2)
        mixed = torch.matmul(torch.softmax(torch.bmm(rows.transpose(1, 2), rows) / 100.0, -1), rows.transpose(1, 2))
        return self.head(mixed.mean(1))


def network() -> Net:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Net().eval()


def written_out(net: Net, x: Tensor, weights: dict[str, Tensor], blocks: BlockFloat) -> Tensor:
    """The quantized network as the format's specification has it: only operands of products are in blocks."""

    def read(x: Tensor, axis: int = 1) -> Tensor:
        return blocks.in_blocks(x, axis)

    x = torch.relu(F.conv2d(read(x), weights["conv"], net.conv.bias, padding=1))
    x = torch.relu(F.conv2d(read(x), weights["grouped"], net.grouped.bias, 2, 1, 1, 4))
    x = torch.relu(F.conv2d(read(x), weights["depthwise"], net.depthwise.bias, 1, 1, 1, 40))
    x = torch.relu(F.conv_transpose2d(read(x), weights["up"], net.up.bias, 2))
    rows = x.flatten(2)
    scores = torch.softmax(torch.bmm(read(rows.transpose(1, 2), 2), read(rows, 1)) / 100.0, -1)
    mixed = torch.matmul(read(scores, 2), read(rows.transpose(1, 2), 1))
    return F.linear(read(mixed.mean(1), 1), weights["head"], net.head.bias)


@pytest.mark.parametrize("preset", ["mxfp4", "mxfp8"])
def test_only_what_is_multiplied_is_rounded(preset: str) -> None:
    net, scheme = network(), load_scheme(preset)
    axes = {"conv": 0, "grouped": 0, "depthwise": 0, "up": 1, "head": 0}
    own = {name: getattr(net, name).weight.detach() for name in axes}
    made = {name: CALIBRATORS["minmax"].weight(w, scheme.weights, axes[name]) for name, w in own.items()}
    blocks = BlockFloat.from_range(torch.tensor(-1.0), torch.tensor(1.0), scheme.activations)
    with torch.no_grad():
        reference = net(IMAGES)
        simulated = written_out(net, IMAGES, {name: made[name].fake_quantize(w) for name, w in own.items()}, blocks)
    error = output_error(open_test_case(net, IMAGES, scheme))
    noise = float((reference - simulated).double().square().sum())
    assert error.error_sq_sum == pytest.approx(noise, rel=1e-3)  # the sums of products are in another order


def test_a_layer_that_is_kept_in_float_and_one_that_is_read_in_float() -> None:
    case = open_test_case(network(), IMAGES, load_scheme("mxfp4", ['float_layers=["grouped"]']))
    plans = case.plan.layers
    assert plans["grouped"].operands == ()
    assert [len(plans[name].operands) for name in ("conv", "depthwise", "up", "head")] == [1, 1, 1, 1]
    case = open_test_case(network(), IMAGES, load_scheme("mxfp4", ['layers."conv".activations.bits=32']))
    assert case.plan.layers["grouped"].operands == (), "it reads what conv gives"
    assert case.plan.layers["conv"].operands
    eight = ['layers."conv".activations.bits=8', 'layers."conv".activations.element=e5m2']
    wider = open_test_case(network(), IMAGES, load_scheme("mxfp4", eight))
    (one,) = wider.plan.layers["grouped"].operands
    assert isinstance(one, BlockFloat) and one.element.name == "e5m2"
    assert case.plan.quantized_count == sum(p.weight is not None for p in case.plan.layers.values()) + 8


def test_losses_and_parts() -> None:
    net, scheme = network(), load_scheme("mxfp4")
    case = open_test_case(net, IMAGES, scheme)
    with engine_arithmetic():
        measured = {record.name: record for record in measure_case(case, "losses", SESSION.progress).records}
    conv = measured["conv"]
    assert conv.losses is not None
    blocks = BlockFloat.from_range(torch.tensor(-1.0), torch.tensor(1.0), scheme.activations)
    weight = CALIBRATORS["minmax"].weight(net.conv.weight, scheme.weights, 0).fake_quantize(net.conv.weight)
    with torch.no_grad():
        exact = torch.relu(net.conv(IMAGES))
        by_input = torch.relu(net.conv(blocks.in_blocks(IMAGES, 1))) - exact
        by_weight = torch.relu(F.conv2d(IMAGES, weight, net.conv.bias, padding=1)) - exact
    assert conv.losses.input.error_sq_sum == pytest.approx(float(by_input.double().square().sum()), rel=1e-4)
    assert conv.losses.weight.error_sq_sum == pytest.approx(float(by_weight.double().square().sum()), rel=1e-4)
    assert conv.losses.saturation.count == 0
    assert conv.arithmetic is None, "that of its input is counted already"
    assert conv.losses.requantization.error_sq_sum == 0.0
    assert conv.quantizer is None and conv.operands[0].type == "block_float" and math.isnan(conv.expected_sqnr_db)
    assert measured["softmax"].local.sqnr_db == math.inf, "sums, functions and poolings compute in float"
    weights, activations = (output_error(part_only(case, part)).error_sq_sum for part in ("weights", "activations"))  # type: ignore[arg-type]
    assert 0.0 < weights < output_error(case).error_sq_sum * 3
    assert 0.0 < activations != weights
    only = {"weights": load_scheme("mxfp4").only("weights"), "activations": load_scheme("mxfp4").only("activations")}
    for part, sums in (("weights", weights), ("activations", activations)):
        assert output_error(open_test_case(net, IMAGES, only[part])).error_sq_sum == sums
    assert set(switchable_layers(case, "activations")) == {name for name, r in measured.items() if r.operands}
    assert output_error(alone(case, "conv", "both")).error_sq_sum > 0.0


def test_bias_correction_sees_inputs_in_blocks() -> None:
    net, scheme = network(), load_scheme("mxfp4")
    case = open_test_case(net, IMAGES, scheme)
    blocks = BlockFloat.from_range(torch.tensor(-1.0), torch.tensor(1.0), scheme.activations)
    weight = net.conv.weight.detach()
    error = CALIBRATORS["minmax"].weight(weight, scheme.weights, 0).fake_quantize(weight) - weight
    expected = F.conv2d(blocks.in_blocks(IMAGES, 1), error, padding=1).mean((0, 2, 3))
    with engine_arithmetic():
        found = mean_shifts(SESSION, case, ["conv"])["conv"]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_the_scale_of_the_tensor_is_that_of_the_calibration_data() -> None:
    """Blocks make their own scales, up to 448 times that of the tensor: what is ten times as large is clipped."""
    net = nn.Sequential(nn.Conv2d(5, 4, 1, bias=False)).eval()
    found = {
        preset: output_error(open_test_case(net, IMAGES, preset, measured=10.0 * IMAGES)).sqnr_db
        for preset in ("mxfp4", "nvfp4")
    }
    assert found["mxfp4"] > 12.0
    assert found["nvfp4"] < 6.0
    assert output_error(open_test_case(net, IMAGES, "nvfp4")).sqnr_db > 12.0


class Einsum(nn.Module):
    """Attention, and a product over two axes, of which equations tell the axes; or the same as products of matrices."""

    def __init__(self, *, is_spelled_out: bool = False) -> None:
        super().__init__()
        self.conv, self.is_spelled_out = nn.Conv2d(5, 40, 1), is_spelled_out

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        flat = y.flatten(2)
        if self.is_spelled_out:
            gram = flat @ flat.transpose(1, 2)
            attended = torch.softmax(gram / 40.0, -1) @ flat
        else:
            gram = torch.einsum("nchw,ndhw->ncd", y, y)
            attended = torch.einsum("... i j, ...jk", torch.softmax(gram / 40.0, -1), flat)
        return attended


def test_an_equation_is_read_in_blocks_like_the_product_of_matrices_that_it_is() -> None:
    nets = Einsum().eval(), Einsum(is_spelled_out=True).eval()
    nets[1].load_state_dict(nets[0].state_dict())
    found, spelled = (qdiag.measure(net, IMAGES, scheme="mxfp4") for net in nets)
    products = [record for record in found.records if "einsum" in record.ops]
    assert [len(product.operands) for product in products] == [2, 2]
    assert found.outputs[0].error.error_sq_sum == pytest.approx(spelled.outputs[0].error.error_sq_sum, rel=1e-5)
    assert not found.float_ops


class Untold(nn.Module):
    """A product of three factors, which torch multiplies one after the other in an order of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(5, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return torch.einsum("nchw,ndhw,ndhw->nc", y, y, y)


def test_a_product_that_is_left_in_float_is_a_row_of_its_own() -> None:
    found = qdiag.measure(Untold().eval(), IMAGES, scheme="mxfp4")
    (product,) = found.float_ops
    assert (product.op, product.reason) == ("einsum", UNTOLD_PRODUCT)
    assert product.mac_fraction == pytest.approx(2 * 64 / (2 * 64 + 5 * 8))
    assert found.record(product.name).operands == ()
    assert not qdiag.measure(Untold().eval(), IMAGES, scheme="int8").float_ops, "its output is rounded there"


@pytest.mark.parametrize(
    ("equation", "ranks", "axes"),
    [
        ("bhid,bhjd->bhij", (4, 4), ((3,), (3,))),
        ("bhij,bhjd->bhid", (4, 4), ((3,), (2,))),
        ("nchw,ndhw->ncd", (4, 4), ((2, 3), (2, 3))),
        ("abc,cba->", (3, 3), ((0, 1, 2), (2, 1, 0))),
        ("ij,jk", (2, 2), ((1,), (0,))),
        ("...ij,...jk->...ik", (4, 3), ((3,), (1,))),
        ("i,j->ij", (1, 1), None),
        ("ij,jk,kl->il", (2, 2, 2), None),
        ("ii,ij->j", (2, 2), None),
        ("ij,jk->k", (2, 2), None),
        ("...i,...i->", (2, 2), None),
        ("ij->i", (2,), None),
        ("nc,nc->nc", (2, 2), None),
    ],
)
def test_axes_of_an_equation(equation: str, ranks: tuple[int, ...], axes: object) -> None:
    assert summed_axes(equation, ranks) == axes


def test_blocks_over_several_axes_run_on_from_one_to_the_next() -> None:
    blocks = BlockFloat.from_range(torch.tensor(-1.0), torch.tensor(1.0), load_scheme("mxfp4").activations)
    x = torch.randn(3, 5, 7, 2, generator=torch.Generator().manual_seed(3))
    found = blocks.read(x, (2, 0))
    for i in range(5):
        for j in range(2):
            row = x[:, i, :, j].T.reshape(-1)
            assert torch.equal(found[:, i, :, j].T.reshape(-1), blocks.in_blocks(row, 0))
