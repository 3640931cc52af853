"""Faults of the graph: tensors that must share a quantizer and should not (QD4xx)."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from qdiag.core.scheme import LayerOverride, QuantScheme, TensorChange
from tests.planted.fault import planted, scheme
from tests.planted.networks import Chain, build, fit_classifier, settle

INT8 = scheme(8, 8, per_channel=True)


class Detector(Chain):
    """Boxes and scores in one output tensor, as detection networks give them; only the scores are looked at."""

    def __init__(self, image_size: float) -> None:
        super().__init__()
        self.boxes = nn.Linear(96, 4)
        self.image_size = image_size

    def forward(self, x: Tensor) -> Tensor:
        features = self.features(x)
        boxes = self.image_size * self.boxes(features).sigmoid()
        return torch.cat([boxes, self.fc(features).sigmoid()], 1)[:, 4:]


class Residual(Chain):
    """A wide skip, the same in all channels, and a branch that is narrow beside it; the head cancels the skip."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.gain = gain

    def features(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        total = self.gain * x[:, :1, 1:-1, 1:-1] + self.body(x)
        return self.pool(self.head(total)).flatten(1)


def residual(gain: float) -> Chain:
    model = build(lambda: Residual(gain))
    with torch.no_grad():
        model.head[0].weight -= model.head[0].weight.mean(1, keepdim=True)
    return settle(model)


class SharedSum(Chain):
    """What comes before the body's ReLU is read a second time, so it gets a quantizer of its own."""

    def __init__(self, is_shared: bool) -> None:
        super().__init__()
        self.is_shared = is_shared

    def features(self, x: Tensor) -> Tensor:
        before = self.body[0](self.stem(x))
        x = self.pool(self.head(self.body[1](before))).flatten(1)
        if self.is_shared:
            x = x + 0.001 * before.amax((1, 2, 3)).unsqueeze(1)
        return x


def shared_sum(is_shared: bool) -> Chain:
    """Two channels of the body lie far below zero, where the ReLU ends them."""
    model = settle(build(lambda: SharedSum(is_shared)))
    with torch.no_grad():
        model.body[0].bias[:2] -= 400.0
    return fit_classifier(model)


class Gated(Chain):
    """The body's channels are weighted by a gate that is computed from their means."""

    def __init__(self) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(16, 4, 1)
        self.excite = nn.Conv2d(4, 16, 1)

    def features(self, x: Tensor) -> Tensor:
        x = self.body(self.stem(x))
        gate = self.excite(self.squeeze(nn.functional.adaptive_avg_pool2d(x, 1)).relu()).sigmoid()
        return self.pool(self.head(x * gate)).flatten(1)


def gated() -> Chain:
    model = build(Gated)
    with torch.no_grad():
        model.excite.weight *= 0.3
    return settle(model)


def small_gates() -> Chain:
    """One gate is open, to nothing; the others let a 600th through, half a step, of channels 512 times as wide."""
    model = gated()
    with torch.no_grad():
        others = torch.arange(16) != 3
        for tensor in model.body[0].parameters():
            tensor[others] *= 512.0
            tensor[3] = 0.0
        model.squeeze.weight /= 512.0
        model.excite.bias.copy_(torch.where(others, -6.4, 1.0))
    return fit_classifier(model)


def coarse(layer: str, bits: int) -> QuantScheme:
    """A backend that gives one layer's weights fewer bits than the others."""
    return replace(INT8, layers=(LayerOverride(layer, weights=TensorChange(bits=bits)),))


def plain() -> Chain:
    return settle(build())


def two_sided() -> Chain:
    """Features without a mean, so that rounding of the classifier's weights shifts none."""
    return settle(build(lambda: Chain(activation=lambda: nn.Hardtanh(-4.0, 4.0))))


FAULTS = (
    planted("coarse_stem", "QD405", plain, coarse("stem.0", 2), ("stem.0",), twin_scheme=INT8),
    planted("coarse_classifier", "QD406", two_sided, coarse("fc", 2), ("fc",), twin_scheme=INT8),
    planted(
        "concat", "QD401", lambda: settle(build(lambda: Detector(675.0))), INT8, ("concat",),
        twin=lambda: settle(build(lambda: Detector(1.0))),
    ),
    planted("add", "QD402", lambda: residual(300.0), scheme(16, 8), ("add",), twin=lambda: residual(1.0)),
    planted("shared_sum", "QD403", lambda: shared_sum(True), INT8, ("body.0",), twin=lambda: shared_sum(False)),
    planted("gate", "QD404", small_gates, INT8, ("sigmoid",), twin=gated),
)  # fmt: skip
