"""The result of `qdiag bn`: what each BatchNorm does to the weights it is folded into. Plain numbers, no tensors."""

import math
from dataclasses import dataclass, field
from typing import Literal

from qdiag.core.measures.measurement import SCHEMA_VERSION, ModelInfo, StageTime

PairedBy = Literal["graph", "module order", "name and shape"]
Certainty = Literal["certain", "likely", "guess"]
Direction = Literal["conv->bn", "linear->bn", "bn->conv", "bn->linear"]
LayerKind = Literal["conv", "depthwise_conv", "conv_transpose", "linear"]
DeadEvidence = Literal["zero variance", "near-zero variance"]


@dataclass(frozen=True, slots=True)
class PairedLayer:
    """The layer whose weight takes a BatchNorm in.

    Attributes:
        name: module path. weight_name: of the parameter in the model or the state dict.
        direction: which of the two comes first.
        paired_by: how the pair was found. certainty: `certain` from a graph, less from order or names alone.
        not_foldable: why the fold would not be exact; the ranges are then those that it would have.
    """

    name: str
    kind: LayerKind
    weight_name: str
    weight_shape: tuple[int, ...]
    groups: int
    direction: Direction
    paired_by: PairedBy
    certainty: Certainty
    not_foldable: str | None = None


@dataclass(frozen=True, slots=True)
class DeadChannel:
    """A channel that its own variance says is constant (rule and reasons: `qdiag.numerics.bn_audit.dead_channels`).

    Attributes:
        variance: running variance. variance_over_eps: the same in units of eps.
        variance_over_live: the same over the median variance of the layer's live channels; NaN when there are none.
        output_std: what is left of the output's standard deviation, |gamma| sqrt(var / (var + eps)).
        output_constant: the value that the channel gives, beta.
        gain: gamma / sqrt(var + eps).
        folded_max_abs: largest |folded weight| of the channel; NaN without a paired layer.
        range_over_live: the same over the largest one of all live channels; NaN without a layer or live channels.
        sets_range: this channel stretches the per-tensor range beyond what the live channels need.
    """

    channel: int
    evidence: DeadEvidence
    variance: float
    variance_over_eps: float
    variance_over_live: float
    output_std: float
    output_constant: float
    gain: float
    folded_max_abs: float
    range_over_live: float

    @property
    def sets_range(self) -> bool:
        return self.range_over_live > 1.0


@dataclass(frozen=True, slots=True)
class GainOutlier:
    """A live channel whose gain stands out.

    Attributes:
        gain_over_median: |gain| over the median |gain| of the live channels.
        range_over_others: largest |folded weight| over that of all other live channels; NaN without a paired layer.
    """

    channel: int
    gain: float
    gain_over_median: float
    folded_max_abs: float
    range_over_others: float

    @property
    def sets_range(self) -> bool:
        return self.range_over_others > 1.0


@dataclass(frozen=True, slots=True)
class RangeCost:
    """What the widest channels cost the others, when all share one scale.

    Attributes:
        channels: the widest channel alone; or all dead channels beyond the live ones, when the widest is dead.
        is_dead: these channels are dead.
        cost_bits: log2 of the largest |folded weight| over the largest one of the channels that are charged.
        charged_count: how many channels pay: all others, or the live ones.
    """

    channels: tuple[int, ...]
    is_dead: bool
    cost_bits: float
    charged_count: int


@dataclass(frozen=True, slots=True)
class NormTensorNames:
    """Names of the tensors of one BatchNorm in the network; empty where it has none of its own."""

    gamma: str = ""
    beta: str = ""
    variance: str = ""


