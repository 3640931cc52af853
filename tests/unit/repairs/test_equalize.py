"""Equalization: the float network stays what it is, imbalance is repaired, the rest is left with a reason."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from qdiag.capture.program import Runner
from qdiag.core.causes.findings import FindingSite
from qdiag.errors import RepairRefused
from qdiag.repairs.base import RepairContext, Treatment
from qdiag.repairs.equalization import equalize
from qdiag.repairs.equalization.equalize import EQUALIZE
from qdiag.repairs.equalization.pairs import find_pairs
from qdiag.simulate.case import Case
from tests.cases import assert_seen_as_in_a_pass, assert_untouched, open_test_case, output_sqnr_db, snapshot
from tests.models import KINDS


def images(count: int, seed: int, channels: int = 3) -> Tensor:
    return torch.randn(count, channels, 8, 8, generator=torch.Generator().manual_seed(seed))


def settled(net: nn.Sequential) -> nn.Sequential:
    """In eval mode, with BatchNorm statistics that fit the inputs."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        for module in net.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.reset_parameters()
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = None
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0.0, 0.3)
        net.train()
        net(images(32, 9))
    return net.eval()


def chain(last_activation: type[nn.Module] = nn.ReLU6) -> nn.Sequential:
    """conv-bn-relu-dw-bn-relu6-conv."""
    return settled(
        nn.Sequential(
            *(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU()),
            *(nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False), nn.BatchNorm2d(8), last_activation()),
            nn.Conv2d(8, 5, 1),
        )
    )


def unbalance(net: nn.Sequential, factors: Tensor, first: int = 0, second: int = 3) -> None:
    """The same function with channels of very different size: what equalization has to undo."""
    with torch.no_grad():
        norm = net[first + 1]
        if isinstance(norm, nn.BatchNorm2d):
            norm.weight.mul_(factors)
            norm.bias.mul_(factors)
        else:
            net[first].weight.mul_(factors.view(-1, *[1] * (net[first].weight.ndim - 1)))
            net[first].bias.mul_(factors)
        weight = net[second].weight
        is_depthwise = weight.shape[1] == 1 and weight.shape[0] > 1
        weight.div_(factors.view(-1, 1, 1, 1) if is_depthwise else factors.view(1, -1, *[1] * (weight.ndim - 2)))


def equalized(case: Case, *names: str) -> Treatment:
    before = snapshot(case)
    done = EQUALIZE.apply(case, [FindingSite(name) for name in names], RepairContext())
    assert_untouched(case, before)
    assert done.moves_float
    return done


def largest_move(case: Case, treated: Case, *args: Tensor) -> float:
    """Largest |change| of the float output over its largest |value|."""
    with torch.no_grad():
        old, new = Runner(case.program)(args), Runner(treated.program)(args)
    return max(
        float((a - b).abs().max() / a.abs().max()) for a, b in zip(old, new, strict=True) if a.is_floating_point()
    )


IMAGE_KINDS = ("plain", "depthwise_separable", "residual", "preactivation", "inception", "densenet")
IMAGE_KINDS += (
    "channel_shuffle",
    "se_sigmoid",
    "hardswish",
    "unet_transposed",
    "unet_bilinear",
    "grouped",
    "linear_bn",
)


@pytest.mark.parametrize("name", IMAGE_KINDS)
def test_the_float_network_stays_what_it_is(name: str) -> None:
    kind = KINDS[name]
    net, (args, _) = kind.build(), kind.inputs(4, 1)
    weights = {key: value.clone() for key, value in net.state_dict().items()}
    case = open_test_case(net, args[0], "tf-uint8")
    done = equalized(case)
    assert all(torch.equal(value, weights[key]) for key, value in net.state_dict().items())
    assert largest_move(case, done.case, *args) < 1e-5
    # the tensors of the treatment are those of a checkpoint that computes what the treated case computes
    net.load_state_dict({**weights, **done.tensors})
    with torch.no_grad():
        expected, own = Runner(done.case.program)(args)[0], net(*args)
    assert torch.allclose(own, expected, rtol=1e-5, atol=1e-6)
    assert_seen_as_in_a_pass(done.case)


@pytest.mark.parametrize("bits", [2.0, 5.0])
def test_planted_imbalance_is_repaired(bits: float) -> None:
    net = chain(nn.ReLU)
    unbalance(net, 2.0 ** torch.linspace(-bits, bits, 8))
    case = open_test_case(net, images(8, 1), "tf-uint8")
    done = equalized(case)
    assert largest_move(case, done.case, images(4, 2)) < 1e-5
    assert output_sqnr_db(done.case) > output_sqnr_db(case) + (10.0 if bits > 4.0 else 3.0)
    assert done.layers == ("0", "3", "6")
    assert math.isnan(done.case.observations["0"].statistics.range.mean), "no pass was made"


