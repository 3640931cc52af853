"""Which channels of a BatchNorm are dead, and what they do to the weight it is folded into. Pure functions."""

import torch
from torch import Tensor

from qdiag.core.measures.bn import DeadChannel, GainOutlier, RangeCost
from qdiag.numerics.batchnorm import batch_norm_affine

CONSTANT_FRACTION = 1e-3
"""var / eps up to which a channel counts as constant when it also stands apart from the live ones."""
OUTRIGHT_FRACTION = 1e-9
"""var / eps up to which it does whatever the other channels are like."""
NEAR_FRACTION = 1e-2
"""var / eps up to which it does when it also stretches the range by `NEAR_BLOWUP`."""
NEAR_BLOWUP = 2.0
"""|folded weight| over the largest one of the live channels: one bit lost."""
APART_FRACTION = 1e-3
"""var over the median variance of the live channels up to which a channel stands apart from them."""

OUTLIER_FACTOR = 8.0
"""|gain| over the live median from which a channel can be an outlier: three bits."""
OUTLIER_DEVIATIONS = 4.0
"""The same distance in robust standard deviations of log2 |gain|."""
_MAD_TO_STD = 1.4826


def dead_channels(
    gamma: Tensor | None,
    beta: Tensor | None,
    variance: Tensor,
    eps: float,
    folded: Tensor | None = None,
) -> tuple[DeadChannel, ...]:
    """The channels whose statistics say that they are constant, in order, with the evidence for each.

    A dead input makes a convolution's channel constant, and its running variance then decays towards zero. BatchNorm
    divides by sqrt(var + eps): what is left of the output's standard deviation is |gamma| sqrt(var / (var + eps)), so
    the unit of "small" is eps, not a number of its own. Three witnesses are heard:

    1. Against eps. At `var <= eps / 1000` the output moves by at most 3.2 % of gamma: a thousandth of the power that
       the channel was trained to have, and one step of an 8-bit quantizer over +-4 gamma (8 / 255 = 3.1 %).
    2. Against the layer's other channels. A layer whose input is small altogether can have all its variances below
       eps and be alive. So the channel must also lie a thousand times below the median of the channels that pass
       test 1 alive; or, where none does, at `var <= 1e-9 eps`, where the output is constant to 15 bits whatever the
       reason. Distance to the others alone proves nothing: healthy networks have channels 10,000 times below the
       median that BatchNorm scales up as it should, because they are far above eps.
    3. The folded range. Between eps / 1000 and eps / 100 (the output moves by up to 10 % of gamma) a channel is called
       dead only when it stands apart and its folded weight is at least twice that of every live channel: there the
       range is paid for by all and used by a channel that hardly moves. Without that harm it is left in peace.

    Measured: all 42 such channels of a MobileNetV1 (21 of them depthwise; variances 4e-35 to 1e-14, the next live one
    1.9e-5 at eps 1e-3), the 1,540 of a MobileNetV1 for person detection, none in CIFAR ResNets of 20 and 56 layers,
    whose smallest variances are 10,000 times below their layer's median. Dead is not harmful: what a dead channel does
    to the range stands in `range_over_live`, and by the folded weight: a huge gain on a tiny weight folds to nothing.

    Args:
        gamma, beta: (C,), or None for 1 and 0.
        variance: running variance (C,).
        folded: largest |folded weight| per channel (C,); None without a layer, then witness 3 is silent.
    """
    wide = variance.detach().double()
    gain = batch_norm_affine(gamma, None, torch.zeros_like(wide), wide, eps).gain
    over_eps = wide / max(eps, torch.finfo(torch.float64).tiny)
    alive = over_eps > CONSTANT_FRACTION
    reference = wide[alive].median() if bool(alive.any()) else torch.tensor(torch.nan, dtype=torch.float64)
    is_apart = wide <= APART_FRACTION * reference
    is_zero = (over_eps <= CONSTANT_FRACTION) & (is_apart | (over_eps <= OUTRIGHT_FRACTION))
    is_near = torch.zeros_like(is_zero)
    blowup = torch.full_like(wide, torch.nan)
    if folded is not None:
        candidates = ~is_zero & is_apart & (over_eps <= NEAR_FRACTION)
        is_near = candidates & (_over_largest(folded, ~is_zero & ~candidates) >= NEAR_BLOWUP)
        blowup = _over_largest(folded, ~is_zero & ~is_near)
    is_dead = is_zero | is_near
    live_variance = float(wide[~is_dead].median()) if bool((~is_dead).any()) else torch.nan
    scale = torch.ones_like(wide) if gamma is None else gamma.detach().double().abs()
    output_std = scale * (wide / (wide + eps).clamp_min(torch.finfo(torch.float64).tiny)).sqrt()
    return tuple(
        DeadChannel(
            channel=c,
            evidence="zero variance" if bool(is_zero[c]) else "near-zero variance",
            variance=float(wide[c]),
            variance_over_eps=float(over_eps[c]),
            variance_over_live=float(wide[c]) / live_variance,
            output_std=float(output_std[c]),
            output_constant=0.0 if beta is None else float(beta[c]),
            gain=float(gain[c]),
            folded_max_abs=float(folded[c]) if folded is not None else torch.nan,
            range_over_live=float(blowup[c]),
        )
        for c in is_dead.nonzero().flatten().tolist()
    )


