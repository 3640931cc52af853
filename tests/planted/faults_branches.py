"""Faults of fused and of parallel linear branches."""

from collections.abc import Mapping

import torch

from tests.planted.fault import planted, scheme
from tests.planted.networks import Chain, build, fit_classifier, settle

SOURCE_GAINS = {3: 692.0, 11: 1477.0}
"""The largest alpha of layers 5 and 6 in RepVGG-A0 trained without the custom L2 (arXiv 2212.01593)."""


def fused_identity(gains: Mapping[int, float]) -> Chain:
    """Channels of the stem that vary little, and an identity branch whose BatchNorm makes up for that, fused."""
    model = settle(build())
    with torch.no_grad():
        for channel, gain in gains.items():
            for tensor in model.stem[0].parameters():
                tensor[channel] /= gain
            model.body[0].weight[channel, channel, 1, 1] += gain
    return fit_classifier(model)


FAULTS = (
    planted(
        "fused_identity",
        "QD408",
        lambda: fused_identity(SOURCE_GAINS),
        scheme(8, 16),
        ("body.0",),
        twin=lambda: fused_identity(dict.fromkeys(SOURCE_GAINS, 1.0)),
    ),
)
