"""Every figure of the paired pass against a network quantized by hand, with torch's own fake-quantize and numpy."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import qdiag
from qdiag.core.measures.error_sums import ErrorSums
from qdiag.core.scheme import QuantScheme, TensorScheme


class Net(nn.Module):
    """Conv + BN + ReLU6, depthwise conv + BN + ReLU, residual add, average pooling, linear."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1, bias=False)
        self.stem_bn = nn.BatchNorm2d(6)
        self.dw = nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.dw_bn = nn.BatchNorm2d(6)
        self.pool = nn.AvgPool2d(2)
        self.fc = nn.Linear(6 * 16, 5)

    def forward(self, x: Tensor) -> Tensor:
        a = F.relu6(self.stem_bn(self.stem(x)))
        b = F.relu(self.dw_bn(self.dw(a)))
        y: Tensor = self.fc(self.pool(a + b).flatten(1))
        return y


def trained(seed: int = 0) -> Net:
    torch.manual_seed(seed)
    net = Net()
    with torch.no_grad():
        for bn in (net.stem_bn, net.dw_bn):
            bn.weight.uniform_(0.5, 2.0)
            bn.bias.normal_(0.3, 0.5)
            bn.running_mean.normal_(0, 0.3)
            bn.running_var.uniform_(0.3, 2.0)
    return net.eval()


