"""What every detector is given, and helpers that most of them need."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.core.measures.bn import BatchNormAudit, BatchNormRecord
from qdiag.core.measures.branches import BranchBlock
from qdiag.core.measures.facts import LayerFacts
from qdiag.core.measures.measurement import Measurement
from qdiag.core.measures.quantizer import QuantizerRecord
from qdiag.core.measures.ranges import ChannelRanges
from qdiag.core.measures.records import OpRecord, WeightRecord
from qdiag.core.measures.sensitivity import Sensitivity

LOCAL_HARM_DB = 28.0
"""Local SQNR from which a layer's weights are left in peace: noise of 4 % of the signal's amplitude. In four healthy
networks of 10 to 56 layers with 8 bits and one scale per tensor, layers with weights have 25.9 dB or more, nearly all
above 29; in a MobileNetV1 that loses 67 points, half of them have less than 28."""

CARRIES = 1e-6
"""|weight| or |activation| of a channel, over that of the widest, from which the channel carries anything."""


@dataclass(frozen=True)
class DetectionContext:
    """Everything a detector may look at: plain values only.

    Args:
        facts: one per record of the measurement, in the same order.
        batchnorms: None when nothing is known of BatchNorms. sensitivity: None where it was not measured.
        blocks: parallel linear branches, as the calibration data show them.
        fallen_back: layers that the runtime of a quantized file computes in float, with integers on all sides.

    Raises:
        ValueError: facts and records do not go together.
    """

    measurement: Measurement
    facts: tuple[LayerFacts, ...]
    batchnorms: BatchNormAudit | None = None
    sensitivity: Sensitivity | None = None
    blocks: tuple[BranchBlock, ...] = ()
    fallen_back: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if [record.name for record in self.measurement.records] != [facts.layer for facts in self.facts]:
            raise ValueError("facts and records do not go together")

    @property
    def layers(self) -> Iterator[tuple[OpRecord, LayerFacts]]:
        """Records with their facts, in graph order."""
        return zip(self.measurement.records, self.facts, strict=True)

    def sources(self, record: OpRecord) -> tuple[OpRecord, ...]:
        """The layers whose output this one reads, as far as they have a record."""
        return tuple(self._by_name[name] for name in record.inputs if name in self._by_name)

    def readers(self, record: OpRecord) -> tuple[OpRecord, ...]:
        """The layers that read its output."""
        return tuple(other for other in self.measurement.records if record.name in other.inputs)

    def folded_norms(self, *, is_norm_first: bool = False) -> Iterator[tuple[OpRecord, LayerFacts, BatchNormRecord]]:
        """Layers with a quantized weight that took in the BatchNorm after them, or the one before, and its audit."""
        if self.batchnorms is None or not self.measurement.scheme.fold_batchnorm:
            return
        kept = {norm.name for norm in self.measurement.capture.kept_batchnorms}
        by_weight = {
            norm.layer.weight_name: norm
            for norm in self.batchnorms.records
            if norm.layer is not None
            and norm.layer.not_foldable is None
            and norm.layer.direction.startswith("bn") == is_norm_first
            and norm.name not in kept
        }
        for record, facts in self.layers:
            if record.weight is not None and record.weight.name in by_weight:
                yield record, facts, by_weight[record.weight.name]

    def live_channels(self, record: OpRecord, widths: Sequence[float]) -> list[int]:
        """Output channels that carry anything and that no BatchNorm folded into this layer says are constant.

        Args:
            widths: largest |weight| per output channel.
        """
        dead, least = self._dead.get(record.name, frozenset()), CARRIES * max(widths, default=0.0)
        return [c for c, width in enumerate(widths) if c not in dead and width > least]

    @cached_property
    def _by_name(self) -> dict[str, OpRecord]:
        return {record.name: record for record in self.measurement.records}

    @cached_property
    def _dead(self) -> dict[str, frozenset[int]]:
        return {record.name: frozenset(norm.dead_channels) for record, _, norm in self.folded_norms()}


def finding(
    code: str,
    sites: Iterable[FindingSite],
    repairs: tuple[str, ...] = (),
    *,
    worst: Callable[[float], float] = lambda value: -value,
) -> Finding | None:
    """The sites as one finding, worst first; None without any.

    Args:
        worst: sort key of a site's first figure; as it stands, the largest comes first.
    """
    found = sorted(sites, key=lambda site: worst(site.evidence[0].value))
    return Finding(code, tuple(found), repairs) if found else None


def lowest(value: float) -> float:
    """Sort key: the lowest figure is the worst."""
    return value


def has_own_quantizer(record: OpRecord) -> bool:
    """Its output is quantized, with a range that was found for it; a sign has none."""
    return holds_range(record) and record.quantizer is not None and record.quantizer.shared_with is None


def holds_range(record: OpRecord) -> bool:
    """Its output is quantized in a format with a range, which values may leave or fill badly; a sign has none."""
    return record.quantizer is not None and record.quantizer.has_range


def is_per_tensor(record: OpRecord) -> bool:
    """Its weight is quantized with one scale for all channels."""
    return record.weight is not None and record.weight.is_per_tensor


def loses(record: OpRecord, limit_db: float = LOCAL_HARM_DB) -> bool:
    """The layer alone makes noise that may matter."""
    return record.local.sqnr_db < limit_db


def weight_sqnr_db(record: OpRecord) -> float:
    """SQNR with weights and bias quantized alone; local SQNR where the losses were not measured."""
    measured = record.losses.weight if record.losses is not None else None
    return measured.sqnr_db if measured is not None and measured.count else record.local.sqnr_db


def loses_per_tensor(record: OpRecord, facts: LayerFacts) -> bool:
    """Its weight has one scale, and the layer or its median channel makes noise that may matter.

    The median channel, because few channels that hold all the power hide what the others lose.
    """
    return is_per_tensor(record) and (loses(record) or facts.channel_sqnr_db_median < LOCAL_HARM_DB)


def channel_evidence(record: OpRecord, facts: LayerFacts) -> Evidence:
    """The figure behind `loses_per_tensor`: the lower of the two."""
    if facts.channel_sqnr_db_median < record.local.sqnr_db:
        return Evidence("channel_sqnr", facts.channel_sqnr_db_median, "dB", LOCAL_HARM_DB)
    return local_evidence(record)


def channel_rounding_db(channels: ChannelRanges, channel: int, quantizer: QuantizerRecord) -> float:
    """What rounding alone leaves of one channel of an activation; NaN for zeros."""
    seen = channels.channel(channel)
    return quantizer.expected_sqnr_db(seen, seen.power)


def local_evidence(record: OpRecord, limit_db: float = LOCAL_HARM_DB) -> Evidence:
    """Its local SQNR, against the limit of `loses`."""
    return Evidence("local_sqnr", record.local.sqnr_db, "dB", limit_db)


def effective_bits(weight: WeightRecord, max_abs: Iterable[float], largest: float) -> tuple[float, ...]:
    """Of each channel that is not all zero: the bits it has under a scale that is shared with the largest.

    `bits - log2(largest / max_abs)` with even steps; log2 of the levels in its reach with uneven ones.
    """
    if weight.quantizer is None or not largest > 0.0:
        return ()
    return tuple(weight.quantizer.effective_bits(value, largest) for value in max_abs if value > 0.0)


def bits_limit(weight: WeightRecord, lost: float) -> float:
    """Effective bits from which on a channel has lost that many, see `QuantizerRecord`."""
    return weight.quantizer.bits_limit(lost) if weight.quantizer is not None else math.nan


def median_or_nan(values: Iterable[float]) -> float:
    """The median; NaN of nothing."""
    known = [value for value in values if not math.isnan(value)]
    return median(known) if known else math.nan


def rounding_sqnr_db(record: OpRecord) -> float:
    """`expected_sqnr_db` with the zeros of the calibration data, which a ReLU makes and rounding leaves exact.

    Uneven levels have next to no noise at zero in the first place.
    """
    is_even = record.quantizer is not None and record.quantizer.scale is not None
    zeros = record.range.zero_fraction if record.range is not None and is_even else 0.0
    return record.expected_sqnr_db - 10.0 * math.log10(1.0 - zeros) if zeros < 1.0 else math.inf


def sqnr_limit_db(record: OpRecord, limit_db: float) -> float:
    """The limit as it holds for the format of the output, see `QuantizerRecord`."""
    return record.quantizer.sqnr_limit_db(limit_db) if record.quantizer is not None else limit_db


def ratio(part: float, whole: float) -> float:
    """`part / whole`; infinite over zero, NaN for 0 / 0."""
    if whole > 0.0:
        return part / whole
    return math.inf if part > 0.0 else math.nan


def below_step_percent(record: OpRecord) -> float:
    """Share of its values on the calibration data, zeros left out, that lie within one step of zero; NaN if unknown.

    Uneven levels have the widest of the two steps beside zero.
    """
    seen, quantizer = record.range, record.quantizer
    if seen is None or seen.histogram is None or quantizer is None or not seen.zero_fraction < 1.0:
        return math.nan
    step, width, total = 2.0 * quantizer.zero_bound, seen.histogram.bin_width, seen.histogram.total
    inside = 0.0
    for i, count in enumerate(seen.histogram.counts, seen.histogram.first_bin):
        covered = min(step, (i + 1) * width) - max(-step, i * width)
        inside += count * min(1.0, max(0.0, covered / width))
    others = (1.0 - seen.zero_fraction) * total
    return 100.0 * max(0.0, inside - seen.zero_fraction * total) / others if others >= 1.0 else math.nan


def by_far_the_weakest(
    context: DetectionContext, *, position: int, margin_db: float, local_db: float
) -> FindingSite | None:
    """The layer with weights at one end of the network, where its local SQNR lies that far below all others.

    Args:
        position: 0 for the first, -1 for the last; of three layers and more.
    """
    weighted = [record for record, facts in context.layers if facts.weight is not None]
    if len(weighted) < 3:
        return None
    chosen = weighted.pop(position)
    margin = min(record.local.sqnr_db for record in weighted) - chosen.local.sqnr_db
    if not (margin >= margin_db and loses(chosen, local_db)):
        return None
    evidence = (Evidence("margin", margin, "dB", margin_db), local_evidence(chosen, local_db))
    return FindingSite(chosen.name, (), evidence)
