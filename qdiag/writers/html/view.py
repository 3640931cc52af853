"""What the templates show of one diagnosis, beyond what it says itself."""

import math
from dataclasses import dataclass

from qdiag.core.causes.ranking import Ranking
from qdiag.core.causes.score import Score
from qdiag.core.diagnosis import BitsPoint, Diagnosis
from qdiag.core.listed import listed
from qdiag.core.measures.sensitivity import SensitivityRow
from qdiag.core.measures.task import Criterion
from qdiag.reading.diagnosis import Reading, read
from qdiag.reading.labels import AS_IT_IS
from qdiag.reading.layers.columns import LayerColumn, layer_columns
from qdiag.reading.layers.entry import constants_words
from qdiag.reading.sequence import SequenceRows
from qdiag.reading.words.float_ops import float_op_words, float_share_warning
from qdiag.reading.words.layers import other_widths_words
from qdiag.reading.words.network_end import network_end_words
from qdiag.reading.words.preprocessing import preprocessing_warning
from qdiag.reading.words.task.figures import float_level, level
from qdiag.reading.words.task.sample_counts import are_on_different, is_on_few, layers_on, sweep_words
from qdiag.writers.html.deployed_view import DeployedView, deployed_view
from qdiag.writers.html.filters import capitalize_first
from qdiag.writers.html.layer_view import LayerView, layer_views

_FLOAT_OPS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Bar:
    """One row of a chart made of bars.

    Attributes:
        kind: `float`, `quantized`, `step`, `loss` for a step downward, or `remainder`.
        left, width: in percent of the axis.
        value: where the bar ends, in the unit of the chart. change: against the row before; NaN on the outer rows.
    """

    label: str
    detail: str
    kind: str
    left: float
    width: float
    value: float
    change: float = math.nan


@dataclass(frozen=True, slots=True)
class RunView:
    """One diagnosis on the page.

    Attributes:
        key: `before` or `after`, part of every anchor.
        reading: rows, proposals and sentences, the same as on every surface.
        inputs: that the inputs do not seem to be prepared as in training.
        left_in_float: which operations stayed in float. float_share: that this is too much of the network.
        network_end: what the file has behind the part that is measured.
        lead, reasons: the headline, cut behind its first sentence.
        criterion: what the network is judged by; None for the SQNR of its outputs.
        deployed: the quantized file that was diagnosed.
        columns: of the table of layers. constants: which were left out of it and of the charts, in a sentence.
    """

    key: str
    title: str
    diagnosis: Diagnosis
    reading: Reading
    layers: tuple[LayerView, ...]
    inputs: str | None
    left_in_float: tuple[str, ...]
    float_share: str | None
    network_end: str | None
    lead: str
    reasons: str
    criterion: Criterion | None
    waterfall: tuple[Bar, ...]
    sensitive: tuple[SensitivityRow, ...]
    deployed: DeployedView | None = None
    columns: tuple[LayerColumn, ...] = ()
    constants: str = ""

    @property
    def ranking(self) -> Ranking:
        return self.diagnosis.ranking

    @property
    def task(self) -> str:
        """Name of what the network is judged by; empty for the SQNR of its outputs."""
        return self.criterion.name if self.criterion is not None else ""

    @property
    def names(self) -> tuple[str, ...]:
        """Of all figures."""
        return tuple(figure.criterion.name for figure in self.ranking.before.task.figures)

    @property
    def has_all_but(self) -> bool:
        return any(row.all_but is not None for row in self.sensitive)

    @property
    def has_estimates(self) -> bool:
        return not all(math.isnan(row.fisher) for row in self.sensitive)

    def level(self, score: Score) -> float:
        """By what the network is judged."""
        return level(score, self.criterion)

    def float_level(self, score: Score) -> float:
        """The same of the float network, on the samples of the score."""
        return float_level(score.task, self.criterion)

    @property
    def is_against_labels(self) -> bool:
        """The float network can be wrong too."""
        return self.criterion is not None and not self.criterion.is_against_float

    @property
    def is_swept_on_few(self) -> bool:
        """Layers were measured on fewer samples than the network."""
        return self.diagnosis.sensitivity is not None and is_on_few(self.diagnosis.sensitivity)

    @property
    def other_widths(self) -> str:
        """What stands for formats that come in one width."""
        return other_widths_words(self.diagnosis.measurement.scheme)

    @property
    def sweep_words(self) -> str:
        """Which layers were measured, where not all were."""
        return sweep_words(self.diagnosis.sensitivity) if self.diagnosis.sensitivity is not None else ""

    @property
    def has_bits_on_few(self) -> bool:
        """Other widths were measured on fewer samples than the network."""
        return are_on_different(self.diagnosis.bits)

    @property
    def layers_on(self) -> str:
        """On how many samples layers were measured, where not on all."""
        return layers_on(self.diagnosis.measurement)

    def bits_bar(self, point: BitsPoint) -> float:
        """Length of the bar, in percent."""
        values = [self.level(each.score) for each in self.diagnosis.bits]
        return _share(self.level(point.score), values, self.criterion)

    def sensitivity_bar(self, row: SensitivityRow) -> float:
        """Length of the bar, in percent: output SQNR with this layer alone quantized."""
        values = [each.alone.output_sqnr_db for each in self.sensitive if each.alone]
        return _share(row.alone.output_sqnr_db, values, None) if row.alone else 0.0


