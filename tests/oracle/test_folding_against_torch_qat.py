"""BatchNorm folded in training against torch's own modules for it, `torch.ao.nn.intrinsic.qat`."""

import copy
import warnings
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from qdiag.batches import Batch
from qdiag.config import load_scheme
from qdiag.train.network.graph import Phase, TrainingGraph
from qdiag.train.settings import TrainingSettings
from tests.cases import open_test_case

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from torch.ao.nn.intrinsic.qat import ConvBn2d
    from torch.ao.quantization import QConfig
    from torch.ao.quantization.fake_quantize import FakeQuantize
    from torch.ao.quantization.observer import MinMaxObserver

FLOAT = ["activations.bits=32", "bias=float"]


def network(*, has_bias: bool) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        net = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1, bias=has_bias), nn.BatchNorm2d(6, momentum=0.2))
        norm = net[1]
        assert isinstance(norm, nn.BatchNorm2d)
        for tensor, low, high in ((norm.running_var, 0.3, 2.0), (norm.weight, 0.5, 1.5), (norm.bias, -1.0, 1.0)):
            nn.init.uniform_(tensor, low, high)  # type: ignore[arg-type]
        nn.init.normal_(norm.running_mean)  # type: ignore[arg-type]
    return net.eval()


def images() -> Tensor:
    return torch.randn(5, 3, 6, 6, generator=torch.Generator().manual_seed(1))


@pytest.fixture(autouse=True)
def without_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.ao advertises its successor
        yield


def qat_module(net: nn.Sequential, *, is_quantized: bool) -> ConvBn2d:
    conv, norm = copy.deepcopy(net[0]), copy.deepcopy(net[1])
    fake = FakeQuantize.with_args(
        observer=MinMaxObserver,
        quant_min=-8,
        quant_max=7,
        dtype=torch.qint8,
        qscheme=torch.per_tensor_symmetric,
        eps=1e-12,
    )
    made = ConvBn2d(
        3,
        6,
        3,
        padding=1,
        bias=conv.bias is not None,
        momentum=0.2,
        qconfig=QConfig(activation=nn.Identity, weight=fake),
    )
    made.load_state_dict({**conv.state_dict(), **{f"bn.{k}": v for k, v in norm.state_dict().items()}}, strict=False)
    made.weight_fake_quant.enable_fake_quant(is_quantized)
    return made.train()


@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize("is_frozen", [False, True])
@pytest.mark.parametrize("is_quantized", [False, True])
def test_outputs_gradients_and_statistics(has_bias: bool, is_frozen: bool, is_quantized: bool) -> None:
    net = network(has_bias=has_bias)
    bits = "weights.bits=4" if is_quantized else "weights.bits=32"
    case = open_test_case(
        net, images(), load_scheme("tf-uint8", [*FLOAT, bits, "weights.symmetric=true", "weights.signed=true"])
    )
    names = [*dict(net.named_parameters()), *dict(net.named_buffers())]
    graph = TrainingGraph(case, TrainingSettings(), names)
    theirs = qat_module(net, is_quantized=is_quantized)
    if is_frozen:
        theirs.freeze_bn_stats()
    weight = images().mean(1, keepdim=True).expand(5, 6, 6, 6)

    (own,) = graph.run(Batch((images(),)), Phase(uses_batch=not is_frozen, follows=True))
    other = theirs(images())
    torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-5)

    (own * weight).sum().backward()
    (other * weight).sum().backward()
    named = graph.parameters.named()
    pairs = {"0.weight": theirs.weight, "1.weight": theirs.bn.weight, "1.bias": theirs.bn.bias}
    for name, parameter in pairs.items():
        torch.testing.assert_close(named[name].grad, parameter.grad, rtol=2e-3, atol=2e-4, msg=name)

    graph.settle()
    torch.testing.assert_close(named["1.running_mean"], theirs.bn.running_mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(named["1.running_var"], theirs.bn.running_var, rtol=1e-4, atol=1e-5)


def test_without_quantizers_it_is_ordinary_batchnorm_in_training() -> None:
    """A channel with gamma = 0, of which no output can be divided by it, among the others."""
    net = network(has_bias=True)
    with torch.no_grad():
        net[1].weight[2] = 0.0
    case = open_test_case(net, images(), load_scheme("int8", [*FLOAT, "weights.bits=32"]))
    graph = TrainingGraph(case, TrainingSettings(), [*dict(net.named_parameters()), *dict(net.named_buffers())])
    before = {name: value.detach().clone() for name, value in graph.parameters.named().items()}
    (own,) = graph.run(Batch((images(),)), Phase(uses_batch=True, follows=True))
    plain = copy.deepcopy(net).train()
    torch.testing.assert_close(own, plain(images()), rtol=1e-4, atol=1e-5)
    graph.settle()
    moved = graph.parameters.named()["1.running_var"]
    expected = plain[1].running_var.clone()
    expected[2] = before["1.running_var"][2]  # such a channel keeps its statistics
    torch.testing.assert_close(moved, expected, rtol=1e-4, atol=1e-5)


def test_a_batchnorm_that_stays_trains_as_any() -> None:
    net = network(has_bias=False)
    case = open_test_case(net, images(), load_scheme("int8", [*FLOAT, "weights.bits=32", "fold_batchnorm=false"]))
    graph = TrainingGraph(case, TrainingSettings(), [*dict(net.named_parameters()), *dict(net.named_buffers())])
    (own,) = graph.run(Batch((images(),)), Phase(uses_batch=True, follows=True))
    plain = copy.deepcopy(net).train()
    other = plain(images())
    torch.testing.assert_close(own, other, rtol=1e-5, atol=1e-6)
    F.mse_loss(own, images().mean(1, keepdim=True).expand_as(own)).backward()
    F.mse_loss(other, images().mean(1, keepdim=True).expand_as(own)).backward()
    torch.testing.assert_close(graph.parameters.named()["0.weight"].grad, plain[0].weight.grad, rtol=1e-3, atol=1e-6)
    graph.settle()
    for name in ("running_mean", "running_var"):
        torch.testing.assert_close(graph.parameters.named()[f"1.{name}"], getattr(plain[1], name), rtol=1e-5, atol=1e-6)