def test_one_pair_follows_the_formula() -> None:
    net = settled(nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 5, 3)))
    unbalance(net, 2.0 ** torch.linspace(-4, 4, 8))
    case = open_test_case(net, images(8, 1), "tf-uint8")
    done = equalized(case)
    norm = net[1]
    gain = (norm.weight / torch.sqrt(norm.running_var + norm.eps)).detach().numpy().astype(np.float64)
    r_a = np.abs(net[0].weight.detach().numpy()).max((1, 2, 3)) * np.abs(gain)
    r_b = np.abs(net[3].weight.detach().numpy()).max((0, 2, 3))
    s = np.sqrt(r_a * r_b) / r_b
    assert np.allclose(done.tensors["1.weight"].numpy(), norm.weight.detach().numpy() / s, rtol=1e-5)
    assert np.allclose(done.tensors["3.weight"].numpy(), net[3].weight.detach().numpy() * s[:, None, None], rtol=1e-5)


def test_a_chain_ends_with_equal_ranges_on_both_sides_of_every_pair() -> None:
    net = chain(nn.ReLU)
    unbalance(net, 2.0 ** torch.linspace(-3, 3, 8))
    unbalance(net, 2.0 ** torch.linspace(4, -4, 8), first=3, second=6)
    case = open_test_case(net, images(8, 1), "tf-uint8")
    constants = equalized(case).case.network.program.constants
    by_name = {layer.name: constants[str(layer.weight)] for layer in case.network.graph.layers if layer.weight}
    first, depthwise, last = (by_name[name].double() for name in ("0", "3", "6"))
    rows, middle, columns = first.abs().amax((1, 2, 3)), depthwise.abs().amax((1, 2, 3)), last.abs().amax((0, 2, 3))
    assert torch.allclose(rows, middle, rtol=1e-2)
    assert torch.allclose(middle, columns, rtol=1e-2)


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.LeakyReLU(0.1), nn.MaxPool2d(2), nn.Conv2d(8, 4, 2)),
        lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.PReLU(8), nn.ZeroPad2d(1), nn.Conv2d(8, 4, 2, groups=4)),
        lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.AvgPool2d(2, padding=1), nn.Flatten(), nn.Linear(128, 4)),
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 8), nn.ReLU(), nn.Linear(8, 4)),
        lambda: nn.Sequential(nn.ConvTranspose2d(3, 8, 3, groups=1), nn.ReLU(), nn.ConvTranspose2d(8, 4, 2, groups=2)),
    ],
    ids=["leaky relu and pool", "prelu, padding, groups", "average and flatten", "linear", "transposed"],
)
def test_without_batchnorm(make: Callable[[], nn.Sequential]) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        net = make().eval()
    first = next(i for i, module in enumerate(net) if hasattr(module, "weight"))
    with torch.no_grad():
        weight = net[first].weight
        axis = 1 if isinstance(net[first], nn.ConvTranspose2d) else 0
        factors = 2.0 ** torch.linspace(-4, 4, 8)
        weight.mul_(factors.view([-1 if i == axis else 1 for i in range(weight.ndim)]))
    case = open_test_case(net, images(8, 1), "tf-uint8")
    done = equalized(case)
    assert {f"{first}.weight", f"{first}.bias"} <= set(done.tensors)
    assert largest_move(case, done.case, images(4, 2)) < 1e-5


def test_relu6_is_never_met_on_the_calibration_data() -> None:
    net = settled(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU6(), nn.Conv2d(8, 4, 3)))
    with torch.no_grad():
        net[0].weight.mul_(2.0 ** torch.linspace(-6, 4, 8).view(-1, 1, 1, 1))
    case = open_test_case(net, images(8, 1), "tf-uint8")
    seen = case.observations["0"].channels
    assert seen is not None
    at_the_bound = [c for c, high in enumerate(seen.max) if high >= 6.0]
    assert at_the_bound
    done = equalized(case)
    assert largest_move(case, done.case, images(8, 1)) < 1e-5
    ratio = (done.tensors["0.weight"] / net[0].weight).detach()[:, 0, 0, 0]
    assert torch.equal(ratio[at_the_bound], torch.ones(len(at_the_bound)))
    # a small channel may grow until it would touch 6, not further
    after = done.case.observations["0"].channels
    assert after is not None
    grown = [c for c in range(8) if ratio[c] > 1.0]
    assert grown
    assert all(after.max[c] <= 6.0 for c in grown)


