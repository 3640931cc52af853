"""Real weights load, and give what an independent definition of the same network gives."""

import importlib.util
from pathlib import Path
from types import ModuleType

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