def run_view(key: str, title: str, diagnosis: Diagnosis) -> RunView:
    """Everything that the page says about one diagnosis."""
    ranking, reading = diagnosis.ranking, read(diagnosis)
    layers = layer_views(diagnosis)
    lead, stop, reasons = reading.headline.partition(". ")
    return RunView(
        key=key,
        title=title,
        diagnosis=diagnosis,
        reading=reading,
        layers=layers,
        inputs=preprocessing_warning(diagnosis.measurement),
        left_in_float=float_op_words(diagnosis.measurement, _FLOAT_OPS_SHOWN),
        float_share=float_share_warning(diagnosis.measurement),
        network_end=network_end_words(diagnosis.measurement.capture.left_out),
        lead=lead + stop.strip(),
        reasons=reasons,
        criterion=ranking.criterion,
        waterfall=_waterfall(ranking, reading.sequence),
        sensitive=diagnosis.sensitivity.most_sensitive if diagnosis.sensitivity else (),
        deployed=deployed_view(diagnosis),
        columns=layer_columns([layer.entry for layer in layers]),
        constants=constants_words(diagnosis.measurement.records),
    )


def _waterfall(ranking: Ranking, rows: SequenceRows) -> tuple[Bar, ...]:
    """Empty where no repair was stacked; positions on one axis from zero, or from the lowest value below it."""
    if not ranking.waterfall:
        return ()
    criterion = ranking.criterion
    scores = [ranking.before, *(step.after for step in ranking.waterfall)]
    values = [level(score, criterion) for score in scores]
    top = float_level(ranking.before.task, criterion)
    low, high = _axis([*values, top], criterion)

    def place(start: float, end: float) -> tuple[float, float]:
        ends = sorted((_percent(start, low, high), _percent(end, low, high)))
        return ends[0], max(ends[1] - ends[0], 0.3)

    bars = []
    if criterion is not None:
        bars.append(Bar("Float network", "", "float", *place(0.0, top), top))
    bars.append(Bar(capitalize_first(AS_IT_IS), "", "quantized", *place(0.0, values[0]), values[0]))
    falls_for_better = criterion is not None and not criterion.higher_is_better
    for step, before, after in zip(rows.steps, values, values[1:], strict=False):
        where = listed(step.layers) or step.suspect
        is_worse = after > before if falls_for_better else after < before
        kind = "loss" if is_worse else "step"
        bars.append(Bar(step.repair, where, kind, *place(before, after), after, after - before))
    if criterion is not None:
        label = capitalize_first(rows.remainder_label)
        bars.append(Bar(label, "", "remainder", *place(values[-1], top), top, abs(ranking.remainder)))
    return tuple(bars)


def _axis(values: list[float], criterion: Criterion | None) -> tuple[float, float]:
    """Of shares up to 100 %, of dB at least up to 1, of others up to the largest."""
    finite = [value for value in values if math.isfinite(value)]
    low, high = min([0.0, *finite]), max([0.0, *finite])
    if criterion is not None and criterion.is_share:
        return low, 100.0
    return low, max(1.0, high) if criterion is None else high


def _percent(value: float, low: float, high: float) -> float:
    if math.isnan(value) or not high > low:
        return 0.0
    return 100.0 * min(max((value - low) / (high - low), 0.0), 1.0)


def _share(value: float, values: list[float], criterion: Criterion | None) -> float:
    finite = [each for each in values if math.isfinite(each)]
    high = 100.0 if criterion is not None and criterion.is_share else max(finite, default=1.0)
    return _percent(value, min([0.0, *finite]), high)