def test_zero_and_almost_zero_channels() -> None:
    net = chain(nn.ReLU)
    with torch.no_grad():
        net[0].weight[2] = 0.0
        net[1].weight[5] = 1e-30
    case = open_test_case(net, images(8, 1), "tf-uint8")
    done = equalized(case)
    assert all(bool(tensor.isfinite().all()) for tensor in done.tensors.values())
    assert done.tensors["1.weight"][2] == net[1].weight[2]
    assert float(done.tensors["1.weight"][5]) == pytest.approx(1e-30 * 1024.0, rel=1e-3)
    assert largest_move(case, done.case, images(4, 2)) < 1e-5


def test_sites_choose_their_whole_chain_and_no_other() -> None:
    kind = KINDS["residual"]
    case = open_test_case(kind.build(), kind.inputs(4, 1)[0][0], "tf-uint8")
    assert set(equalized(case, "main.2.0").layers) == {"main.0.0", "main.2.0"}
    with pytest.raises(RepairRefused, match="read by 2 operations") as refused:
        equalized(case, "stem.0.0")
    assert refused.value.at == "stem.0.0"


def test_equalized_twice_has_nothing_left_to_do() -> None:
    net = chain(nn.ReLU)
    unbalance(net, 2.0 ** torch.linspace(-3, 3, 8))
    done = equalized(open_test_case(net, images(8, 1), "tf-uint8"))
    with pytest.raises(RepairRefused, match="as equal as they can be made"):
        equalized(done.case)


class Between(nn.Module):
    """Two convolutions with something between them."""

    def __init__(self, between: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)
        self.between = between

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.b(self.between(self.a(x)))
        return y


@pytest.mark.parametrize(
    ("between", "reason"),
    [
        (F.silu, "silu after it"),
        (lambda x: x + 1.0, "add after it"),
        (lambda x: x.clamp(0.5, 4.0), "clamp after it"),
        (lambda x: F.pad(x, (1, 1, 1, 1), value=0.5), "pad after it"),
        (lambda x: x * x, "meets other values in mul"),
        (lambda x: x + x.relu(), "read by 2 operations"),
        (lambda x: x.transpose(1, 2).reshape(x.shape), "transpose after it"),
        (lambda x: x.flip(1), "flip after it"),
    ],
    ids=["silu", "add", "clamp from 0.5", "pad with 0.5", "square", "two readers", "transpose", "channels reversed"],
)
def test_what_does_not_let_a_scale_through(between: Callable[[Tensor], Tensor], reason: str) -> None:
    case = open_test_case(Between(between).eval(), images(4, 1), "tf-uint8")
    pairs = find_pairs(case)
    assert pairs.found == ()
    assert reason in pairs.refused["a"]
    with pytest.raises(RepairRefused, match="no scale can be moved"):
        equalized(case)


def test_shared_weights_are_refused() -> None:
    kind = KINDS["shared"]
    pairs = find_pairs(open_test_case(kind.build(), kind.inputs(4, 1)[0][0], "tf-uint8"))
    assert pairs.found == ()
    assert "serve more than one layer" in pairs.refused["block.0"]
    assert "of the layer after it" in pairs.refused["stem.0"]


def test_a_local_repair_stays_at_its_sites_and_spares_channels() -> None:
    net = chain(nn.ReLU)
    unbalance(net, 2.0 ** torch.linspace(-3, 3, 8))
    unbalance(net, 2.0 ** torch.linspace(4, -4, 8), first=3, second=6)
    case = open_test_case(net, images(8, 1), "tf-uint8")
    local = EQUALIZE.apply(case, [FindingSite("0")], RepairContext(is_local=True))
    assert local.layers == ("0", "3")
    context = RepairContext(spared={"0": frozenset({1}), "3": frozenset({2, 5})})
    spared = EQUALIZE.apply(case, (), context)
    gamma = spared.tensors["1.weight"] / case.tensors["1.weight"]
    assert [c for c in range(8) if gamma[c] == 1.0] == [1, 2, 5]
    assert largest_move(case, spared.case, images(4, 2)) < 1e-5


def test_headroom_keeps_channels_away_from_the_bound() -> None:
    net = chain(nn.ReLU6)
    unbalance(net, 2.0 ** torch.linspace(-5, 0, 8), first=3, second=6)
    case = open_test_case(net, images(8, 1), "tf-uint8")
    highest = []
    for headroom in (1.0, 2.0):
        done = equalize.equalized(case, (), RepairContext(), headroom)
        seen = done.case.observations["3"].channels
        assert seen is not None
        grown = (done.tensors["4.weight"] > case.tensors["4.weight"] * 1.001).nonzero().flatten().tolist()
        highest.append(max(seen.max[c] for c in grown))
    assert highest[0] <= 6.0 + 1e-5
    assert highest[1] <= 3.0 + 1e-5
