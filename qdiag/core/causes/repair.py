"""The result of `qdiag repair`: the repairs made to a checkpoint, and what they did to the network. Plain numbers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from qdiag.core.causes.fix import FloatChange
from qdiag.core.causes.repair_traits import TRAITS, WRITTEN
from qdiag.core.measures.measurement import SCHEMA_VERSION, Measurement, ModelInfo, StageTime
from qdiag.errors import ConfigError


def check_written(names: Sequence[str]) -> None:
    """Whether the repairs can be written into a checkpoint.

    Raises:
        ConfigError: a name that is unknown or given twice, or a repair that is none of the weights; says what to do.
    """
    if not names:
        raise ConfigError("no repair is named", at="--with", hint=f"give one of {', '.join(WRITTEN)}, or several")
    for i, name in enumerate(names):
        if name not in TRAITS:
            raise ConfigError(f"there is no repair {name!r}", at="--with", hint=f"give one of {', '.join(WRITTEN)}")
        if name in names[:i]:
            raise ConfigError(f"{name} is given twice", at="--with", hint="name each repair once")
        traits = TRAITS[name]
        if traits.must_be_last and i + 1 < len(names):
            raise ConfigError(
                f"{name} comes last: other weights would round otherwise", at="--with", hint="name it at the end"
            )
        if traits.why_not_written is not None:
            reason, hint = traits.why_not_written
            raise ConfigError(f"{name} cannot be written: {reason}", at="--with", hint=hint)


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
        refused: why it was not made.
    """

    repair: str
    layers: tuple[str, ...] = ()
    tensors: tuple[str, ...] = ()
    relative_delta: float = math.nan
    headroom: float | None = None
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class ModelRepair:
    """Everything `qdiag repair` prints.

    Attributes:
        layers: glob patterns that the layers were chosen by; all when empty.
        float_bound: largest relative change of the float output that was allowed.
        steps: in the order given.
        float_change: with all repairs that were made; None when none was.
        before, after: the quantized network; None when no repair was made.
        written_to: the repaired file; None when nothing was written.
    """

    model: ModelInfo
    layers: tuple[str, ...]
    float_bound: float
    steps: tuple[RepairStep, ...]
    float_change: FloatChange | None = None
    before: Measurement | None = None
    after: Measurement | None = None
    written_to: str | None = None
    notes: tuple[str, ...] = ()
    stages: tuple[StageTime, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    @property
    def made(self) -> tuple[RepairStep, ...]:
        return tuple(step for step in self.steps if step.refused is None)