def live_mask(channels: int, dead: tuple[DeadChannel, ...]) -> Tensor:
    """True for the channels that are not dead, (C,)."""
    mask = torch.ones(channels, dtype=torch.bool)
    mask[[d.channel for d in dead]] = False
    return mask


def folded_max_abs(weight: Tensor, gain: Tensor, *, output_axis: int, is_before: bool, groups: int = 1) -> Tensor:
    """Largest |weight * gain| per channel of the BatchNorm, float64, (C,).

    Args:
        weight: (C_out, C_in / groups, ...); of a transposed convolution, with `output_axis` 1, (C_in, C_out / groups,
            ...).
        is_before: the BatchNorm comes before the layer, so its channels are the layer's inputs.
    """
    first_is_channel = (output_axis == 0) != is_before
    magnitude = weight.detach().double().abs().flatten(2) if weight.ndim > 2 else weight.detach().double().abs()
    if magnitude.ndim > 2:
        magnitude = magnitude.amax(2)
    if first_is_channel:
        per_channel = magnitude.amax(1)
    else:  # channels lie on axis 1, split by groups, whose other side lies on axis 0
        by_group = magnitude.reshape(groups, magnitude.shape[0] // groups, magnitude.shape[1])
        per_channel = by_group.amax(1).flatten()
    return per_channel * gain.detach().double().abs()


def gain_outliers(gain: Tensor, is_live: Tensor, folded: Tensor | None = None) -> tuple[GainOutlier, ...]:
    """Live channels with a gain at least 8 times the live median (three bits) and 4 robust deviations of log2 above it.

    The second test keeps layers with broad gains silent, the first those with nearly equal ones. Whether an outlier
    matters shows in its folded weight, not in its gain.
    """
    magnitude = gain.detach().double().abs()
    live = magnitude[is_live & (magnitude > 0.0) & magnitude.isfinite()]
    if len(live) < 3:
        return ()
    centre = live.log2().median()
    deviation = (live.log2() - centre).abs().median() * _MAD_TO_STD
    distance = magnitude.log2() - centre
    limit = max(float(torch.tensor(OUTLIER_FACTOR).log2()), OUTLIER_DEVIATIONS * float(deviation))
    found: list[GainOutlier] = []
    for c in (is_live & (distance >= limit)).nonzero().flatten().tolist():
        others = is_live.clone()
        others[c] = False
        ratio = _over_largest(folded, others)[c] if folded is not None else torch.nan
        width = float(folded[c]) if folded is not None else torch.nan
        found.append(GainOutlier(c, float(gain[c]), float(distance[c].exp2()), width, float(ratio)))
    return tuple(found)


def effective_bits(folded: Tensor, bits: int) -> Tensor:
    """`bits - log2(max over channels / this channel)`, (C,); -inf for a channel of zeros, NaN when all are."""
    return bits + (folded.double() / folded.double().max()).log2()


def range_cost(folded: Tensor, is_live: Tensor) -> RangeCost | None:
    """What the widest channels cost the rest; None with fewer than two channels that are not all zero.

    When the widest channel is dead, all dead channels beyond the live ones stand together, since removing one of them
    leaves the next; otherwise the widest channel stands alone.
    """
    if int((folded > 0.0).sum()) < 2 or not bool(folded.isfinite().all()):
        return None
    top = int(folded.argmax())
    live_max = folded[is_live].max() if bool(is_live.any()) else folded.new_zeros(())
    if not bool(is_live[top]) and bool(live_max > 0.0):
        beyond = (~is_live & (folded > live_max)).nonzero().flatten().tolist()
        return RangeCost(tuple(beyond), True, float((folded[top] / live_max).log2()), int(is_live.sum()))
    others = folded.clone()
    others[top] = 0.0
    return RangeCost((top,), not bool(is_live[top]), float((folded[top] / others.max()).log2()), len(folded) - 1)


def _over_largest(folded: Tensor, among: Tensor) -> Tensor:
    """Each value over the largest one among some; NaN where there is none to compare with."""
    largest = folded[among].max() if bool(among.any()) else folded.new_zeros(())
    return folded / largest if bool(largest > 0.0) else torch.full_like(folded, torch.nan)
