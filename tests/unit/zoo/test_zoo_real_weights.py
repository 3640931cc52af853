"""Real weights load, and give what an independent definition of the same network gives."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from qdiag.zoo import build

pytestmark = pytest.mark.real


@pytest.fixture
def networks(real_data: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("real_networks", real_data / "networks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("name", "arguments", "weights", "reference", "size"),
    [
        ("mobilenet_v1", {"width": 0.75}, "mobilenet_v1_0.75_224", "mobilenet_v1_075", 224),
        (
            "mobilenet_v1",
            {"width": 0.25, "classes": 2, "activation": "relu", "conv_bias": True},
            "mobilenet_v1_0.25_vww96",
            "mobilenet_v1_025_vww",
            96,
        ),
        ("resnet_cifar", {"depth": 20}, "resnet20_cifar10", "resnet20_cifar10", 32),
        ("resnet_cifar", {"depth": 56}, "resnet56_cifar10", "resnet56_cifar10", 32),
        ("nin", {}, "nin_cifar10", "nin_cifar10", 32),
    ],
)
def test_real_weights_give_the_same_logits(
    real_data: Path,
    networks: ModuleType,
    name: str,
    arguments: dict[str, object],
    weights: str,
    reference: str,
    size: int,
) -> None:
    state = load_file(real_data / f"{weights}.safetensors")
    model = build(name, arguments)
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected
    assert all(key.endswith("num_batches_tracked") for key in missing)
    independent = getattr(networks, reference)().eval()
    independent.load_state_dict(state, strict=False)
    x = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        expected = independent(x)
        torch.testing.assert_close(model(x), expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_the_float_checkpoint_classifies_as_measured_and_loads_into_every_form(real_data: Path) -> None:
    state = load_file(real_data / "nin_cifar10.safetensors")
    model = build("nin")
    model.load_state_dict(state, strict=False)
    data = np.load(real_data / "cifar10_lossless200.npz")
    x = torch.from_numpy(data["images"]).permute(0, 3, 1, 2) / 255.0
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)))
    with torch.inference_mode():
        right = (model((x - mean) / std).argmax(1) == torch.from_numpy(data["labels"]).long()).sum()
    assert int(right) == 163  # 81.5 % of 200
    for weights in ("sign", "scaled_sign"):
        missing, unexpected = build("nin", {"weights": weights, "activations": "sign"}).load_state_dict(
            state, strict=False
        )
        assert not unexpected
        assert all(key.endswith("num_batches_tracked") for key in missing)
