"""How much each layer's quantizers cost by themselves."""

import math
from dataclasses import dataclass, field
from typing import Literal

from qdiag.core.causes.lost_outputs import SQNR_LIMIT_DB
from qdiag.core.causes.score import Score
from qdiag.core.measures.measurement import SCHEMA_VERSION, DataInfo, ModelInfo, StageTime
from qdiag.core.measures.size import NetworkSize
from qdiag.core.scheme import QuantScheme

SensitivityPart = Literal["both", "weights", "activations"]


@dataclass(frozen=True, slots=True)
class SensitivityRow:
    """One layer.

    Attributes:
        alone: only this layer's quantizers are on. all_but: all are on except this layer's. None when not measured.
        fisher: mean over samples of sum(gradient^2 * local error^2) at the layer's output, the increase of the loss
            that one backward pass predicts; NaN when not computed.
    """

    layer: str
    alone: Score | None = None
    all_but: Score | None = None
    fisher: float = math.nan


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """Everything `qdiag sensitivity` prints.

    Attributes:
        part: which quantizers are switched: of weights, of activations, or both.
        rows: layers with quantizers of their own, in graph order.
        quantized: all quantizers on. quantized_on_fewer: the same on the samples of layers that were measured on fewer,
            where the network is harmed.
        estimate_sample_count: samples behind `fisher`; None where a stored result does not say: then all of them.
        fisher_rank_correlation: Spearman's, between `fisher` and the output SQNR of `alone` (sign turned so that 1 is
            full agreement); NaN when either is missing.
        notes: what a careful reader should know: no estimate where no gradient passes.
        size: bytes in float and quantized; None in what was stored before they were counted.
    """

    model: ModelInfo
    data: DataInfo
    scheme: QuantScheme
    part: SensitivityPart
    rows: tuple[SensitivityRow, ...]
    quantized: Score
    fisher_rank_correlation: float = math.nan
    stages: tuple[StageTime, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION
    notes: tuple[str, ...] = ()
    size: NetworkSize | None = None
    estimate_sample_count: int | None = None
    quantized_on_fewer: tuple[Score, ...] = ()

    @property
    def most_sensitive(self) -> tuple[SensitivityRow, ...]:
        """Rows with `alone`, lowest output SQNR first; before them those whose output is not finite."""
        measured = [(row.alone.output_sqnr_db, row) for row in self.rows if row.alone is not None]
        worst_first = sorted(measured, key=lambda pair: -math.inf if math.isnan(pair[0]) else pair[0])
        return tuple(row for _, row in worst_first)

    @property
    def estimated_count(self) -> int:
        """Layers of which there is the estimate alone, where others were measured; 0 where none was."""
        return len(self.rows) - len(self.most_sensitive) if self.most_sensitive else 0

    def share_of_loss(self, row: SensitivityRow) -> float:
        """How much of what the whole network loses the quantizers of one layer cost alone, 0 to 1.

        Of the figure by which the network is judged; otherwise of the noise power at the output that lost most, both on
        the samples of the layer. NaN where the whole network is within its limit, or the layer was not measured; 0
        where its loss is within noise.
        """
        count = row.alone.task.sample_count if row.alone is not None else 0
        same = next((score for score in self.quantized_on_fewer if score.task.sample_count == count), None)
        return share_of_loss(row.alone, self.quantized, same)

    @property
    def heaviest(self) -> tuple[SensitivityRow, ...]:
        """Rows that cost a part of the loss alone, most first."""
        shares = [(self.share_of_loss(row), row) for row in self.rows]
        ordered = sorted((pair for pair in shares if pair[0] > 0.0), key=lambda pair: -pair[0])
        return tuple(row for _, row in ordered)


def share_of_loss(own: Score | None, whole: Score, same: Score | None = None) -> float:
    """See `Sensitivity.share_of_loss`: of one layer alone, and of the network with all quantizers on.

    Args:
        same: of that network on the samples of the layer, where these are not all.
    """
    if own is None:
        return math.nan
    same = same if same is not None else whole
    if own.task.judged is None or whole.task.judged is None:
        if not whole.output_sqnr_db < SQNR_LIMIT_DB or math.isnan(own.output_sqnr_db):
            return math.nan
        whole_db = same.output_sqnr_db if not math.isnan(same.output_sqnr_db) else whole.output_sqnr_db
        return min(math.pow(10.0, (whole_db - own.output_sqnr_db) / 10.0), 1.0)
    alone, total = own.task.judged, whole.task.judged
    if not total.loss > total.limit:
        return math.nan
    there = same.task.judged if same.task.judged is not None else total
    is_sure = alone.loss_interval.low > 0.0 and alone.loss > alone.limit
    if not is_sure or math.isinf(total.loss) or math.isinf(there.loss):
        return 0.0
    return min(alone.loss / there.loss, 1.0) if there.loss > 0.0 else 1.0
