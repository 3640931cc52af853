"""What detectors look at in a weight."""

import math
import statistics
from dataclasses import replace

import torch
from torch import Tensor

from qdiag.calibrators import CALIBRATORS
from qdiag.core.formats.low_bits import LOW_BITS
from qdiag.core.measures.facts import WeightFacts
from qdiag.core.scheme import Granularity, TensorScheme
from qdiag.core.tensor_scheme import FLOAT_TYPES
from qdiag.numerics.moments import MomentAccumulator


def weight_facts(weight: Tensor, channel_axis: int, scheme: TensorScheme | None) -> WeightFacts:
    """Ranges, tails and what a plain quantizer leaves of a weight, whatever range the scheme chooses.

    Args:
        weight: any shape, output channels along `channel_axis`, BatchNorm folded.
        scheme: its number format and bits count; None where the weight stays in float.
    """
    rows = weight.detach().cpu().movedim(channel_axis, 0).reshape(weight.shape[channel_axis], -1)
    magnitude = rows.abs()
    channels, whole = MomentAccumulator(rows.shape[0]), MomentAccumulator()
    channels.add(rows)
    whole.add(rows.reshape(1, -1))
    tails = channels.kurtosis()
    tails = tails[~torch.isnan(tails)]
    return WeightFacts(
        channel_min=tuple(rows.amin(1).tolist()),
        channel_max=tuple(rows.amax(1).tolist()),
        kurtosis=float(whole.kurtosis()),
        channel_kurtosis_max=float(tails.max()) if tails.numel() else math.nan,
        outlier_count=int((magnitude > 0.5 * magnitude.max()).sum()),
        count=rows.numel(),
        sqnr_per_tensor_db=_median_sqnr_db(rows, scheme, is_per_channel=False),
        sqnr_per_channel_db=_median_sqnr_db(rows, scheme, is_per_channel=True),
    )


def _median_sqnr_db(rows: Tensor, scheme: TensorScheme | None, *, is_per_channel: bool) -> float:
    """Median over rows (C, K) that are not all zero; the largest |weight| is exact in its integer."""
    if scheme is None or not bool(torch.isfinite(rows).all()):
        return math.nan
    granularity: Granularity = "per_channel" if is_per_channel else "per_tensor"
    plain = _plain(scheme, granularity)
    rows = rows.float().contiguous()
    simulated = CALIBRATORS[plain.calibrator].weight(rows, plain, 0).fake_quantize(rows)
    signal = rows.double().square().sum(1)
    noise = (rows.double() - simulated.double()).square().sum(1)
    values = (10.0 * torch.log10(signal / noise))[signal > 0].tolist()
    return statistics.median(values) if values else math.nan


def _plain(scheme: TensorScheme, granularity: Granularity) -> TensorScheme:
    """The number format of a scheme with minimum and maximum as its range; values of blocks by themselves."""
    if scheme.type in FLOAT_TYPES:
        return TensorScheme(bits=scheme.bits, granularity=granularity, type="float", element=scheme.element)
    if scheme.type in LOW_BITS:
        return replace(scheme, granularity=granularity)
    if scheme.type == "linear":
        return scheme  # one step for all channels, whatever they hold
    return TensorScheme(bits=scheme.bits, narrow_range=True, granularity=granularity, type=scheme.type)
