"""Faults of weights and activations with one bit (QD108 to QD111, QD211).

Weights are signs already, up to a factor per channel, so that one bit costs the twins nothing; activations saturate, so
that their signs say nearly all.
"""

from collections.abc import Callable

import torch
from torch import nn

from qdiag.core.scheme import LayerOverride, QuantScheme, TensorChange
from tests.planted.fault import planted, scheme
from tests.planted.networks import Chain, build, fit_classifier, rescale, settle

SIGNS = TensorChange(type="binary", bits=1, granularity="per_tensor")
SCALED = TensorChange(type="binary", bits=1, scale="float32", granularity="per_channel")
ONE_SCALE = TensorChange(type="binary", bits=1, scale="float32", granularity="per_tensor")
DEAD = [1, 4, 7, 10, 13]
LOUD = range(0, 16, 2)


def at(layer: str, *, weights: TensorChange | None = None, activations: TensorChange | None = None) -> QuantScheme:
    """8 bits, and something else at one layer."""
    own = LayerOverride(layer, weights or TensorChange(), activations or TensorChange())
    return scheme(per_channel=True, layers=(own,))


def make_signs(conv: nn.Conv2d) -> None:
    """Keeps the signs, with magnitudes within a tenth of one another."""
    with torch.no_grad():
        magnitude = 1.0 + 0.1 * torch.rand(conv.weight.shape, generator=torch.Generator().manual_seed(3))
        conv.weight.copy_(torch.where(conv.weight < 0, -magnitude, magnitude))


def signed_body() -> Chain:
    model = build()
    make_signs(model.body[0])
    return settle(model)


def signed_end() -> Chain:
    """The classifier has three strong weights of ten in each class: signs are no substitute."""
    return settle(build())


def paired(mean: float) -> Chain:
    """Filters of the body come in pairs of opposite sign: what the head's weights have in common adds nothing."""
    model = build(lambda: Chain(activation=lambda: nn.Hardtanh(-1.5, 1.5)))
    make_signs(model.head[0])
    with torch.no_grad():
        model.body[0].weight[8:] = -model.body[0].weight[:8]
        model.head[0].weight += mean
    return settle(model)


def equal_magnitudes() -> Chain:
    """The body's channels have one magnitude, and the head makes up for it."""
    model = signed_body()
    magnitude = model.body[0].weight.detach().abs().mean((1, 2, 3))
    for c in range(16):
        rescale(model.body, model.head, [c], float(magnitude.mean() / magnitude[c]))
    return model


def dead_filters() -> Chain:
    model = equal_magnitudes()
    with torch.no_grad():
        model.body[0].weight[DEAD] *= 1e-3
        model.body[0].bias[DEAD] = 0.0
    return fit_classifier(model)


def outlier(gain: float) -> Chain:
    """One weight per filter on a channel that is as quiet as the weight is large, in half of the body's filters."""
    model = build()
    make_signs(model.body[0])
    model = settle(model)
    with torch.no_grad():
        model.stem[0].weight[0] /= gain
        model.stem[0].bias[0] /= gain
        model.body[0].weight[LOUD, 0, 1, 1] *= gain
    return fit_classifier(model)


def saturated(low: float) -> Callable[[], Chain]:
    """Activations that are at one of their bounds, mostly."""
    mean = low + 1.0
    return lambda: settle(build(lambda: Chain(activation=lambda: nn.Hardtanh(low, low + 2.0))), mean=mean, std=16.0)


FAULTS = (
    planted(
        "low_bit_end",
        "QD108",
        signed_end,
        at("fc", weights=SCALED),
        ("fc",),
        twin_scheme=scheme(per_channel=True),
    ),
    planted(
        "uncentred_signs",
        "QD109",
        lambda: paired(3.0),
        at("head.0", weights=SCALED),
        ("head.0",),
        twin=lambda: paired(0.0),
    ),
    planted(
        "revived_channels",
        "QD110",
        dead_filters,
        at("body.0", weights=ONE_SCALE),
        ("body.0",),
        twin=equal_magnitudes,
    ),
    planted(
        "outlier_magnitude",
        "QD111",
        lambda: outlier(3000.0),
        at("body.0", weights=SCALED),
        ("body.0",),
        twin=lambda: outlier(1.0),
    ),
    planted(
        "constant_signs",
        "QD211",
        saturated(2.0),
        at("body.0", activations=TensorChange(type="binary", bits=1)),
        ("body.0",),
        twin=saturated(-1.0),
    ),
)
