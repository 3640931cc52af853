"""Convolutions added up and one after the other are one convolution, exactly, at every pixel."""

import random

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from qdiag.numerics.batchnorm import ChannelAffine
from qdiag.numerics.convolutions.chained import chained
from qdiag.numerics.convolutions.conv_map import (
    ConvMap,
    NotOneConvolutionError,
    average_map,
    identity_map,
    padding_map,
)
from qdiag.numerics.convolutions.joined import added

_CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_POOL = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


class _Draw:
    """Random layers; what they compute comes from torch's own functions."""

    def __init__(self, seed: int) -> None:
        self.choose = random.Random(seed)
        self.generator = torch.Generator().manual_seed(seed)
        self.rank = self.choose.choice((1, 2, 2, 2, 3))

    def tensor(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.generator, dtype=torch.float64)

    def sizes(self, low: int, high: int) -> tuple[int, ...]:
        return tuple(self.choose.randint(low, high) for _ in range(self.rank))

    def conv(
        self,
        c_in: int,
        c_out: int,
        taps: tuple[int, ...],
        stride: int,
        padding: tuple[int, ...],
        dilation: int,
        groups: int,
    ) -> ConvMap:
        one = (self.tensor(c_out, c_in // groups, *taps), self.tensor(c_out))
        return ConvMap(*one, (stride,) * self.rank, padding, padding, (dilation,) * self.rank, groups)

    def norm(self, channels: int) -> ChannelAffine:
        return ChannelAffine(self.tensor(channels), self.tensor(channels))


def _run(one: ConvMap, x: Tensor) -> Tensor:
    """By torch, from the fields."""
    assert one.before == one.after and one.mode == "zeros" and min(one.before) >= 0
    return _CONV[one.rank](x, one.kernel, one.constant, one.stride, one.before, one.dilation, one.groups)


def _affine(norm: ChannelAffine, y: Tensor) -> Tensor:
    shape = (1, -1, *[1] * (y.ndim - 2))
    return y * norm.gain.view(shape) + norm.shift.view(shape)


def _agree(one: ConvMap, x: Tensor, y: Tensor) -> None:
    made = one(x)
    assert made.shape == y.shape
    assert float((made - y).abs().max()) <= 1e-12 * max(1.0, float(y.abs().max())) * one.kernel[0].numel()


@pytest.mark.parametrize("seed", range(60))
def test_branches_of_any_kind_add_up(seed: int) -> None:
    draw = _Draw(seed)
    stride, groups = draw.choose.choice((1, 1, 2, 3)), draw.choose.choice((1, 2, 4))
    c_out = 4 if stride == 1 else draw.choose.choice((4, 8))
    x = draw.tensor(2, 4, *draw.sizes(7, 9))
    maps, outputs = [], []
    for _ in range(draw.choose.randint(2, 4)):
        dilation = draw.choose.choice((1, 1, 2))
        half = tuple(draw.choose.randint(0, 1) for _ in range(draw.rank))  # asymmetric kernels among them
        taps, padding = tuple(2 * h + 1 for h in half), tuple(h * dilation for h in half)
        conv = draw.conv(4, c_out, taps, stride, padding, dilation, draw.choose.choice((1, groups)))
        norm = draw.norm(c_out)
        maps.append(conv.normed(norm))
        outputs.append(_affine(norm, _run(conv, x)))
    if c_out == 4:
        size, padding = (3,) * draw.rank, (1,) * draw.rank
        maps.append(average_map(4, size, (stride,) * draw.rank, padding))
        outputs.append(_POOL[draw.rank](x, size, stride, padding))
        if stride == 1:
            maps.append(identity_map(4, draw.rank).times(-0.5))
            outputs.append(-0.5 * x)

    _agree(added(maps), x, sum(outputs[1:], outputs[0]))


@pytest.mark.parametrize("seed", range(60))
def test_two_in_a_row_are_one(seed: int) -> None:
    draw = _Draw(seed)
    groups = draw.choose.choice((1, 2))
    s1, s2, d1, d2 = (draw.choose.choice((1, 2)) for _ in range(4))
    taps = draw.sizes(1, 3)
    first = draw.conv(4, 6, taps, s1, tuple(draw.choose.randint(0, k // 2) for k in taps), d1, groups)
    second = draw.conv(6, 4, draw.sizes(1, 2), s2, (0,) * draw.rank, d2, draw.choose.choice((1, groups)))
    x = draw.tensor(1, 4, *draw.sizes(11, 13))

    _agree(chained(first, second), x, _run(second, _run(first, x)))


@pytest.mark.parametrize("seed", range(30))
def test_a_frame_of_the_constant_makes_padding_in_between_exact(seed: int) -> None:
    draw = _Draw(seed)
    first = draw.conv(3, 4, (1,) * draw.rank, 1, (0,) * draw.rank, 1, 1).normed(draw.norm(4))
    pads = draw.sizes(0, 2)
    second = draw.conv(4, 2, (3,) * draw.rank, draw.choose.choice((1, 2)), (0,) * draw.rank, 1, 2)
    x = draw.tensor(2, 3, *draw.sizes(6, 8))
    z = _run(first, x)
    framed = first.constant.view(1, -1, *[1] * draw.rank).expand(
        2, 4, *(n + 2 * p for n, p in zip(z.shape[2:], pads, strict=True))
    )
    framed = framed.clone()
    framed[(..., *(slice(p, p + n) for n, p in zip(z.shape[2:], pads, strict=True)))] = z

    frame = chained(first, padding_map(4, pads, pads), fill=first.constant)
    _agree(chained(frame, second), x, _run(second, framed))
    if any(pads):
        with pytest.raises(NotOneConvolutionError, match="would see the constant"):
            chained(first, padding_map(4, pads, pads))


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_branches_that_continue_their_input_alike_add_up(mode: str) -> None:
    draw = _Draw(3)
    draw.rank = 2
    x = draw.tensor(1, 4, 6, 7)
    near, far = draw.conv(4, 4, (3, 3), 1, (0, 0), 1, 1), draw.conv(4, 4, (5, 1), 1, (0, 0), 1, 1)
    maps = [chained(padding_map(4, (1, 1), (1, 1), mode), near), chained(padding_map(4, (2, 0), (2, 0), mode), far)]  # type: ignore[arg-type]
    outputs = _run(near, F.pad(x, (1, 1, 1, 1), mode=mode)) + _run(far, F.pad(x, (0, 0, 2, 2), mode=mode))

    _agree(added([*maps, identity_map(4, 2)]), x, outputs + x)
    with pytest.raises(NotOneConvolutionError, match="different ways"):
        added([*maps, draw.conv(4, 4, (3, 3), 1, (1, 1), 1, 1)])


def test_padding_behind_a_wide_kernel_is_refused() -> None:
    draw = _Draw(0)
    draw.rank = 2
    first, second = (draw.conv(2, 2, (3, 3), 1, (1, 1), 1, 1) for _ in range(2))

    with pytest.raises(NotOneConvolutionError, match="behind a kernel"):
        chained(first, second)
    one, two = draw.conv(2, 2, (1, 1), 1, (0, 0), 1, 1), draw.conv(2, 2, (1, 1), 2, (0, 0), 1, 1)
    with pytest.raises(NotOneConvolutionError, match="strides of \\(1, 1\\) and \\(2, 2\\)"):
        added([one, two])
    with pytest.raises(NotOneConvolutionError, match="does not fit"):
        added([first, draw.conv(2, 2, (1, 1), 1, (1, 1), 1, 1)])
