"""Faults of BatchNorm (QD3xx), and the two that only look like one."""

import torch
from torch import nn
from torch.export import Dim, ExportedProgram

from tests.planted.fault import Network, planted, scheme
from tests.planted.networks import DATA, Chain, build, fit_classifier, rescale, settle

EPS = 1e-3
DEAD = (2, 5, 9)


def normalized(width: int = 16) -> Chain:
    """Depthwise separable, with BatchNorm."""
    return build(lambda: Chain(norm=lambda c: nn.BatchNorm2d(c, eps=EPS), depthwise=True, width=width))


def healthy() -> Chain:
    return settle(normalized())


def _constant_inputs(model: Chain, channels: tuple[int, ...]) -> Chain:
    """The depthwise filters of these channels see a constant: their BatchNorm's variance is zero."""
    with torch.no_grad():
        model.stem[1].weight[list(channels)] = 0.0
        model.stem[1].bias[list(channels)] = 1.0
    return settle(model)


def dead_channels() -> Chain:
    """Their gain is 1 / sqrt(eps), sixty times that of the others."""
    return _constant_inputs(normalized(), DEAD)


def harmless_dead_channels() -> Chain:
    """Many dead channels whose weights decayed with their variance, as in a MobileNetV1 for visual wake words."""
    model = normalized(width=40)
    with torch.no_grad():
        model.body[0].weight[:24] *= 1e-3
    return _constant_inputs(model, tuple(range(24)))


def tiny_weight() -> Chain:
    """As in a published InceptionV3: variance 1e-14, weights 3e-10, gamma 32 times the others; gain about 1,000."""
    model = healthy()
    with torch.no_grad():
        model.head[0].weight[4] = 3e-10
        norm = model.head[1]
        norm.running_mean[4], norm.running_var[4], norm.weight[4], norm.bias[4] = 0.0, 1e-14, 1000 * EPS**0.5, 0.5
    return fit_classifier(model)


def gain_outliers() -> Chain:
    """Two live channels that BatchNorm amplifies, and the next layer takes back."""
    model = healthy()
    rescale(model.body, model.head, (3, 11), 64.0)
    return model


def uneven_filters() -> Chain:
    """Filters of the stem of very different sizes, which BatchNorm makes equal."""
    model = build(lambda: Chain(norm=lambda c: nn.BatchNorm2d(c, eps=1e-9)))
    with torch.no_grad():
        model.stem[0].weight *= 2.0 ** torch.linspace(0, -10, 16).view(-1, 1, 1, 1)
    return settle(model)


def program(model: Chain) -> ExportedProgram:
    dynamic = ({0: Dim("batch", min=1, max=4096)},)
    return torch.export.export(model, (DATA.calibration[0][:2],), dynamic_shapes=dynamic, strict=False)


UNFOLDED = scheme(8, 8, per_channel=True, fold_batchnorm=False)

FAULTS = (
    planted("dead_channels", "QD301", dead_channels, scheme(8, 8), ("body.0",), twin=healthy),
    planted("gain_outliers", "QD302", gain_outliers, scheme(7, 16), ("body.0",), twin=healthy),
    planted(
        "unfolded_batchnorm", "QD303", uneven_filters, UNFOLDED, ("stem.1",),
        twin_scheme=scheme(8, 8, per_channel=True),
    ),
    planted(
        "training_batchnorm", "QD304", lambda: program(healthy().train()), scheme(8, 8), ("stem.1", "body.1", "head.1"),
        twin=lambda: program(healthy().eval()), cause=False,
    ),
)  # fmt: skip

HARMLESS = {
    "many_dead_channels": Network(harmless_dead_channels, scheme(8, 8)),
    "huge_gain_on_tiny_weights": Network(tiny_weight, scheme(8, 8)),
}
"""What looks like a dead BatchNorm channel at fault, and costs nothing."""
