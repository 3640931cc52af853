"""What `qdiag fold` finds: against the same figures by hand, and with a fold that is wrong on purpose."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from qdiag.batches import Datasets
from qdiag.capture import fold as capture_fold
from qdiag.config import load_scheme
from qdiag.core.measures.folding import BatchNormFold, ClampSite
from qdiag.core.scheme import QuantScheme
from qdiag.errors import ConfigError
from qdiag.loaders.data.sources import batches_from
from qdiag.pipeline.folding.clamps import worked_example
from qdiag.pipeline.folding.fold import FoldedNetwork, fold_network, folded_subject
from qdiag.simulate.session import open_session
from qdiag.subject import Subject


class Every(nn.Module):
    """A BatchNorm for each place that it may have, and an activation for each reason to share a quantizer or not."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.conv_bn = nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4)
        self.dw, self.dw_bn = nn.Conv2d(4, 4, 3, groups=4), nn.BatchNorm2d(4)
        self.across, self.after = nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1)
        self.up, self.up_bn = nn.ConvTranspose2d(4, 4, 2), nn.BatchNorm2d(4)
        self.padded_bn, self.padded = nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3, padding=1)
        self.free_bn = nn.BatchNorm2d(4)
        self.first_bn, self.fc, self.fc_bn = nn.BatchNorm1d(4), nn.Linear(4, 4), nn.BatchNorm1d(4)
        self.swish, self.tanh, self.relu6 = nn.Hardswish(), nn.Hardtanh(), nn.ReLU6()

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.conv_bn(self.conv(x)))
        x = torch.relu(self.dw_bn(self.dw(x)))
        x = self.after(self.across(x))
        x = self.tanh(self.up_bn(self.up(x)))
        x = self.swish(self.padded(self.padded_bn(x)))
        x = self.free_bn(x).mean((2, 3))
        y = self.fc_bn(self.fc(self.first_bn(x)))
        return torch.relu(y) + self.relu6(y)


def every() -> nn.Module:
    torch.manual_seed(0)
    network = Every().eval()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                assert module.running_mean is not None and module.running_var is not None
                module.running_mean.normal_(0.1, 0.3)
                module.running_var.uniform_(0.2, 3.0)
                module.weight.uniform_(-2.0, 2.0)
                module.bias.normal_(0.3, 0.5)
        network.get_parameter("up_bn.weight").mul_(4.0)
    return network


def images() -> Tensor:
    return torch.randn(12, 3, 10, 10, generator=torch.Generator().manual_seed(1))


def fold(network: nn.Module, scheme: QuantScheme, x: Tensor | None = None) -> FoldedNetwork:
    data = batches_from(images() if x is None else x)
    with open_session() as session:
        subject = Subject(network, "module", "net", "net")
        return fold_network(session, subject, Datasets(data, data, "the same"), scheme)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return every()


@pytest.fixture(scope="module")
def folded(network: nn.Module) -> FoldedNetwork:
    before = copy.deepcopy(network.state_dict())
    found = fold(network, load_scheme("tf-uint8"))
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), "the caller's network is left as it was"
    return found


@pytest.fixture(scope="module")
def seen(network: nn.Module) -> dict[str, Tensor]:
    """Outputs of all modules, by hooks."""
    outputs: dict[str, Tensor] = {}
    hooks = [
        module.register_forward_hook(lambda _m, _x, y, name=name: outputs.update({name: y.detach()}))  # type: ignore[misc]
        for name, module in network.named_modules()
    ]
    with torch.no_grad():
        network(images())
    for hook in hooks:
        hook.remove()
    return outputs


def norm(folded: FoldedNetwork, name: str) -> BatchNormFold:
    return next(found for found in folded.report.batchnorms if found.name == name)


def site(folded: FoldedNetwork, name: str) -> ClampSite:
    return next(found for found in folded.report.clamps if found.layer == name)


@pytest.mark.parametrize(
    ("name", "layer", "kind", "direction", "reads"),
    [
        ("conv_bn", "conv", "conv", "conv->bn", "conv2d"),
        ("dw_bn", "dw", "depthwise_conv", "conv->bn", "conv2d"),
        ("across", "after", "conv", "bn->conv", "relu"),
        ("up_bn", "up", "conv_transpose", "conv->bn", "conv_transpose2d"),
        ("first_bn", "fc", "linear", "bn->linear", "mean"),
        ("fc_bn", "fc", "linear", "linear->bn", "linear"),
    ],
)
def test_where_each_goes(folded: FoldedNetwork, name: str, layer: str, kind: str, direction: str, reads: str) -> None:
    found = norm(folded, name)
    assert found.is_folded and found.layer is not None
    assert (found.layer.name, found.layer.kind, found.layer.direction) == (layer, kind, direction)
    assert found.reads == reads


