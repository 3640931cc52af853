"""Networks of the zoo: published sizes, shapes, and what is refused."""

import pytest
import torch
from torch import nn

from qdiag.errors import ConfigError
from qdiag.zoo import ZOO, build


def parameter_count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


# mobilenet_v1: table 6 of arXiv 1704.04861; mobilenet_v2 and ResNets: torchvision's table of weights;
# CIFAR ResNets: table 6 of arXiv 1512.03385; nin: 966,986 weights by hand from its table of channels
@pytest.mark.parametrize(
    ("name", "arguments", "published_millions", "digits"),
    [
        ("mobilenet_v1", {}, 4.2, 1),
        ("mobilenet_v1", {"width": 0.75}, 2.6, 1),
        ("mobilenet_v1", {"width": 0.25}, 0.5, 1),
        ("mobilenet_v2", {}, 3.50, 2),
        ("resnet18", {}, 11.69, 2),
        ("resnet34", {}, 21.80, 2),
        ("resnet50", {}, 25.56, 2),
        ("nin", {}, 0.97, 2),
        ("resnet_cifar", {"depth": 20}, 0.27, 2),
        ("resnet_cifar", {"depth": 32}, 0.46, 2),
        ("resnet_cifar", {"depth": 56}, 0.85, 2),
        ("resnet_cifar", {"depth": 110}, 1.7, 1),
    ],
)
def test_parameter_count_is_the_published_one(
    name: str, arguments: dict[str, object], published_millions: float, digits: int
) -> None:
    assert round(parameter_count(build(name, arguments)) / 1e6, digits) == published_millions


