"""A dead BatchNorm channel gets a gain that no longer stretches the folded weight. No data are needed.

What stays: the channel's output. Its input is a constant, c, and while it is, the running mean approaches c as the
running variance approaches zero: with momentum m, (c - mean)^2 falls as (1 - m)^(2t), the variance as (1 - m)^t. So
c - mean is far below sqrt(variance) by the time the variance is far below eps, and the output beta + gain (c - mean) is
beta whatever the gain. Data can disagree (dead in training, alive elsewhere), so callers measure what moved.

`mean` (arXiv 1803.08607, section 3.1): the variance becomes the mean variance of the layer's live channels. The folded
weight keeps its direction and gets the size that the other channels have; training can go on from there.

`constant`: gamma becomes 0. Folding gives W' = 0 and b' = beta - 0 mean = beta, which is the constant, exactly and
after any quantization of the weight. beta is right already and is not written. The channel can learn nothing more than
its constant unless gamma is trained again.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from qdiag.core.causes.fix import ChannelFix, LayerFix, Method
from qdiag.core.measures.bn import BatchNormRecord
from qdiag.repairs.edit import ChannelEdit


@dataclass(frozen=True)
class Proposal:
    """What would be done to one BatchNorm: a row for every dead channel, an edit for each that is not refused."""

    fix: LayerFix
    edits: tuple[ChannelEdit, ...]


def propose(
    record: BatchNormRecord, tensors: Mapping[str, Tensor], method: Method, threshold: float | None = None
) -> Proposal | None:
    """The repair of one BatchNorm; None when it has no dead channel.

    Args:
        record: what the audit says about it.
        tensors: those of the network, by name; they are left as they are.
        threshold: channels with variance <= threshold * eps are dead; None leaves that to the audit.
    """
    dead = dead_channels_of(record, threshold)
    if not dead:
        return None
    names = _Names(record.name)
    refusal = _refusal(record, tensors, names, method, len(dead))
    live = [record.variance[c] for c in range(record.channels) if c not in dead]
    new_variance = math.fsum(live) / len(live) if live else math.nan
    gamma, beta = (None if name not in tensors else tensors[name].detach() for name in (names.gamma, names.beta))
    rows, edits = [], []
    for c in sorted(dead):
        variance, gain = record.variance[c], record.gain[c]
        g = 1.0 if gamma is None else float(gamma[c])
        reason = refusal
        if reason is None and method == "constant" and g == 0.0:
            reason = "gamma is zero already: the channel folds to nothing"
        if reason is not None:
            variance_after, gain_after = variance, gain
        elif method == "mean":
            variance_after, gain_after = new_variance, g / math.sqrt(new_variance + record.eps)
            edits.append(ChannelEdit(record.name, c, {names.variance: new_variance}))
        else:
            variance_after, gain_after = variance, 0.0
            edits.append(ChannelEdit(record.name, c, {names.gamma: 0.0}))
        folded = record.folded_max_abs[c] if record.folded_max_abs else math.nan
        folded_after = folded * abs(gain_after / gain) if gain else folded
        constant = 0.0 if beta is None else float(beta[c])
        rows.append(ChannelFix(c, variance, variance_after, gain, gain_after, constant, folded, folded_after, reason))
    return Proposal(layer_fix(record, tuple(rows)), tuple(edits))


def dead_channels_of(record: BatchNormRecord, threshold: float | None) -> frozenset[int]:
    """Dead channels by the audit's evidence, or by the threshold alone."""
    if threshold is None:
        return frozenset(record.dead_channels)
    return frozenset(c for c, variance in enumerate(record.variance) if variance <= threshold * record.eps)


def layer_fix(record: BatchNormRecord, rows: tuple[ChannelFix, ...]) -> LayerFix:
    """The rows with what they do to the layer as a whole."""
    gain, folded = list(map(abs, record.gain)), list(record.folded_max_abs)
    for row in rows:
        gain[row.channel] = abs(row.gain_after)
        if folded:
            folded[row.channel] = row.folded_max_abs_after
    return LayerFix(
        name=record.name,
        folds_into=record.layer.name if record.layer is not None else None,
        channel_count=record.channels,
        channels=rows,
        gain_max_abs_before=record.gain_max_abs,
        gain_max_abs_after=max(gain),
        folded_max_abs_before=max(record.folded_max_abs, default=math.nan),
        folded_max_abs_after=max(folded, default=math.nan),
    )


@dataclass(frozen=True)
class _Names:
    """Tensor names of a BatchNorm at a module path."""

    path: str

    def _join(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    @property
    def gamma(self) -> str:
        return self._join("weight")

    @property
    def beta(self) -> str:
        return self._join("bias")

    @property
    def variance(self) -> str:
        return self._join("running_var")


def _refusal(
    record: BatchNormRecord, tensors: Mapping[str, Tensor], names: _Names, method: Method, dead_count: int
) -> str | None:
    """Why no channel of this BatchNorm can be repaired by the method; None when they can."""
    needed = names.variance if method == "mean" else names.gamma
    if method == "constant" and not record.is_affine:
        return "it has no gamma that could be zero: use the method mean"
    if needed not in tensors or tensors[needed].shape != (record.channels,):
        return f"the model stores no {needed} of its own"
    if method == "mean" and dead_count == record.channels:
        return (
            "every channel of the layer is dead, so there is no variance to take the mean of: use the method constant"
        )
    return None
