"""Faults of fused and of parallel linear branches."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from tests.planted.fault import planted, scheme
from tests.planted.networks import DATA, Chain, build, fit_classifier, settle

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


class IdentityBlock(Chain):
    """The body is a 3x3 convolution and its input through a BatchNorm: `fused_identity` as it was trained."""

    def __init__(self) -> None:
        super().__init__()
        self.identity = nn.BatchNorm2d(16)

    def features(self, x: Tensor) -> Tensor:
        y = self.stem(x)
        return self.pool(self.head((self.body[0](y) + self.identity(y)[:, :, 1:-1, 1:-1]).relu())).flatten(1)


def trained_identity(gains: Mapping[int, float]) -> IdentityBlock:
    """The same network before it was fused: gain of the channels that vary little, and 0 for all others."""
    deployed, model = fused_identity(gains), IdentityBlock()
    model.load_state_dict(deployed.state_dict(), strict=False)
    norm = model.identity
    assert norm.running_mean is not None and norm.running_var is not None
    with torch.no_grad():
        seen = model.stem(DATA.fit[0])
        norm.running_mean.copy_(seen.mean((0, 2, 3)))
        norm.running_var.copy_(seen.var((0, 2, 3)))
        norm.eps = 1e-9
        for channel in range(16):
            std = (norm.running_var[channel] + norm.eps).sqrt()
            gain = gains.get(channel, 0.0)
            norm.weight[channel] = gain * std
            norm.bias[channel] = gain * norm.running_mean[channel]
            model.body[0].weight[channel, channel, 1, 1] -= gain
    return model.eval()


class Parallel(Chain):
    """The body is a 3x3 and a 1x1 convolution, each with a BatchNorm, and the stem's output without one (S2)."""

    def __init__(self) -> None:
        super().__init__()
        self.pointwise = nn.Sequential(nn.Conv2d(16, 16, 1, bias=False), nn.BatchNorm2d(16))
        self.dense = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16))
        self.body = nn.Sequential(nn.Conv2d(16, 16, 3), nn.ReLU())

    def block(self, x: Tensor) -> Tensor:
        return self.dense(x) + self.pointwise(x) + x

    def features(self, x: Tensor) -> Tensor:
        return self.pool(self.head(self.body(self.block(self.stem(x)).relu()))).flatten(1)


class TwoBranches(Parallel):
    """Without the identity."""

    def block(self, x: Tensor) -> Tensor:
        return self.dense(x) + self.pointwise(x)


def _normalized(model: Parallel) -> Parallel:
    """Branches with channels of mean 0 and variance 1."""
    with torch.no_grad():
        x = model.stem(DATA.fit[0])
        for branch in (model.dense, model.pointwise):
            seen, norm = branch[0](x), branch[1]
            norm.running_mean.copy_(seen.mean((0, 2, 3)))
            norm.running_var.copy_(seen.var((0, 2, 3)))
    return model


def offset(height: float) -> Chain:
    """Every channel of the sum lies at `height`; at 0 each beta is half the mean of the identity, negative."""
    model = _normalized(settle(build(Parallel)))
    with torch.no_grad():
        mean = model.stem(DATA.fit[0]).mean((0, 2, 3))
        for branch in (model.dense, model.pointwise):
            branch[1].bias.copy_(0.5 * (height - mean))
        model.body[0].bias -= height * model.body[0].weight.sum((1, 2, 3))
    return fit_classifier(model)


def sums(share: float) -> Chain:
    """In two channels the branches are alike; in all others the second takes this share of the first away."""
    model = build(TwoBranches)
    with torch.no_grad():
        model.dense[0].weight[:, :, [0, 0, 0, 1, 1, 2, 2, 2], [0, 1, 2, 0, 2, 0, 1, 2]] *= 0.003 if share > 0.0 else 1.0
        if share > 0.0:
            model.pointwise[0].weight.copy_(model.dense[0].weight[:, :, 1:2, 1:2])
    _normalized(settle(model))
    with torch.no_grad():
        if share > 0.0:
            model.pointwise[1].weight.fill_(-share)
            model.pointwise[1].weight[[3, 11]] = 1.0
    return fit_classifier(settle_body(model))


def settle_body(model: Parallel) -> Parallel:
    """Weights of the body in inverse proportion to how much its inputs vary, so that every channel counts."""
    with torch.no_grad():
        seen = model.block(model.stem(DATA.fit[0])).relu()
        model.body[0].weight /= seen.std((0, 2, 3)).view(1, -1, 1, 1)
        for layer in (model.body, model.head):
            conv = layer[0]
            conv.weight /= conv(seen).std((0, 2, 3)).view(-1, 1, 1, 1)
            conv.bias -= conv(seen).mean((0, 2, 3))
            seen = layer(seen)
    return model


FAULTS = (
    planted(
        "fused_identity",
        "QD408",
        lambda: fused_identity(SOURCE_GAINS),
        scheme(8, 16),
        ("body.0",),
        twin=lambda: fused_identity(dict.fromkeys(SOURCE_GAINS, 1.0)),
    ),
    planted(
        "branch_sum",
        "QD409",
        lambda: sums(0.99),
        scheme(per_channel=True),
        ("add",),
        twin=lambda: sums(0.0),
    ),
    planted(
        "branch_offset",
        "QD410",
        lambda: offset(1000.0),
        scheme(16, 8),
        ("add#2",),
        twin=lambda: offset(0.0),
    ),
)
