"""Faults of weights and biases (QD1xx)."""

import torch
from torch import nn

from tests.planted.fault import planted, scheme
from tests.planted.networks import DATA, Chain, build, fit_classifier, rescale, settle

PIXELS = DATA.changed(fit=lambda x: 40.0 * x, calibration=lambda x: 40.0 * x, measured=lambda x: 40.0 * x)
"""The same images as pixels, without normalization."""


def plain() -> Chain:
    return settle(build())


def depthwise() -> Chain:
    return settle(build(lambda: Chain(depthwise=True)))


def wide_channels() -> Chain:
    """Two depthwise filters that amplify what comes in weakly; what goes out is as in the twin."""
    model = depthwise()
    rescale(model.stem, model.body, (3, 11), 1 / 64.0)
    return model


def vanishing_channels() -> Chain:
    """Too many wide filters to call them few: ten of sixteen are left with two bits."""
    model = depthwise()
    rescale(model.stem, model.body, range(10, 16), 1 / 64.0)
    return model


def outlier_weights() -> Chain:
    """One weight in each of ten rows, away from where the identity branch of a re-parameterized block has its own."""
    model = build(lambda: Chain(width=32))
    with torch.no_grad():
        for c in range(10):
            model.body[0].weight[c, c + 1, 1, 1] = 28.0
    return settle(model)


def _with_constants(constant: float, gain: float, model: Chain) -> Chain:
    """Six channels of the stem give a constant that the body needs."""
    with torch.no_grad():
        model.stem[0].weight[:6] *= gain
        model.stem[0].bias[:6] = constant
        shift = constant * model.body[0].weight[:, :6].sum((1, 2, 3))
        model.body[0].bias -= shift
    return fit_classifier(model)


def bias_overflow() -> Chain:
    return _with_constants(2.0, 1e-9, plain())


def coarse_bias() -> Chain:
    model = _with_constants(0.6, 0.0, plain())
    with torch.no_grad():
        model.stem[0].weight /= 40.0
    return model


def pixels() -> Chain:
    model = plain()
    with torch.no_grad():
        model.stem[0].weight /= 40.0
    return model


def idle_inputs(gain: float) -> Chain:
    """Three filters of the stem are never heard, and the body's weights on them are `gain` times the others."""
    model, silent = plain(), [2, 5, 9]
    with torch.no_grad():
        model.stem[0].weight[silent] = 0.0
        model.stem[0].bias[silent] = -1.0
        model.body[0].weight[:, silent] *= gain
    return fit_classifier(model)


def _two_sided(mean: float) -> Chain:
    return settle(build(lambda: Chain(activation=lambda: nn.Hardtanh(-4.0, 8.0))), mean=mean)


FAULTS = (
    planted("wide_channels", "QD101", wide_channels, scheme(7, 16), ("body.0",), twin=depthwise),
    planted(
        "outlier_weights",
        "QD102",
        outlier_weights,
        scheme(4, 8, float_layers=("stem.0", "head.0", "fc")),
        ("body.0",),
        twin=lambda: settle(build(lambda: Chain(width=32))),
    ),
    planted("vanishing_channels", "QD103", vanishing_channels, scheme(8, 16), ("body.0",), twin=depthwise),
    planted("bias_overflow", "QD104", bias_overflow, scheme(per_channel=True), ("stem.0",), twin=plain),
    planted("coarse_bias", "QD105", coarse_bias, scheme(per_channel=True), ("stem.0",), twin=pixels, data=PIXELS),
    planted(
        "mean_shift",
        "QD106",
        lambda: _two_sided(4.0),
        scheme(4, 8, per_channel=True),
        ("fc", "head.0", "body.0"),
        twin=lambda: _two_sided(0.0),
    ),
    planted(
        "idle_inputs",
        "QD107",
        lambda: idle_inputs(300.0),
        scheme(per_channel=True),
        ("body.0",),
        twin=lambda: idle_inputs(1.0),
    ),
)
