"""Regularizers of RepVGG and of depthwise weights: against NumPy, and their gradients against finite differences."""

import numpy as np
import pytest
import torch
from torch import nn

from qdiag.zoo import build
from qdiag.zoo.regularizers import batchnorm_gain, block_l2, custom_l2, depthwise_l2, network_l2, plain_l2
from qdiag.zoo.repvgg import SETTINGS, RepVGGBlock, Setting


@pytest.fixture
def tensors() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    shapes = ((4, 3, 3, 3), (4, 3, 1, 1), (4,), (4,))
    return [torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in shapes]


def custom_by_loops(k3: np.ndarray, k1: np.ndarray, g3: np.ndarray, g1: np.ndarray, divided: bool) -> float:
    total = 0.0
    for out in range(k3.shape[0]):
        for channel in range(k3.shape[1]):
            for row in range(3):
                for column in range(3):
                    if (row, column) != (1, 1):
                        total += k3[out, channel, row, column] ** 2
            fused = g3[out] * k3[out, channel, 1, 1] + g1[out] * k1[out, channel, 0, 0]
            total += fused**2 / (g3[out] ** 2 + g1[out] ** 2 if divided else 1.0)
    return float(total)


@pytest.mark.parametrize("divided", [True, False])
def test_custom_l2_is_its_formula(tensors: list[torch.Tensor], divided: bool) -> None:
    k3, k1, g3, g1 = tensors
    wanted = custom_by_loops(k3.numpy(), k1.numpy(), g3.numpy(), g1.numpy(), divided)
    assert custom_l2(k3, k1, g3, g1, divided=divided).item() == pytest.approx(wanted, rel=1e-12)


def test_plain_l2_is_the_sum_of_squares(tensors: list[torch.Tensor]) -> None:
    k3, k1 = tensors[:2]
    assert plain_l2(k3, k1).item() == pytest.approx(float((k3.numpy() ** 2).sum() + (k1.numpy() ** 2).sum()), rel=1e-12)


@pytest.mark.parametrize("divided", [True, False])
def test_gradients_are_those_of_the_formula(tensors: list[torch.Tensor], divided: bool) -> None:
    inputs = tuple(tensor.requires_grad_() for tensor in tensors)
    assert torch.autograd.gradcheck(lambda *args: custom_l2(*args, divided=divided), inputs)
    assert torch.autograd.gradcheck(plain_l2, inputs[:2])


def test_the_denominator_pushes_gains_up_and_its_absence_pushes_them_down(tensors: list[torch.Tensor]) -> None:
    """Where the 1x1 kernel is zero, the divided form is K3^2 g3^2 / (g3^2 + g1^2): a larger g1 makes it smaller."""
    k3 = tensors[0]
    k1 = torch.zeros(4, 3, 1, 1, dtype=torch.float64)
    for divided, sign in ((True, -1.0), (False, 1.0)):
        g3, g1 = (torch.full((4,), 2.0, dtype=torch.float64, requires_grad=True) for _ in range(2))
        custom_l2(k3, k1, g3, g1, divided=divided).backward()  # type: ignore[no-untyped-call]
        gradient = g1.grad if divided else g3.grad
        assert gradient is not None
        assert bool((sign * gradient > 0.0).all())


@pytest.mark.parametrize("setting", SETTINGS)
def test_each_setting_has_its_own(setting: Setting) -> None:
    torch.manual_seed(0)
    model = build("repvgg_small", {"width": 0.125, "setting": setting})
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 2.0)
    state = {name: value.double().numpy() for name, value in model.state_dict().items()}
    total = 0.0
    for dense in [name for name in state if name.endswith("rbr_dense.conv.weight")]:
        block = dense.removesuffix(".rbr_dense.conv.weight")
        if setting in ("S0", "S0'"):
            gains = [state[f"{block}.{b}.bn.weight"] / np.sqrt(1.0 + 1e-5) for b in ("rbr_dense", "rbr_1x1")]
            k1 = state[f"{block}.rbr_1x1.conv.weight"]
            total += custom_by_loops(state[dense], k1, gains[0], gains[1], setting == "S0")
        else:
            one = "rbr_1x1.weight" if setting in ("S3", "S4") else "rbr_1x1.conv.weight"
            total += float((state[dense] ** 2).sum() + (state[f"{block}.{one}"] ** 2).sum())
    assert network_l2(model, setting).item() == pytest.approx(total, rel=1e-5)


def test_gains_get_a_gradient_only_where_it_is_asked_for() -> None:
    block = RepVGGBlock(2, 2, 1, "S0")
    block_l2(block, "S0").backward()  # type: ignore[no-untyped-call]
    gain = block.rbr_dense.get_submodule("bn").weight
    assert isinstance(gain, nn.Parameter)
    assert gain.grad is None
    block_l2(block, "S0", gain_gradient=True).backward()  # type: ignore[no-untyped-call]
    assert gain.grad is not None


def test_a_network_without_such_blocks_has_nothing_to_add() -> None:
    assert network_l2(nn.Linear(2, 2), "S0").item() == 0.0


def test_a_norm_without_statistics_has_no_gain() -> None:
    with pytest.raises(TypeError, match="no running variance"):
        batchnorm_gain(nn.BatchNorm2d(2, track_running_stats=False))


def test_depthwise_l2_is_the_sum_of_squares_of_depthwise_weights_alone() -> None:
    torch.manual_seed(2)
    model = build("mobilenet_v1_small", {"width": 0.1, "variant": "d"}).double()
    state = {name: value.numpy() for name, value in model.state_dict().items()}
    wanted = sum(float((state[name] ** 2).sum()) for name in state if name.endswith(".dw.weight"))
    loss = depthwise_l2(model)
    assert loss.item() == pytest.approx(wanted, rel=1e-12)
    loss.backward()  # type: ignore[no-untyped-call]
    for name, parameter in model.named_parameters():
        if name.endswith(".dw.weight"):
            assert parameter.grad is not None
            torch.testing.assert_close(parameter.grad, 2.0 * parameter.detach())
        else:
            assert parameter.grad is None


def test_grouped_convolutions_and_those_of_one_channel_are_not_depthwise() -> None:
    layers = [nn.Conv2d(4, 4, 3, groups=2), nn.Conv2d(1, 4, 3), nn.Linear(2, 2)]
    assert depthwise_l2(nn.Sequential(*layers)).item() == 0.0
    with_multiplier = nn.Conv1d(2, 4, 1, groups=2, bias=False)
    assert depthwise_l2(with_multiplier).item() == pytest.approx(float(with_multiplier.weight.detach().square().sum()))
