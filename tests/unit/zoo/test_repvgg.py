"""RepVGG: published names and sizes, the settings, and both forms computing the same."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from qdiag.errors import ConfigError, LoadError
from qdiag.loaders.models.formats import load_subject
from qdiag.zoo import build
from qdiag.zoo.repvgg import SETTINGS, arguments_of_names

SMALL: dict[str, object] = {"width": 0.25, "classes": 3}


def with_statistics(setting: str) -> nn.Module:
    """A small network whose BatchNorms all do something."""
    torch.manual_seed(1)
    model = build("repvgg_small", {**SMALL, "setting": setting})
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
    return model


def deployed_state(state: dict[str, Tensor]) -> dict[str, np.ndarray]:
    """The formulas of both papers, written out in NumPy for every block of a training form."""
    values = {name: tensor.double().numpy() for name, tensor in state.items()}
    fused = {name: value for name, value in values.items() if name.startswith("linear.")}

    def norm(name: str) -> tuple[np.ndarray, np.ndarray]:
        gain = values[f"{name}.weight"] / np.sqrt(values[f"{name}.running_var"] + 1e-5)
        return gain, values[f"{name}.bias"] - gain * values[f"{name}.running_mean"]

    for dense in [name for name in values if name.endswith("rbr_dense.conv.weight")]:
        block = dense.removesuffix(".rbr_dense.conv.weight")
        gain, bias = norm(f"{block}.rbr_dense.bn")
        kernel = values[dense] * gain[:, None, None, None]
        channels, c_in = kernel.shape[:2]
        if f"{block}.rbr_1x1.conv.weight" in values:
            gain, more = norm(f"{block}.rbr_1x1.bn")
            kernel[:, :, 1, 1] += values[f"{block}.rbr_1x1.conv.weight"][:, :, 0, 0] * gain[:, None]
            bias = bias + more
        else:
            kernel[:, :, 1, 1] += values[f"{block}.rbr_1x1.weight"][:, :, 0, 0]
        if f"{block}.rbr_identity.weight" in values:
            gain, more = norm(f"{block}.rbr_identity")
            kernel[:, :, 1, 1] += np.diag(gain)
            bias = bias + more
        elif channels == c_in and block in ("stage1.0", "stage1.1", "stage2.1", "stage3.1"):
            kernel[:, :, 1, 1] += np.eye(channels)
        if f"{block}.bn.weight" in values:
            gain, more = norm(f"{block}.bn")
            kernel, bias = kernel * gain[:, None, None, None], bias * gain + more
        fused[f"{block}.rbr_reparam.weight"], fused[f"{block}.rbr_reparam.bias"] = kernel, bias
    return fused


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_deployed_form_computes_what_the_training_form_computes(setting: str) -> None:
    trained = with_statistics(setting)
    deployed = build("repvgg_small", {**SMALL, "form": "deployed"}).double()
    deployed.load_state_dict(
        {name: torch.from_numpy(value) for name, value in deployed_state(trained.state_dict()).items()}
    )
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(deployed(x), trained.double()(x), rtol=1e-9, atol=1e-9)


def test_names_are_those_of_the_published_checkpoints() -> None:
    names = set(build("repvgg_small", SMALL).state_dict())
    assert {
        "stage0.rbr_dense.conv.weight", "stage0.rbr_dense.bn.running_var", "stage0.rbr_1x1.conv.weight",
        "stage1.1.rbr_identity.weight", "linear.bias",
    } <= names  # fmt: skip
    assert not any(name.startswith(("stage0.rbr_identity", "stage2.0.rbr_identity")) for name in names)
    deployed = build("repvgg_small", {**SMALL, "form": "deployed"}).state_dict()
    assert {"stage0.rbr_reparam.weight", "stage3.1.rbr_reparam.bias"} <= set(deployed)
    s4 = set(build("repvgg_small", {**SMALL, "setting": "S4"}).state_dict())
    assert {"stage0.bn.weight", "stage0.rbr_1x1.weight"} <= s4
    assert not any("rbr_identity" in name for name in s4)


def test_sizes_of_a0_are_the_published_ones() -> None:
    """Parameters in millions, 8.30 deployed and cut off after two digits: table 4 of arXiv 2101.03697; 9.1 trained."""
    with torch.device("meta"):
        sizes = [
            sum(parameter.numel() for parameter in build("repvgg_a0", {"form": form}).parameters())
            for form in ("deployed", "training")
        ]
    assert sizes[0] // 10_000 == 830
    assert round(sizes[1] / 1e6, 1) == 9.1


@pytest.mark.parametrize(
    ("setting", "recognized"), [("S0", "S0"), ("S0'", "S0"), ("S1", "S0"), ("S2", "S2"), ("S3", "S3"), ("S4", "S4")]
)
def test_the_setting_is_told_by_the_names(setting: str, recognized: str) -> None:
    names = build("repvgg_small", {**SMALL, "setting": setting}).state_dict()
    assert arguments_of_names(names) == {"form": "training", "setting": recognized}


def test_names_of_other_networks_tell_nothing() -> None:
    assert arguments_of_names(build("resnet_cifar", {"depth": 8}).state_dict()) == {}


@pytest.mark.parametrize("wrapper", ["", "module."])
@pytest.mark.parametrize("arguments", [{"setting": "S4"}, {"form": "deployed"}])
def test_a_checkpoint_of_either_form_loads_without_being_told_which(
    tmp_path: Path, wrapper: str, arguments: dict[str, object]
) -> None:
    model = build("repvgg_small", {**SMALL, **arguments})
    torch.save({wrapper + name: value for name, value in model.state_dict().items()}, tmp_path / "net.pth")
    save_file(model.state_dict(), tmp_path / "net.safetensors")
    for file in ("net.pth", "net.safetensors"):
        loaded = load_subject(str(tmp_path / file), arch="zoo:repvgg_small?width=0.25&classes=3").model
        x = torch.randn(1, 3, 8, 8)
        torch.testing.assert_close(loaded(x), model(x), rtol=0.0, atol=0.0)


def test_a_form_that_was_asked_for_is_kept(tmp_path: Path) -> None:
    save_file(build("repvgg_small", SMALL).state_dict(), tmp_path / "net.safetensors")
    with pytest.raises(LoadError, match="rbr_reparam"):
        load_subject(str(tmp_path / "net.safetensors"), arch="zoo:repvgg_small?width=0.25&classes=3&form=deployed")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"setting": "S5"}, "'S5' is none of S0, S0', S1, S2, S3, S4"),
        ({"form": "fused"}, "'fused' is none of training, deployed"),
        ({"width": 0.0}, "0.0 is not a finite number above 0"),
        ({"in_channels": 0}, "0 is not a whole number of at least 1"),
    ],
)
def test_what_does_not_fit_is_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build("repvgg_small", arguments)
    assert message in caught.value.message
