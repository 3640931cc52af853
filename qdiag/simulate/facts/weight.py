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


def weight_facts(
    weight: Tensor, channel_axis: int, scheme: TensorScheme | None, groups: int | None = None
) -> WeightFacts:
    """Ranges, tails and what a plain quantizer leaves of a weight, whatever range the scheme chooses.

    Args:
        weight: any shape, output channels along `channel_axis`, BatchNorm folded.
        scheme: its number format and bits count; None where the weight stays in float.
        groups: of a convolution (C_out, C_in / groups, ...), in which an identity branch may be fused; None for others.
    """
    rows = weight.detach().cpu().movedim(channel_axis, 0).reshape(weight.shape[channel_axis], -1)
    magnitude = rows.abs()
    channels, whole = MomentAccumulator(rows.shape[0]), MomentAccumulator()
    channels.add(rows)
    whole.add(rows.reshape(1, -1))
    identity, others = identity_and_others(weight, groups) if groups is not None else ((), ())
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
        identity_max_abs=identity,
        others_max_abs=others,
    )


def identity_and_others(weight: Tensor, groups: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """|weight| at each channel's own input and the centre of the kernel, and the largest of the others; (C,) each.

    Empty where channels are not as many in as out, a kernel has no centre, or a channel has no other weight.
    """
    c_out, per_group, *kernel = weight.shape
    if per_group * groups != c_out or any(size % 2 == 0 for size in kernel) or weight[0].numel() == 1:
        return (), ()
    rows = weight.detach().abs().cpu().reshape(c_out, per_group, -1).clone()
    own, centre = (torch.arange(c_out), torch.arange(c_out) % per_group), rows.shape[2] // 2
    identity = rows[(*own, centre)].clone()
    rows[(*own, centre)] = 0.0
    return tuple(identity.tolist()), tuple(rows.flatten(1).amax(1).tolist())


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
