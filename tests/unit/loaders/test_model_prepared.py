"""State dicts of networks that torch.ao trained, and plain networks: what is mapped, and what is refused."""

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.ao.quantization import FakeQuantize, QuantWrapper, disable_observer, fuse_modules_qat, prepare_qat

from qdiag.errors import LoadError
from qdiag.loaders.models.state_dict import load_weights
from tests.networks.torch_ao import IMAGES, qconfig


def plain() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 3)).eval()


@pytest.fixture(scope="module")
def trained() -> nn.Module:
    """Wrapped by torch.ao, which calls the quantizer of the input `quant` and the network `module`."""
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")  # torch.ao has moved to torchao, and is in use
        torch.manual_seed(0)
        wrapped: Any = QuantWrapper(plain().train())
        fuse_modules_qat(wrapped.module, [["0", "1", "2"]], inplace=True)
        wrapped.qconfig = qconfig("per_channel")
        prepare_qat(wrapped, inplace=True)
        with torch.no_grad():
            wrapped(IMAGES[:4])
    found: nn.Module = wrapped.eval().apply(disable_observer)
    return found


def load(network: nn.Module, state: dict[str, Tensor]) -> nn.Module:
    load_weights(network, state, at="qat.pth", arch="net.py:plain")
    return network


def test_the_plain_network_computes_as_the_trained_one(trained: nn.Module) -> None:
    network = load(plain(), dict(trained.state_dict()))
    assert [name for name, _ in network.named_children()] == ["quant", "0", "1", "2", "3"]
    assert sum(isinstance(module, FakeQuantize) for module in network.modules()) == 5
    with torch.no_grad():
        assert torch.equal(network(IMAGES), trained(IMAGES))


@pytest.mark.parametrize(
    ("largest", "smallest", "dtype"), [(127, -127, torch.qint8), (7, -8, torch.qint8), (7, -7, torch.qint8)]
)
def test_integers_follow_from_scale_and_bounds(
    largest: int, smallest: int, dtype: torch.dtype, trained: nn.Module
) -> None:
    state = dict(trained.state_dict())
    prefix = "module.3.weight_fake_quant"
    widest = state[f"{prefix}.activation_post_process.max_val"].maximum(
        -state[f"{prefix}.activation_post_process.min_val"]
    )
    state[f"{prefix}.scale"] = widest / ((largest - smallest) / 2)
    network = load(plain(), state)
    module: Any = network.get_submodule("3.weight_fake_quant")
    observer = module.activation_post_process
    assert (observer.quant_min, observer.quant_max, observer.dtype) == (smallest, largest, dtype)


def without_norm() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.Conv2d(4, 2, 3))


def transposed() -> nn.Sequential:
    return nn.Sequential(nn.ConvTranspose2d(3, 4, 3), *list(plain())[1:])


@pytest.mark.parametrize(
    ("network", "change", "message"),
    [
        (without_norm, {}, "a BatchNorm that was folded into 0, and the network has none next to it"),
        (transposed, {}, "at the weight of 0, and the network has a ConvTranspose2d there"),
        (plain, {"module.3.weight_fake_quant.scale": torch.full((2,), 0.3)}, "which integers the fake quantizer 3.w"),
        (
            plain,
            {"activation_post_process_1.fake_quant_enabled": torch.ones(1)},
            "activation_post_process_1 has no scale in it",
        ),
    ],
)
def test_what_the_names_do_not_say_is_refused(
    network: Any, change: dict[str, Tensor], message: str, trained: nn.Module
) -> None:
    with pytest.raises(LoadError, match=message) as caught:
        load(network(), {**trained.state_dict(), **change})
    assert "prepare_qat" in (caught.value.hint or "")


def test_names_by_number_do_not_say_where_they_stood(trained: nn.Module) -> None:
    """Those of prepare_qat_fx."""
    prefix = "quant.activation_post_process"
    state = {name.replace(prefix, "activation_post_process_0"): value for name, value in trained.state_dict().items()}
    with pytest.raises(LoadError, match="activation_post_process_0, by a number, which does not say where it stood"):
        load(plain(), state)
