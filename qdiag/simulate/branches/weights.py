"""What rounding of a fused weight does: to the weight itself, and to the output of its block."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from qdiag.calibrators import CALIBRATORS
from qdiag.capture.branches.block import BranchPath, LinearBlock
from qdiag.core.scheme import TensorScheme
from qdiag.errors import CalibrationError
from qdiag.numerics.batchnorm import ChannelAffine
from qdiag.numerics.convolutions.conv_map import ConvMap
from qdiag.numerics.convolutions.joined import added
from qdiag.simulate.passes.weights import channel_sqnr_db


def share_of(block: LinearBlock, path: BranchPath) -> ConvMap:
    """What a branch adds to the output of the block, its constant but for that of the BatchNorm behind the sum."""
    assert path.whole is not None
    if block.norm is None:
        return path.whole
    gain = block.norm.affine.gain
    return path.whole.normed(ChannelAffine(gain, torch.zeros_like(gain)))


def rest_of(block: LinearBlock, without: BranchPath) -> ConvMap | None:
    """The one convolution of the other branches; None where no other one has a weight."""
    maps = [path.whole for path in block.paths if path is not without and path.whole is not None]
    if not maps:
        return None
    whole = added(maps)
    return whole.normed(block.norm.affine) if block.norm is not None else whole


def rounded(kernel: Tensor, scheme: TensorScheme) -> Tensor | None:
    """The weight as a scheme quantizes it, float32; None where it stays in float."""
    if scheme.is_float:
        return None
    weight = kernel.float()
    try:
        return CALIBRATORS[scheme.calibrator].weight(weight, scheme, 0).fake_quantize(weight)
    except CalibrationError:
        return None


def weight_db(kernel: Tensor, scheme: TensorScheme) -> float:
    """SQNR of a weight quantized by a scheme, the median over output channels; NaN where it stays in float."""
    simulated = rounded(kernel, scheme)
    if simulated is None:
        return math.nan
    rows = channel_sqnr_db(reference=kernel.float().flatten(1), simulated=simulated.flatten(1))
    return statistics.median(rows) if rows else math.nan


def rounding_error(one: ConvMap | None, scheme: TensorScheme) -> ConvMap | None:
    """What rounding of the weight adds to the output of a convolution; None where it stays in float."""
    simulated = rounded(one.kernel, scheme) if one is not None else None
    if one is None or simulated is None:
        return None
    error = simulated.to(one.kernel) - one.kernel.float().to(one.kernel)
    return replace(one, kernel=error, constant=torch.zeros_like(one.constant))


def lower(values: Sequence[float]) -> float:
    """The lowest of those that are known; NaN where none is."""
    return min((value for value in values if not math.isnan(value)), default=math.nan)