def folded(conv: nn.Conv2d, bn: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    gain = bn.weight / torch.sqrt(bn.running_var + bn.eps)
    bias = conv.bias if conv.bias is not None else torch.zeros(len(gain))
    return (conv.weight * gain.view(-1, 1, 1, 1)).detach(), (bn.bias + gain * (bias - bn.running_mean)).detach()


class ByHand:
    """Uint8 per tensor, min-max, int32 bias: calibrated on one set, run on another."""

    def __init__(self, net: Net, calibration: Tensor) -> None:
        self.stem, self.stem_bias = folded(net.stem, net.stem_bn)
        self.dw, self.dw_bias = folded(net.dw, net.dw_bn)
        self.fc, self.fc_bias = net.fc.weight.detach(), net.fc.bias.detach()
        float_run = self.run(calibration)
        self.scales = {name: self.affine(value) for name, value in float_run.items()}
        self.scales["pool"] = self.scales["add"]

    @staticmethod
    def affine(x: Tensor) -> tuple[float, int]:
        low, high = min(float(x.min()), 0.0), max(float(x.max()), 0.0)
        scale = float(np.float32((high - low) / 255))
        return scale, int(np.clip(np.rint(-low / scale), 0, 255))

    def q(self, name: str, x: Tensor) -> Tensor:
        scale, zero = self.scales[name]
        return torch.fake_quantize_per_tensor_affine(x, scale, zero, 0, 255)

    def weight(self, w: Tensor) -> Tensor:
        scale, zero = self.affine(w)
        return torch.fake_quantize_per_tensor_affine(w, scale, zero, 0, 255)

    def bias(self, b: Tensor, source: str, w: Tensor) -> Tensor:
        step = self.scales[source][0] * self.affine(w)[0]
        return (torch.round(b.double() / step) * step).float()

    def run(self, x: Tensor) -> dict[str, Tensor]:
        a = F.relu6(F.conv2d(x, self.stem, self.stem_bias, padding=1))
        b = F.relu(F.conv2d(a, self.dw, self.dw_bias, padding=1, groups=6))
        c = a + b
        d = F.avg_pool2d(c, 2)
        return {"x": x, "stem": a, "dw": b, "add": c, "pool": d, "fc": F.linear(d.flatten(1), self.fc, self.fc_bias)}

    def layer(self, name: str, values: dict[str, Tensor]) -> Tensor:
        """One quantized layer on the given (already quantized) inputs."""
        if name == "x":
            return self.q("x", values["x"])
        if name == "stem":
            bias = self.bias(self.stem_bias, "x", self.stem)
            return self.q("stem", F.relu6(F.conv2d(values["x"], self.weight(self.stem), bias, padding=1)))
        if name == "dw":
            bias = self.bias(self.dw_bias, "stem", self.dw)
            return self.q("dw", F.relu(F.conv2d(values["stem"], self.weight(self.dw), bias, padding=1, groups=6)))
        if name == "add":
            return self.q("add", values["stem"] + values["dw"])
        if name == "pool":
            return self.q("pool", F.avg_pool2d(values["add"], 2))
        bias = self.bias(self.fc_bias, "pool", self.fc)
        return self.q("fc", F.linear(values["pool"].flatten(1), self.weight(self.fc), bias))


NAMES = {"x": "input:x", "stem": "stem", "dw": "dw", "add": "add", "pool": "pool", "fc": "fc"}


def check(actual: ErrorSums, reference: Tensor, simulated: Tensor) -> None:
    r, s = reference.double().numpy(), simulated.double().numpy()
    e = s - r
    assert actual.count == r.size
    # torch's kernel multiplies by 1/scale: a few values half-way between integers fall the other way
    assert actual.sqnr_db == pytest.approx(10 * np.log10((r**2).sum() / (e**2).sum()), abs=0.05)
    assert actual.mse == pytest.approx((e**2).mean(), rel=0.02)
    assert actual.mean_shift == pytest.approx(e.mean(), abs=0.05 * np.sqrt((e**2).mean()))
    assert actual.max_abs_error == pytest.approx(np.abs(e).max(), rel=0.2)


@pytest.fixture(scope="module")
def case() -> tuple[Net, Tensor, Tensor, qdiag.Measurement]:
    net = trained()
    generator = torch.Generator().manual_seed(1)
    calibration = torch.randn(6, 3, 8, 8, generator=generator)
    images = torch.randn(10, 3, 8, 8, generator=generator) * 1.3
    scheme = QuantScheme(
        weights=TensorScheme(symmetric=False, signed=False), activations=TensorScheme(symmetric=False, signed=False)
    )
    return net, calibration, images, qdiag.measure(net, images, scheme=scheme, calibration=calibration)


@pytest.mark.parametrize("name", NAMES)
def test_propagated_error(name: str, case: tuple[Net, Tensor, Tensor, qdiag.Measurement]) -> None:
    net, calibration, images, result = case
    hand = ByHand(net, calibration)
    values = {"x": images}
    for layer in NAMES:
        values[layer] = hand.layer(layer, values)
    check(result.record(NAMES[name]).propagated, hand.run(images)[name], values[name])


@pytest.mark.parametrize("name", NAMES)
def test_local_error(name: str, case: tuple[Net, Tensor, Tensor, qdiag.Measurement]) -> None:
    """The layer alone: reference inputs, quantized; quantized weight; quantized output."""
    net, calibration, images, result = case
    hand = ByHand(net, calibration)
    reference = hand.run(images)
    quantized = {layer: hand.q(layer, value) for layer, value in reference.items()}
    quantized["x"] = images if name == "x" else quantized["x"]
    check(result.record(NAMES[name]).local, reference[name], hand.layer(name, quantized))


def test_quantizers_clipping_and_expectation(case: tuple[Net, Tensor, Tensor, qdiag.Measurement]) -> None:
    net, calibration, images, result = case
    hand = ByHand(net, calibration)
    reference = hand.run(images)
    for name, shown in NAMES.items():
        record = result.record(shown)
        scale, zero = hand.scales[name]
        assert record.quantizer is not None
        assert record.quantizer.scale == pytest.approx(scale, rel=1e-6)
        assert record.quantizer.zero_point == zero
        integers = np.rint(reference[name].double().numpy() / scale) + zero
        clipped = int(((integers < 0) | (integers > 255)).sum())
        assert abs(record.clipped_count - clipped) <= 2
        power = float(reference[name].double().square().mean())
        span = record.quantizer.range_max - record.quantizer.range_min
        expected = 10 * math.log10(power) + 20 * math.log10(255 / span) + 10 * math.log10(12)
        assert record.expected_sqnr_db == pytest.approx(expected, abs=1e-4)
    assert result.record("input:x").clipped_count > 0, "the measured images are wider than the calibration ones"
    assert result.record("pool").quantizer is not None
    assert result.record("pool").quantizer.shared_with == "add"


def test_weights(case: tuple[Net, Tensor, Tensor, qdiag.Measurement]) -> None:
    net, _, _, result = case
    weight, _ = folded(net.dw, net.dw_bn)
    record = result.record("dw").weight
    assert record is not None
    scale, zero = ByHand.affine(weight)
    simulated = torch.fake_quantize_per_tensor_affine(weight, scale, zero, 0, 255)
    check(record.error, weight, simulated)
    rows, noise = weight.flatten(1).double(), (simulated - weight).flatten(1).double()
    channels = 10 * np.log10((rows.square().sum(1) / noise.square().sum(1)).numpy())
    assert record.channel_sqnr_db_median == pytest.approx(np.median(channels), abs=1e-3)
    assert record.channel_sqnr_db_min == pytest.approx(channels.min(), abs=1e-3)


def test_result_does_not_depend_on_the_batch_size() -> None:
    net = trained(3)
    images = torch.randn(12, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    results = [qdiag.measure(net, list(images.split(size)), scheme="tf-uint8") for size in (1, 4, 5, 12)]
    for other in results[1:]:
        for a, b in zip(results[0].records, other.records, strict=True):
            assert a.local.count == b.local.count
            assert a.quantizer is not None
            assert b.quantizer is not None
            assert a.quantizer.zero_point == b.quantizer.zero_point
            # convolutions of another batch size add in another order: one unit in the last place of a range
            assert b.quantizer.scale == pytest.approx(a.quantizer.scale, rel=1e-6)
            assert b.local.sqnr_db == pytest.approx(a.local.sqnr_db, abs=0.02)
            assert b.propagated.sqnr_db == pytest.approx(a.propagated.sqnr_db, abs=0.05)


def test_the_model_is_left_exactly_as_it_was() -> None:
    net = trained(4).train()
    net.dw.eval()
    state = {name: value.clone() for name, value in net.state_dict().items()}
    flags = [module.training for module in net.modules()]
    images = torch.randn(6, 3, 8, 8)
    kept = images.clone()
    qdiag.measure(net, images, scheme="tf-uint8", with_losses=True)
    qdiag.ranges(net, images)
    assert [module.training for module in net.modules()] == flags
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in net.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())
    assert torch.equal(images, kept)
