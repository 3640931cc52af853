"""The result of `qdiag fix-bn`: which channels got which values, and what that did to the network. Plain numbers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from qdiag.core.measures.measurement import SCHEMA_VERSION, Measurement, ModelInfo, OutputRecord, StageTime
from qdiag.core.measures.task import TaskResult

Method = Literal["mean", "constant"]


@dataclass(frozen=True, slots=True)
class ChannelFix:
    """One dead channel.

    Attributes:
        variance_before, variance_after: running variance.
        gain_before, gain_after: gamma / sqrt(variance + eps).
        output_constant: the value that the channel gives, before and after: beta.
        folded_max_abs_before, folded_max_abs_after: largest |folded weight| of the channel; NaN where no layer takes
            the BatchNorm in.
        refused: why nothing was changed; `after` then equals `before`.
    """

    channel: int
    variance_before: float
    variance_after: float
    gain_before: float
    gain_after: float
    output_constant: float
    folded_max_abs_before: float
    folded_max_abs_after: float
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class LayerFix:
    """One BatchNorm with dead channels.

    Attributes:
        name: module path. folds_into: the layer that takes it in; None without one.
        channel_count: C.
        channels: the dead ones.
        gain_max_abs_before, gain_max_abs_after: over all channels.
        folded_max_abs_before, folded_max_abs_after: over all channels; NaN without a layer.
    """

    name: str
    folds_into: str | None
    channel_count: int
    channels: tuple[ChannelFix, ...]
    gain_max_abs_before: float
    gain_max_abs_after: float
    folded_max_abs_before: float
    folded_max_abs_after: float

    @property
    def fixed_count(self) -> int:
        return sum(channel.refused is None for channel in self.channels)

    @property
    def refused_count(self) -> int:
        return len(self.channels) - self.fixed_count


@dataclass(frozen=True, slots=True)
class FloatChange:
    """The float network before (reference) and after (simulated) the repair, on the same samples.

    Attributes:
        outputs: differences at every float output.
        task: top-1 of both, and how often they agree.
        relative_delta: largest |difference| over the largest |value| of the same output, the worst output counts.
    """

    outputs: tuple[OutputRecord, ...]
    task: TaskResult
    relative_delta: float

    @property
    def max_abs_delta(self) -> float:
        return max((output.error.max_abs_error for output in self.outputs), default=0.0)


@dataclass(frozen=True, slots=True)
class BatchNormFix:
    """Everything `qdiag fix-bn` prints.

    Attributes:
        threshold: variance over eps up to which a channel was taken for dead; None when the rule of `qdiag bn` decided.
        float_bound: largest relative change of the float output that was allowed.
        layers: BatchNorms with dead channels, in order.
        float_change: None when nothing was measured, then `unproved` says why.
        before, after: the quantized network.
        written_to: the repaired file; None when nothing was written.
    """

    model: ModelInfo
    method: Method
    threshold: float | None
    float_bound: float
    layers: tuple[LayerFix, ...]
    float_change: FloatChange | None = None
    before: Measurement | None = None
    after: Measurement | None = None
    unproved: str | None = None
    written_to: str | None = None
    notes: tuple[str, ...] = ()
    stages: tuple[StageTime, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    @property
    def dead_count(self) -> int:
        return sum(len(layer.channels) for layer in self.layers)

    @property
    def fixed_count(self) -> int:
        return sum(layer.fixed_count for layer in self.layers)

    @property
    def refused(self) -> Sequence[tuple[LayerFix, ChannelFix]]:
        return [(layer, c) for layer in self.layers for c in layer.channels if c.refused is not None]
