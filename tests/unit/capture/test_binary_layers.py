"""Layers that are binary already are measured as binary, however `forward` writes the sign."""

import copy
import math
import warnings

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import qdiag
from qdiag.batches import Batch
from qdiag.capture.capture import capture
from qdiag.capture.fold import FoldResult, fold_batchnorms
from qdiag.capture.layers import group_layers
from qdiag.capture.rewrites.computed import fold_computed
from qdiag.core.graph import Layer
from qdiag.errors import CaptureError
from qdiag.subject import Subject
from tests.networks.binary import SPELLINGS, Functions, PlainSign, scaled_signs

X = torch.randn(12, 4, 7, 7, generator=torch.Generator().manual_seed(0))


def folded(model: nn.Module, x: Tensor = X) -> FoldResult:
    program = capture(Subject(model.eval(), "module", "m", "m"), Batch((x[:2],)))
    return fold_batchnorms(fold_computed(program))


def layer_of(model: nn.Module, x: Tensor = X) -> tuple[Layer, Tensor]:
    """The only layer with a weight, and that weight."""
    program = folded(model, x).program
    (layer,) = [layer for layer in group_layers(program).layers if layer.weight is not None]
    return layer, program.constants[layer.weight or ""]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_is_one_sign_and_one_binary_convolution(spelling: type[PlainSign]) -> None:
    torch.manual_seed(0)
    model = spelling().eval()
    before = copy.deepcopy(model.state_dict())
    expected = model.binary_weight().detach()
    result = qdiag.measure(model, X)
    sign, conv = result.records[1:]
    assert [record.kind for record in result.records] == ["input", "sign", "conv"]
    assert (sign.inputs, sign.ops) == (("input:x",), ("sign",))
    assert sign.quantizer is not None and (sign.quantizer.type, sign.quantizer.bits) == ("binary", 1)
    assert sign.local.sqnr_db == math.inf or sign.local.max_abs_error == 2.0  # only rounding of the input moves a sign
    weight = conv.weight
    assert weight is not None and weight.quantizer is not None
    assert (weight.own_format, weight.bits, weight.quantizer.type) == ("binary", 1, "binary")
    assert weight.error.sqnr_db == math.inf  # no trace of the float weights
    assert (weight.min, weight.max) == pytest.approx((float(expected.min()), float(expected.max())), rel=1e-6)
    assert weight.error.reference_sq_sum == pytest.approx(float(expected.double().square().sum()), rel=1e-6)
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not vars(model.weight)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_weight_is_the_one_that_forward_computes(spelling: type[PlainSign]) -> None:
    torch.manual_seed(0)
    model = spelling().eval()
    expected = model.binary_weight().detach()
    layer, weight = layer_of(model)
    assert (layer.weight_format, layer.weight_name) == ("binary", "weight")
    torch.testing.assert_close(weight, expected)


class Normed(nn.Module):
    """A binary convolution between two BatchNorms."""

    def __init__(self, *, is_signed: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.is_signed = is_signed
        self.before, self.conv, self.after = nn.BatchNorm2d(4), nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6)
        for norm in (self.before, self.after):
            with torch.no_grad():
                norm.weight.uniform_(-2.0, 2.0)
                norm.bias.normal_()
                norm.running_mean.normal_()
                norm.running_var.uniform_(0.2, 3.0)

    def forward(self, x: Tensor) -> Tensor:
        x = self.before(x)
        y: Tensor = self.after(
            F.conv2d(x.sign() if self.is_signed else x, scaled_signs(self.conv.weight), self.conv.bias)
        )
        return y


def test_a_norm_behind_goes_into_the_magnitudes_and_the_bias() -> None:
    model = Normed(is_signed=True)
    layer, weight = layer_of(model)
    assert layer.weight_format == "binary" and layer.ops == ("conv2d", "batch_norm")
    gain = (model.after.weight / (model.after.running_var + model.after.eps).sqrt()).detach()
    alpha = model.conv.weight.detach().abs().flatten(1).mean(1)
    torch.testing.assert_close(weight.abs().flatten(1), (alpha * gain.abs())[:, None].expand(6, 36))
    conv = qdiag.measure(model, X).record("conv")
    assert conv.weight is not None
    assert (conv.weight.own_format, conv.weight.error.sqnr_db) == ("binary", math.inf)