def test_what_stays_stays_with_its_reason(folded: FoldedNetwork) -> None:
    kept = {found.name: (found.kept, found.reads, found.readers) for found in folded.report.kept}
    assert kept == {
        "padded_bn": (
            "the convolution after it pads with zeros, which the shift would have to follow",
            "hardtanh",
            ("conv2d",),
        ),
        "free_bn": ("what comes before it is neither a convolution nor a linear layer", "hardswish", ("mean",)),
    }
    assert all(math.isnan(found.max_abs_delta) for found in folded.report.kept)


@pytest.mark.parametrize(("conv", "bn", "is_transposed"), [("conv", "conv_bn", False), ("up", "up_bn", True)])
def test_weights_are_those_of_torch(
    network: nn.Module, folded: FoldedNetwork, conv: str, bn: str, is_transposed: bool
) -> None:
    layer, batchnorm = network.get_submodule(conv), network.get_submodule(bn)
    weight, _ = fuse_conv_bn_weights(
        *(layer.weight, layer.bias, batchnorm.running_mean, batchnorm.running_var, batchnorm.eps),  # type: ignore[arg-type]
        *(batchnorm.weight, batchnorm.bias),  # type: ignore[arg-type]
        transpose=is_transposed,
    )
    found = norm(folded, bn)
    assert found.folded_max_abs == pytest.approx(float(weight.detach().abs().max()), rel=1e-6)
    gain = (batchnorm.weight.detach().double() / (batchnorm.running_var.double() + batchnorm.eps).sqrt()).abs()  # type: ignore[operator,union-attr]
    assert (found.gain_min_abs, found.gain_max_abs) == pytest.approx((float(gain.min()), float(gain.max())))
    assert found.weight_max_abs == float(layer.weight.detach().abs().max())  # type: ignore[operator,union-attr]


def test_the_float_output_stays_up_to_rounding(folded: FoldedNetwork) -> None:
    (output,) = folded.report.outputs
    assert output.name == "output"
    assert 0.0 < output.relative_delta < 1e-5
    assert all(0.0 <= found.relative_delta < 1e-5 for found in folded.report.folded)


def test_both_batchnorms_of_one_layer_are_compared_at_its_end(folded: FoldedNetwork, seen: dict[str, Tensor]) -> None:
    first, second = norm(folded, "first_bn"), norm(folded, "fc_bn")
    assert first.max_abs_delta == second.max_abs_delta > 0.0
    scale = float(seen["fc_bn"].abs().max())
    assert first.relative_delta == pytest.approx(first.max_abs_delta / scale, rel=1e-4)


