"""Pairs of products that leave int16, in convolutions of every kind, against numpy position by position."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from qdiag.core.scheme import TensorScheme
from qdiag.numerics.quantizers.affine import Affine
from qdiag.simulate.arithmetic import kernel_pairs
from qdiag.simulate.arithmetic.saturating import saturating
from tests.unit.simulate.test_exact_sums import SCHEME, opened

CONVOLUTIONS = {
    "strided": nn.Conv2d(6, 8, 3, stride=2, padding=1),
    "odd channels": nn.Conv2d(5, 7, 3, dilation=2, padding=(2, 1)),
    "groups": nn.Conv2d(6, 8, (3, 2), groups=2),
    "filters of one channel": nn.Conv2d(6, 12, 3, groups=6, padding=1),
    "one axis": nn.Conv1d(4, 6, 5, stride=2, padding=3),
    "three axes": nn.Conv3d(2, 3, 2),
    "points": nn.Conv2d(6, 8, 1),
}
SIZES = {3: (3, -1, 40), 4: (3, -1, 9, 11), 5: (3, -1, 4, 5, 6)}
ZERO_POINTS = TensorScheme(symmetric=False, signed=True)
"""Of weights."""


def lost_by_hand(stored: np.ndarray, weight: np.ndarray, conv: nn.modules.conv._ConvNd, border: int) -> np.ndarray:  # type: ignore[type-arg]
    """What int16 cuts off, one output position after the other; integers as they are stored."""
    pads = [(0, 0), (0, 0), *((int(p), int(p)) for p in conv.padding)]
    padded = np.pad(stored, pads, constant_values=border)
    axes, kernel = weight.ndim - 2, weight.shape[2:]
    spans = [d * (k - 1) + 1 for d, k in zip(conv.dilation, kernel, strict=True)]
    sizes = [(padded.shape[2 + i] - spans[i]) // conv.stride[i] + 1 for i in range(axes)]
    lost = np.zeros((len(stored), len(weight), *sizes), np.int64)
    width, filters = weight.shape[1], len(weight) // conv.groups
    for at in np.ndindex(*lost.shape):
        group = at[1] // filters
        index = tuple(
            slice(at[2 + i] * conv.stride[i], at[2 + i] * conv.stride[i] + spans[i], conv.dilation[i])
            for i in range(axes)
        )
        window = padded[(at[0], slice(group * width, (group + 1) * width), *index)]
        products = np.moveaxis(window * weight[at[1]], 0, -1).ravel()
        pairs = np.append(products, [0] * (len(products) % 2)).reshape(-1, 2).sum(1)
        lost[at] = (pairs - pairs.clip(-(2**15), 2**15 - 1)).sum()
    return lost


@pytest.mark.parametrize("layout", ["channels first", "channels last", "in small parts"])
@pytest.mark.parametrize("conv", CONVOLUTIONS.values(), ids=list(CONVOLUTIONS))
def test_lost_sums_are_those_of_numpy(
    conv: nn.modules.conv._ConvNd, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if layout == "in small parts":
        monkeypatch.setattr(kernel_pairs, "_HELD", 1)
        monkeypatch.setattr(kernel_pairs, "_PAIRS", 1)
        monkeypatch.setattr(kernel_pairs, "_WEIGHTS", 1)
        monkeypatch.setattr(kernel_pairs, "_WIDTH", 1)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        conv.weight.copy_(torch.randn(conv.weight.shape, generator=generator) + 0.5)
    shape = [conv.in_channels if size < 0 else size for size in SIZES[conv.weight.ndim]]
    x = torch.rand(shape, generator=generator) * 2.0 - 0.3
    weights = replace(ZERO_POINTS, granularity="per_tensor") if layout == "channels last" else SCHEME.weights
    case, rule, op = opened(nn.Sequential(conv).eval(), x, replace(SCHEME, weights=weights, pair_saturation=True))
    source, weight = case.plan.layers["input:input"].output, case.plan.layers["0"].weight
    assert isinstance(source, Affine) and isinstance(weight, Affine)
    stored, kernel = source.quantize(x), weight.quantize(conv.weight.detach())
    border = int(source.zero_point)
    expected = lost_by_hand(stored.numpy().astype(np.int64), kernel.numpy().astype(np.int64), conv, border)
    assert (expected != 0).mean() > 0.005 and (expected == 0).any()
    given: Tensor = source.fake_quantize(x)
    if layout == "channels last" and x.ndim == 4:
        given = given.contiguous(memory_format=torch.channels_last)
    found = rule.lost_in_pairs(op, (given, *op.node.args[1:]), {})
    assert found is not None
    np.testing.assert_array_equal(found.numpy().astype(np.int64), expected)
    beside = saturating(replace(case.plan, scheme=replace(case.plan.scheme, arithmetic="float")), op.layer)  # type: ignore[arg-type]
    assert (beside is not None) == (conv.groups == 1)
    if beside is not None:
        found = beside.lost_in_pairs(op, (given, *op.node.args[1:]), {})
        assert found is not None
        np.testing.assert_array_equal(found.numpy().astype(np.int64), expected)


def test_sums_that_no_pair_leaves_are_no_loss() -> None:
    """7 bits fit: no input is asked."""
    scheme = replace(SCHEME, activations=replace(SCHEME.activations, bits=7), pair_saturation=True)
    x = torch.rand(2, 6, 5, 5, generator=torch.Generator().manual_seed(0))
    _, rule, op = opened(nn.Sequential(CONVOLUTIONS["points"]).eval(), x, scheme)
    assert rule.lost_in_pairs(op, (x, *op.node.args[1:]), {}) is None