@pytest.mark.parametrize(
    ("name", "arguments", "size", "shape"),
    [
        ("mobilenet_v1", {"width": 0.25, "classes": 7}, 64, (2, 7)),
        ("mobilenet_v1", {"width": 0.25, "tf_padding": False, "in_channels": 1}, 64, (2, 1000)),
        ("mobilenet_v1_small", {"width": 0.25}, 32, (2, 10)),
        ("mobilenet_v2", {"width": 0.35, "classes": 5}, 64, (2, 5)),
        ("resnet18", {"classes": 4}, 64, (2, 4)),
        ("resnet50", {"classes": 4}, 64, (2, 4)),
        ("resnet_cifar", {"depth": 8, "classes": 3}, 32, (2, 3)),
        ("resnet_cifar", {"depth": 8, "shortcut": "B"}, 32, (2, 10)),
        ("nin", {"width": 0.05, "classes": 6}, 32, (2, 6)),
        ("nin", {"width": 0.05, "in_channels": 1, "weights": "scaled_sign", "activations": "sign"}, 32, (2, 10)),
    ],
)
def test_forward_gives_finite_logits(
    name: str, arguments: dict[str, object], size: int, shape: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    model = build(name, arguments)
    logits = model(torch.randn(2, int(arguments.get("in_channels", 3)), size, size))  # type: ignore[call-overload]
    assert tuple(logits.shape) == shape
    assert torch.isfinite(logits).all()
    assert not model.training


# figure 3 of arXiv 1803.08607: what stands after the depthwise convolution, and after all others
@pytest.mark.parametrize("name", ["mobilenet_v1", "mobilenet_v1_small"])
@pytest.mark.parametrize(
    ("arguments", "has_depthwise_bn", "depthwise", "elsewhere"),
    [
        ({}, True, nn.ReLU6, nn.ReLU6),
        ({"variant": "a"}, True, nn.ReLU6, nn.ReLU6),
        ({"variant": "b"}, False, nn.Identity, nn.ReLU6),
        ({"variant": "c"}, False, nn.Identity, nn.ReLU),
        ({"variant": "d"}, False, nn.Identity, nn.ReLU),
        ({"depthwise_bn": "no", "depthwise_activation": "no"}, False, nn.Identity, nn.ReLU6),
        ({"variant": "b", "activation": "relu", "depthwise_activation": "yes"}, False, nn.ReLU, nn.ReLU),
    ],
)
def test_variants_have_the_layers_of_the_source(
    name: str, arguments: dict[str, object], has_depthwise_bn: bool, depthwise: type, elsewhere: type
) -> None:
    model = build(name, {"width": 0.1, "classes": 2, **arguments})
    names = set(model.state_dict())
    published = set(build(name, {"width": 0.1, "classes": 2}).state_dict())
    assert names == {key for key in published if has_depthwise_bn or ".dw_bn." not in key}
    assert {"blocks.0.dw.weight", "blocks.0.pw_bn.running_mean", "bn1.weight", "fc.bias"} <= names
    assert type(model.get_submodule("act1")) is elsewhere
    for block in model.get_submodule("blocks").children():
        assert isinstance(block.get_submodule("dw_bn"), nn.BatchNorm2d) is has_depthwise_bn
        assert type(block.get_submodule("dw_act")) is depthwise
        assert type(block.get_submodule("pw_act")) is elsewhere


def test_variants_without_clamps_between_the_convolutions_compute_one_linear_map_there() -> None:
    torch.manual_seed(0)
    block = build("mobilenet_v1_small", {"width": 0.1, "variant": "c"}).get_submodule("blocks.0")
    x = torch.randn(1, 3, 8, 8)
    state = {name: value.double() for name, value in block.state_dict().items()}
    depthwise = nn.functional.conv2d(x.double(), state["dw.weight"], padding=1, groups=3)
    pointwise = torch.einsum("oc,nchw->nohw", state["pw.weight"][:, :, 0, 0], depthwise)
    expected = (pointwise / (1.0 + 1e-3) ** 0.5).clamp(min=0.0)
    torch.testing.assert_close(block(x).double(), expected, rtol=1e-5, atol=1e-6)


def test_tf_padding_pads_strided_convolutions_at_the_bottom_and_right() -> None:
    shifted = build("mobilenet_v1", {"width": 0.25, "classes": 2})
    centred = build("mobilenet_v1", {"width": 0.25, "classes": 2, "tf_padding": False})
    centred.load_state_dict(shifted.state_dict())
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    weight = shifted.state_dict()["conv1.weight"]
    bottom_right = nn.functional.conv2d(nn.functional.pad(x, (0, 1, 0, 1)), weight, stride=2)
    torch.testing.assert_close(shifted.get_submodule("conv1")(shifted.get_submodule("pad")(x)), bottom_right)
    all_round = nn.functional.conv2d(x, weight, stride=2, padding=1)
    torch.testing.assert_close(centred.get_submodule("conv1")(centred.get_submodule("pad")(x)), all_round)


def _logits_by_hand(state: dict[str, torch.Tensor], x: torch.Tensor, *, is_scaled: bool) -> torch.Tensor:
    """The binary NIN written out: its first and last convolution in float, every other one on signs."""

    def signed(values: torch.Tensor) -> torch.Tensor:
        return (values >= 0).to(values.dtype) * 2 - 1

    for i in range(9):
        weight, bias = state[f"c{i}.conv.weight"], state[f"c{i}.conv.bias"]
        x = signed(x) if i else x
        if 0 < i < 8:
            if is_scaled:
                weight = (weight - weight.mean(dim=1, keepdim=True)).clip(-1, 1)
                alpha = weight.abs().flatten(1).mean(dim=1).reshape(-1, 1, 1, 1)
                weight = signed(weight) * alpha
            else:
                weight = signed(weight)
        x = nn.functional.conv2d(x, weight, bias, padding=weight.shape[2] // 2)
        mean, variance = state[f"c{i}.bn.running_mean"], state[f"c{i}.bn.running_var"]
        x = (x - mean.view(-1, 1, 1)) / (variance.view(-1, 1, 1) + 1e-5).sqrt()
        x = x * state[f"c{i}.bn.weight"].view(-1, 1, 1) + state[f"c{i}.bn.bias"].view(-1, 1, 1)
        if i == 2:
            x = nn.functional.max_pool2d(x, 3, 2, 1)
        if i == 5:
            x = nn.functional.avg_pool2d(x, 3, 2, 1)
    return x.relu().mean((2, 3))


@pytest.mark.parametrize("weights", ["sign", "scaled_sign"])
def test_the_binary_nin_computes_on_signs_between_its_ends(weights: str) -> None:
    torch.manual_seed(1)
    model = build("nin", {"width": 0.05, "weights": weights, "activations": "sign"})
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = torch.randn_like(module.bias) / 4
            module.running_var = torch.rand_like(module.bias) + 0.5
            nn.init.normal_(module.bias)
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        expected = _logits_by_hand(model.state_dict(), x, is_scaled=weights == "scaled_sign")
        torch.testing.assert_close(model(x), expected, rtol=1e-4, atol=1e-4)


def test_gradients_of_the_binary_nin_stop_beyond_one() -> None:
    block = build("nin", {"width": 0.05, "weights": "sign", "activations": "sign"}).get_submodule("c1")
    weight = block.get_parameter("conv.weight")
    with torch.no_grad():
        weight[0], weight[1] = 0.5, 1.5
    block(torch.randn(2, weight.shape[1], 4, 4, generator=torch.Generator().manual_seed(0))).sum().backward()
    assert weight.grad is not None
    assert bool((weight.grad[0] != 0).any())
    assert not bool(weight.grad[1].any())


def test_arguments_are_read_from_texts() -> None:
    model = build(
        "mobilenet_v1",
        {"width": "0.25", "classes": "2", "activation": "relu", "conv_bias": "true", "depthwise_bn": "False"},
    )
    state = model.state_dict()
    assert state["fc.weight"].shape == (2, 256)
    assert "conv1.bias" in state
    assert "blocks.0.dw_bn.weight" not in state
    assert isinstance(model.get_submodule("act1"), nn.ReLU)


@pytest.mark.parametrize(
    ("name", "arguments", "message", "hint"),
    [
        ("mobilnet_v1", {}, "no network 'mobilnet_v1'", "mobilenet_v1"),
        ("zzz", {}, "no network 'zzz'", "give one of"),
        ("mobilenet_v1", {"widht": "0.5"}, "no argument 'widht'", "did you mean width?"),
        ("mobilenet_v1", {"activation": "relu7"}, "'relu7' is none of relu6, relu", "did you mean relu"),
        ("mobilenet_v1", {"variant": "e"}, "'e' is none of a, b, c, d", None),
        ("mobilenet_v1", {"conv_bias": "perhaps"}, "'perhaps' is none of", "true"),
        ("mobilenet_v1", {"depthwise_bn": "perhaps"}, "'perhaps' is none of", "true"),
        ("mobilenet_v1", {"width": "wide"}, "'wide' is not a number", None),
        ("mobilenet_v1", {"width": "-1"}, "-1.0 is not a finite number above 0", None),
        ("mobilenet_v1", {"width": "nan"}, "nan is not a finite number above 0", None),
        ("mobilenet_v1", {"bn_eps": 0.0}, "0.0 is not a finite number above 0", None),
        ("mobilenet_v2", {"classes": "0"}, "0 is not a whole number of at least 1", None),
        ("mobilenet_v2", {"classes": "2.5"}, "'2.5' is not a whole number", None),
        ("resnet_cifar", {"depth": 21}, "21 is not 6n + 2", "20"),
        ("resnet_cifar", {"shortcut": "C"}, "'C' is none of A, B", "A"),
        ("nin", {"weights": "signs"}, "'signs' is none of float, sign, scaled_sign", "did you mean sign"),
        ("nin", {"width": 0}, "0 is not a finite number above 0", None),
    ],
)
def test_refusals_say_what_would_do(name: str, arguments: dict[str, object], message: str, hint: str | None) -> None:
    with pytest.raises(ConfigError) as caught:
        build(name, arguments)
    assert message in caught.value.message
    assert caught.value.at
    if hint is not None:
        assert hint in (caught.value.hint or "")


def test_the_factories_refuse_by_themselves() -> None:
    with pytest.raises(ConfigError, match="classes"):
        ZOO["resnet50"](classes=0)