def test_a_fold_that_is_wrong_shows_at_its_layer_and_at_the_output(
    network: nn.Module, seen: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights of transposed convolutions come out a tenth too large: that layer alone is off."""
    right = capture_fold.fold_after

    def wrong(weight: Tensor, bias: Tensor | None, affine: object, *, output_axis: int, groups: int = 1) -> object:
        made, constant = right(weight, bias, affine, output_axis=output_axis, groups=groups)  # type: ignore[arg-type]
        return (1.1 * made if output_axis else made), constant

    monkeypatch.setattr(capture_fold, "fold_after", wrong)
    monkeypatch.setattr("qdiag.pipeline.begin.prepare", _prepared_before(monkeypatch, right))
    found = fold(network, load_scheme("tf-uint8"))
    off = {one.name: one.relative_delta for one in found.report.folded if one.relative_delta > 1e-5}
    assert set(off) == {"up_bn"}
    batchnorm = network.get_submodule("up_bn")
    with torch.no_grad():
        own = network.get_submodule("up").bias
        gain = batchnorm.weight / (batchnorm.running_var + batchnorm.eps).sqrt()  # type: ignore[operator]
        constant = gain * (own - batchnorm.running_mean) + batchnorm.bias  # type: ignore[operator]
        linear = seen["up_bn"] - constant.reshape(1, -1, 1, 1)
        expected = float((0.1 * linear).abs().max() / seen["up_bn"].abs().max())
    assert off["up_bn"] == pytest.approx(expected, rel=1e-3)
    assert found.report.relative_delta > 1e-4


def _prepared_before(monkeypatch: pytest.MonkeyPatch, right: object) -> object:
    """The run itself folds rightly, so that the fault is in the comparison alone."""
    from qdiag.pipeline.preparation.prepare import prepare

    def prepared(*args: object, **kwargs: object) -> object:
        with monkeypatch.context() as patched:
            patched.setattr(capture_fold, "fold_after", right)
            return prepare(*args, **kwargs)  # type: ignore[arg-type]

    return prepared


def test_which_activations_share_a_quantizer(folded: FoldedNetwork) -> None:
    rows = {found.layer: (found.operation, found.activation, found.is_shared) for found in folded.report.clamps}
    assert rows == {
        "conv": ("conv2d", "relu", True),
        "dw": ("conv2d", "relu", True),
        "up": ("conv_transpose2d", "hardtanh", True),
        "swish": ("conv2d", "hardswish", False),
        "clamp": ("linear", "relu", False),
        "relu6": ("linear", "relu6", False),
    }
    assert "no clamp" in (site(folded, "swish").reason or "")
    assert "the linear before it is also read elsewhere" in (site(folded, "relu6").reason or "")


@pytest.mark.parametrize("layer", ["conv", "up"])
def test_ranges_are_those_before_and_after_the_clamp(
    folded: FoldedNetwork, seen: dict[str, Tensor], layer: str
) -> None:
    found = site(folded, layer)
    values = seen[f"{layer}_bn"].double().numpy()
    assert found.bounds is not None and found.between is not None and found.quantizer is not None
    width_before = max(values.max(), 0.0) - min(values.min(), 0.0)
    clamped = np.clip(values, *found.bounds)
    width = max(clamped.max(), 0.0) - min(clamped.min(), 0.0)
    assert found.between.scale == pytest.approx(width_before / 255, rel=1e-5)
    assert found.quantizer.scale == pytest.approx(width / 255, rel=1e-5)
    assert found.step_over_shared == pytest.approx(width_before / width, rel=1e-5)
    assert found.step_over_shared > 1.0


def test_the_folded_network_is_a_program_without_these_batchnorms(network: nn.Module, folded: FoldedNetwork) -> None:
    with open_session() as session:
        made = folded_subject(session, folded)
    names = set(made.model.state_dict)  # type: ignore[arg-type]
    assert {"conv.weight", "conv.bias", "fc.bias", "padded_bn.running_var"} <= names
    assert not any(name.startswith(("conv_bn", "dw_bn", "across", "up_bn", "first_bn", "fc_bn")) for name in names)
    x = images()[:5]
    with torch.no_grad():
        torch.testing.assert_close(made.model.module()(x), network(x), rtol=1e-4, atol=1e-5)  # type: ignore[operator]


def test_a_part_of_a_network_is_not_written(folded: FoldedNetwork) -> None:
    part = replace(folded, subject=replace(folded.subject, submodule="conv"))
    with open_session() as session, pytest.raises(ConfigError, match="a part of a network"):
        folded_subject(session, part)


def _small() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.Hardtanh()).eval()


@pytest.mark.parametrize(
    ("scheme", "overrides", "reasons", "free"),
    [
        ("tf-uint8", ("activations.bits=32",), ["the scheme leaves activations in float"] * 2, [None, None]),
        ("mxfp8", (), ["numbers of this format are rounded in blocks where they are read"] * 2, [None, None]),
        ("tf-uint8", ('float_layers=["0"]',), [None, None], [True, True]),
        ("tensorrt-int8", (), [None, None], [False, True]),  # signed and symmetric, as the hard tanh is
    ],
)
def test_the_scheme_decides(
    scheme: str, overrides: tuple[str, ...], reasons: list[str | None], free: list[bool | None]
) -> None:
    found = fold(_small(), load_scheme(scheme, overrides)).report
    assert [one.layer for one in found.clamps] == ["0", "3"]
    for one, reason, is_free in zip(found.clamps, reasons, free, strict=True):
        assert one.is_shared is (reason is None)
        assert (one.reason or "").startswith(reason or "")
        assert one.is_free is is_free


def test_a_scheme_without_folding_is_told(folded: FoldedNetwork) -> None:
    assert folded.report.notes == ()
    found = fold(_small(), replace(load_scheme("tf-uint8"), fold_batchnorm=False)).report
    (note,) = found.notes
    assert "leaves BatchNorms as they are" in note
    assert [one.layer for one in found.clamps] == ["1", "3"], "the first ReLU follows the BatchNorm"
    assert [one.name for one in found.folded] == ["1"]


def test_the_worked_example_is_the_arithmetic_of_the_source() -> None:
    """-0.5 under scale and zero point of [-1, 1] and of [0, 1], in float32 as backends store them."""
    example = worked_example()
    for found, low in ((example.before, -1.0), (example.after, 0.0)):
        scale = np.float32((1.0 - low) / 255)
        zero_point = int(np.clip(np.round(0 - low / np.float64(scale)), 0, 255))
        code = int(np.clip(np.round(np.float32(-0.5) / scale) + zero_point, 0, 255))
        assert found.quantizer.scale == pytest.approx(float(scale))
        assert (found.quantizer.zero_point, found.code) == (zero_point, code)
        assert found.value == pytest.approx((code - zero_point) * float(scale))
    assert (example.before.code, example.after.code, example.after.value) == (63, 0, 0.0)
    assert example.before.value == pytest.approx(-0.50196, abs=1e-5)
    lost = sum(value < 0.0 for value in example.before.quantizer.values())
    assert example.idle_codes == lost == 127
