"""The result of `qdiag repair` and `qdiag fix-bn`: changes of a checkpoint, and what they did. Plain numbers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from qdiag.core.causes.repair_traits import TRAITS, WRITTEN
from qdiag.core.measures.measurement import SCHEMA_VERSION, Measurement, ModelInfo, OutputRecord, StageTime
from qdiag.core.measures.size import NetworkSize
from qdiag.core.measures.task import TaskResult
from qdiag.core.presentation.presented import Held
from qdiag.errors import ConfigError

FLOAT_BOUND = 1e-3
"""Largest |change| of a float output over its largest |value|, unless a user allows more: far below one step of an
8-bit quantizer, 1 / 255."""


def check_written(names: Sequence[str]) -> None:
    """Whether the repairs can be written into a checkpoint.

    Raises:
        ConfigError: a name that is unknown or given twice, or a repair that is none of the weights; says what to do.
    """
    if not names:
        raise ConfigError("no repair is named", at="`repairs`", hint=f"give one of {', '.join(WRITTEN)}, or several")
    for i, name in enumerate(names):
        if name not in TRAITS:
            raise ConfigError(f"there is no repair {name!r}", at="`repairs`", hint=f"give one of {', '.join(WRITTEN)}")
        if name in names[:i]:
            raise ConfigError(f"{name} is given twice", at="`repairs`", hint="name each repair once")
        traits = TRAITS[name]
        if traits.writes == "graph" and i > 0:
            raise ConfigError(
                f"{name} comes first: the others are then made in the network that it gives",
                at="`repairs`",
                hint="name it at the beginning",
            )
        if traits.must_be_last and i + 1 < len(names):
            raise ConfigError(
                f"{name} comes last: other weights would round otherwise", at="`repairs`", hint="name it at the end"
            )
        if traits.why_not_written is not None:
            reason, hint = traits.why_not_written
            raise ConfigError(f"{name} cannot be written: {reason}", at="`repairs`", hint=hint)


def changes_graph(names: Sequence[str]) -> bool:
    """The first of the repairs gives a network of other layers, which no copy of the file that was read can hold."""
    return bool(names) and TRAITS[names[0]].writes == "graph"


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
        task: figures of both.
        relative_delta: largest |difference| over the largest |value| of the same output, the worst output counts.
    """

    outputs: tuple[OutputRecord, ...]
    task: TaskResult
    relative_delta: float

    @property
    def max_abs_delta(self) -> float:
        return max((output.error.max_abs_error for output in self.outputs), default=0.0)


@dataclass(frozen=True, slots=True)
class RepairStep:
    """One repair, on top of those before it.

    Attributes:
        layers: where it changed something; empty when refused.
        tensors: names of the tensors in the model with new values.
        relative_delta: largest |change| of a float output over its largest |value|, this repair and those before it
            together; NaN when it was refused before that.
        headroom: how many times as far out as on the calibration data values may lie before a bound such as ReLU6's
            changes them; None for repairs that meet no bound.
        batchnorms: the BatchNorms whose channels it treats, each channel with what became of it.
        refused: why it was not made.
    """

    repair: str
    layers: tuple[str, ...] = ()
    tensors: tuple[str, ...] = ()
    relative_delta: float = math.nan
    headroom: float | None = None
    batchnorms: tuple[LayerFix, ...] = ()
    refused: str | None = None


@dataclass(frozen=True, slots=True, repr=False)
class ModelRepair(Held):
    """Everything `qdiag repair` and `qdiag fix-bn` print.

    Attributes:
        layers: glob patterns that the layers, or the BatchNorms, were chosen by; all when empty.
        threshold: variance over eps up to which a channel was taken for dead; None when the rule of `qdiag bn` decided.
        float_bound: largest relative change of the float output that was allowed.
        steps: in the order given.
        float_change: with all repairs that were made; None when none was, or when nothing was measured.
        before, after: the quantized network; None when no repair was made, or when nothing was measured.
        unproved: why nothing was measured; None when it was.
        written_to: the repaired file; None when nothing was written.
        size: of the network before the repair; None where the network was not run.
    """

    model: ModelInfo
    layers: tuple[str, ...]
    float_bound: float
    steps: tuple[RepairStep, ...]
    threshold: float | None = None
    float_change: FloatChange | None = None
    before: Measurement | None = None
    after: Measurement | None = None
    unproved: str | None = None
    written_to: str | None = None
    notes: tuple[str, ...] = ()
    size: NetworkSize | None = None
    stages: tuple[StageTime, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    @property
    def made(self) -> tuple[RepairStep, ...]:
        return tuple(step for step in self.steps if step.refused is None)

    @property
    def exit_code(self) -> int:
        """1 where every repair was refused: nothing was written."""
        return 0 if self.made else 1

    @property
    def batchnorms(self) -> tuple[LayerFix, ...]:
        return tuple(fix for step in self.steps for fix in step.batchnorms)

    @property
    def dead_count(self) -> int:
        return sum(len(fix.channels) for fix in self.batchnorms)

    @property
    def fixed_count(self) -> int:
        return sum(fix.fixed_count for fix in self.batchnorms)

    @property
    def refused_channels(self) -> Sequence[tuple[LayerFix, ChannelFix]]:
        return [(fix, c) for fix in self.batchnorms for c in fix.channels if c.refused is not None]