def test_a_norm_before_stays_where_weights_would_no_longer_be_binary() -> None:
    found = folded(Normed(is_signed=False))
    assert [norm.norm for norm in found.folded] == ["after"]
    assert [(kept.name, kept.reason) for kept in found.kept] == [
        ("before", "the weights of the layer beside it are binary, and would not stay so")
    ]
    assert found.pairs[0].reason == found.kept[0].reason
    assert [x.weight_format for x in group_layers(found.program).layers if x.weight] == ["binary"]


def test_ternary_weights_are_kept_too() -> None:
    class Ternary(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            threshold = 0.7 * self.weight.abs().mean((1, 2, 3), keepdim=True)
            return F.conv2d(x, torch.sign(self.weight) * (self.weight.abs() > threshold).float() * 0.3, self.bias)

    torch.manual_seed(0)
    record = qdiag.measure(Ternary(4, 6, 3).eval(), X).records[-1]
    assert record.weight is not None
    assert (record.weight.own_format, record.weight.bits) == ("ternary", 2)
    assert record.weight.error.sqnr_db == math.inf


def stored(weight: Tensor) -> nn.Conv2d:
    conv = nn.Conv2d(weight.shape[1], weight.shape[0], tuple(weight.shape[2:]))
    with torch.no_grad():
        conv.weight.copy_(weight)
    return conv.eval()


SIGNS = torch.where(torch.rand(6, 4, 3, 3, generator=torch.Generator().manual_seed(1)) < 0.5, 1.0, -1.0)


def test_stored_signs_are_weights_that_the_scheme_quantizes() -> None:
    """An int8 backend adds them up as any other, and its narrow sums saturate."""
    alpha = torch.arange(1.0, 7.0).view(-1, 1, 1, 1)
    assert layer_of(stored(alpha * SIGNS))[0].weight_format is None
    assert layer_of(nn.Conv2d(4, 6, 3))[0].weight_format is None


def test_weights_in_float_and_layers_in_float_stay_so() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(PlainSign(), nn.Conv2d(6, 3, 1)).eval()
    by_request = qdiag.measure(model, X, scheme=qdiag.load_scheme("int8", ["float_layers=['0']"]))
    assert by_request.record("0").weight is None
    in_float = qdiag.measure(model, X, scheme=qdiag.load_scheme("w32a8"))
    assert in_float.record("0").weight is None


def test_zeros_become_one_where_the_sign_of_zero_is_none() -> None:
    """`torch.sign(0)` is 0; one bit has no place for it."""
    x = torch.where(X < 0, -1.0, 1.0)
    x[:, 0] = 0.0
    sign = qdiag.measure(PlainSign().eval(), x).record("sign")
    assert sign.local.max_abs_error == 1.0
    assert sign.local.error_sq_sum == x[:, 0].numel()


def test_what_only_signs_read_is_not_rounded() -> None:
    """Two binary convolutions on signs are exact: the second sign is taken of the sums themselves."""

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = Normed(is_signed=True), PlainSign()
            self.b.weight = nn.Parameter(torch.randn(3, 6, 3, 3))
            self.b.bias = nn.Parameter(torch.randn(3))

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.b(self.a(x))
            return y

    x = torch.where(X < 0, -1.0, 1.0)
    model = Two().eval()
    model.a.before = nn.Identity()
    result = qdiag.measure(model, x)
    assert result.record("a.conv").quantizer is None
    assert result.record("b.sign").local.sqnr_db == result.record("b.sign").propagated.sqnr_db == math.inf
    last = result.record("b").quantizer
    assert last is not None and last.bits == 8  # what the network returns is rounded


def test_the_mean_of_signs_has_steps_of_its_own() -> None:
    class Pooled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(4, 3, 1)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.conv(F.avg_pool2d(torch.sign(x), 3))
            return y

    pooled = qdiag.measure(Pooled().eval(), X).record("pool")
    assert pooled.quantizer is not None
    assert (pooled.quantizer.bits, pooled.quantizer.shared_with) == (8, None)


def test_a_mean_that_only_a_sign_reads_is_not_rounded() -> None:
    class Averaged(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.before, self.conv = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 3, 1)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.conv(torch.sign(F.avg_pool2d(self.before(x), 3)))
            return y

    result = qdiag.measure(Averaged().eval(), X)
    assert result.record("before").quantizer is not None
    assert result.record("pool").quantizer is None


def test_a_trace_that_calls_python_is_refused() -> None:
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing is deprecated, and in use
        traced = torch.jit.trace(Functions().eval(), X, check_trace=False)  # type: ignore[no-untyped-call]
    with pytest.raises(CaptureError, match="calls Python code, such as an autograd function"):
        qdiag.measure(traced, X)