@dataclass(frozen=True, slots=True)
class BatchNormRecord:
    """One BatchNorm, at one of its calls.

    Attributes:
        index: position in the order of the graph, or of the modules where there is none.
        name: module path, or what the file calls it.
        call: 1 for the first call of this module, 2 for the second, of `call_count`.
        channels: C.
        eps: added to the variance. eps_is_assumed: a bare state dict does not hold it.
        is_affine: gamma and beta are parameters. tracks_statistics: mean and variance are stored.
        layer: where it folds into; None with a note that says why. tensor_names: of its own tensors.
        bits: of the weights that effective bits are counted from.
        gain, variance: per channel, (C,); empty without statistics.
        folded_max_abs: largest |folded weight| per channel, (C,); empty without a paired layer. For a BatchNorm before
            its layer, channels are the layer's inputs.
        live_variance_median: over the channels that are not dead; NaN when all are.
        skip_reason: why nothing could be said about this BatchNorm.
    """

    index: int
    name: str
    call: int
    call_count: int
    channels: int
    eps: float
    eps_is_assumed: bool
    is_affine: bool
    tracks_statistics: bool
    layer: PairedLayer | None
    bits: int
    gain: tuple[float, ...] = ()
    variance: tuple[float, ...] = ()
    folded_max_abs: tuple[float, ...] = ()
    live_variance_median: float = math.nan
    tensor_names: NormTensorNames = NormTensorNames()
    dead: tuple[DeadChannel, ...] = ()
    outliers: tuple[GainOutlier, ...] = ()
    range_cost: RangeCost | None = None
    notes: tuple[str, ...] = ()
    skip_reason: str | None = None

    @property
    def label(self) -> str:
        """Unique among the records: the path, with the number of the call from the second on."""
        return self.name if self.call == 1 else f"{self.name}#{self.call}"

    @property
    def dead_channels(self) -> tuple[int, ...]:
        return tuple(dead.channel for dead in self.dead)

    @property
    def live_channels(self) -> tuple[int, ...]:
        dead = set(self.dead_channels)
        return tuple(c for c in range(self.channels) if c not in dead)

    @property
    def gain_median_abs(self) -> float:
        """Over all channels, dead ones too, as published figures have it; of an even number, the lower middle one."""
        from statistics import median_low  # with the module `random`, which reading a result needs for nothing else

        return median_low(map(abs, self.gain)) if self.gain else math.nan

    @property
    def gain_max_abs(self) -> float:
        return max(map(abs, self.gain), default=math.nan)

    @property
    def scale_channel(self) -> int | None:
        """The channel with the largest |folded weight|, which sets a per-tensor scale; None without a layer."""
        if not self.folded_max_abs or not max(self.folded_max_abs) > 0.0:
            return None
        return self.folded_max_abs.index(max(self.folded_max_abs))

    @property
    def effective_bits(self) -> tuple[float, ...]:
        """`bits - log2(max over channels / this channel)` per channel; -inf for a channel of zeros."""
        largest = max(self.folded_max_abs, default=0.0)
        if not largest > 0.0:
            return ()
        return tuple(
            self.bits + math.log2(value / largest) if value > 0.0 else -math.inf for value in self.folded_max_abs
        )

    @property
    def median_effective_bits(self) -> float:
        """Of the live channels that are not all zero, the one that sets the scale left out; NaN without any."""
        from statistics import median

        bits, scale = self.effective_bits, self.scale_channel
        others = [bits[c] for c in self.live_channels if c != scale and bits[c] > -math.inf] if bits else []
        return median(others) if others else math.nan

    @property
    def dead_range_blowup(self) -> float:
        """Largest |folded weight| of the dead channels over that of the live ones; NaN without either."""
        return max((dead.range_over_live for dead in self.dead), default=math.nan)


@dataclass(frozen=True, slots=True)
class BatchNormAudit:
    """Everything `qdiag bn` prints. What it sees is no cause yet: only a measurement says what a channel costs.

    Attributes:
        route: what the pairs were read from: `fx`, `exported program`, `ONNX`, `LiteRT`, `TorchScript`, `modules`,
            `state dict`.
        bits: of the weights that effective bits are counted from.
    """

    model: ModelInfo
    route: str
    bits: int
    records: tuple[BatchNormRecord, ...]
    notes: tuple[str, ...] = ()
    stages: tuple[StageTime, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    def record(self, label: str) -> BatchNormRecord:
        """The record of one BatchNorm, by its path (and `#2` for its second call).

        Raises:
            KeyError: there is none.
        """
        for record in self.records:
            if record.label == label:
                return record
        raise KeyError(label)

    @property
    def dead_count(self) -> int:
        """Dead channels, each counted once however often its BatchNorm is called."""
        return len({(record.name, channel) for record in self.records for channel in record.dead_channels})
