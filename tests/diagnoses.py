"""Hand-made diagnoses: a MobileNet-like network with planted faults, no network behind them. Figures are plausible."""

import math
from dataclasses import replace

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.core.causes.ranking import Harm, Ranking
from qdiag.core.causes.score import Score
from qdiag.core.diagnosis import BitsPoint, Diagnosis, RepairedNetwork
from qdiag.core.measures.bn import BatchNormAudit
from qdiag.core.measures.facts import BiasFacts, LayerFacts, WeightFacts
from qdiag.core.measures.float_ops import FloatOp, FloatShare
from qdiag.core.measures.measurement import Measurement, OutputRecord, StageTime
from qdiag.core.measures.outcomes import SampleOutcomes, pack_bits
from qdiag.core.measures.preprocessing import NormInput, PreprocessingCheck, PreprocessingTrial
from qdiag.core.measures.ranges import ChannelRanges, Histogram, TensorRange
from qdiag.core.measures.records import OpRecord
from qdiag.core.measures.sensitivity import Sensitivity, SensitivityRow
from qdiag.core.measures.task import UNDEFINED, Interval, PairedCounts, TaskResult
from tests.diagnosis_layers import layer_facts, mobile_records
from tests.diagnosis_parts import (
    FLOAT_RIGHT,
    SAMPLES,
    batchnorms,
    harmed_causes,
    harmed_waterfall,
    per_channel_trial,
    repaired_causes,
    score,
)
from tests.figures import harm
from tests.measurements import awkward_measurement, many_records, measurement, sums


def diagnosis() -> Diagnosis:
    """Harmed: top-1 76.4 -> 9.0 %, two causes (QD301, QD101), one undecided, one harmless, one with a refused trial."""
    causes = harmed_causes()
    first_layer = Finding("QD405", (FindingSite("stem.conv", (), (Evidence("local_sqnr_db", 36.1, "dB"),)),))
    before = score(1.1, 45, 61)
    ranking = Ranking(
        harm=harm(before.task.figures[0], "harmed"),
        before=before,
        findings=(*(finding for cause in causes for finding in cause.findings), first_layer),
        causes=causes,
        waterfall=harmed_waterfall(),
        way_around=per_channel_trial(),
        pass_count=4,
        variant_count=17,
        notes=("2 layers were left out of the placebo: they have findings of their own",),
    )
    found = _diagnosis(_measured(mobile_records(harmed=True), before), ranking, batchnorms(), with_sweeps=True)
    records = (replace(record, range=None, losses=None) for record in mobile_records(harmed=False))
    return replace(found, repaired_network=RepairedNetwork(32, tuple(records)))


def repaired_diagnosis() -> Diagnosis:
    """The same network, data and scheme after both repairs: top-1 76.4 -> 74.8 %; no cause is left."""
    causes = repaired_causes()
    after = score(17.8, 374, 390, simulated_only=9)
    ranking = Ranking(
        harm=harm(after.task.figures[0], "undecided"),
        before=after,
        findings=tuple(finding for cause in causes for finding in cause.findings),
        causes=causes,
        pass_count=2,
        variant_count=6,
    )
    base = _measured(mobile_records(harmed=False), after)
    model = replace(base.model, source="fixed.safetensors", digest="77ab" + "0" * 60)
    return _diagnosis(replace(base, model=model), ranking, batchnorms(repaired=True), with_sweeps=True)


def healthy_diagnosis() -> Diagnosis:
    """Nothing to repair: top-1 76.4 -> 76.6 %, and the interval excludes a drop of 1 point."""
    after = score(31.5, 383, 492, simulated_only=1)
    ranking = Ranking(
        harm(after.task.figures[0], "healthy"), after, findings=(), causes=(), pass_count=1, variant_count=1
    )
    return _diagnosis(_measured(mobile_records(harmed=False), after), ranking, None, with_sweeps=False)


def unlabelled_diagnosis() -> Diagnosis:
    """The harmed network without labels: agreement with the float network's top-1 instead of accuracy."""
    causes = harmed_causes(is_labelled=False)
    before = score(1.1, None, 61)
    ranking = Ranking(
        harm=harm(before.task.figures[0], "harmed"),
        before=before,
        findings=tuple(finding for cause in causes for finding in cause.findings),
        causes=causes,
        waterfall=harmed_waterfall(is_labelled=False),
        way_around=per_channel_trial(is_labelled=False),
        pass_count=4,
        variant_count=17,
    )
    base = _measured(mobile_records(harmed=True), before)
    base = replace(base, data=replace(base.data, is_labelled=False))
    return _diagnosis(base, ranking, batchnorms(), with_sweeps=True)


def doubtful_diagnosis() -> Diagnosis:
    """`diagnosis` with inputs that were prepared for another network, and much of the network in float."""
    base = diagnosis()
    norm = NormInput("stem.bn", 24, 1.71, 0.212)
    trials = (
        PreprocessingTrial(
            (("preset", "none"), ("crop", "224")), replace(norm, mean_shift=0.9), PairedCounts(9, 2, 1, 52)
        ),
        PreprocessingTrial(
            (("preset", "tf"), ("crop", "224")), NormInput("stem.bn", 24, 0.06, 0.98), PairedCounts(9, 40, 1, 14)
        ),
    )
    left = (
        FloatOp("rnn", "lstm", "the simulator does not know this operation", 0.31, 0.42),
        FloatOp("head.fc", "linear", "kept in float by the scheme", 0.11, 0.002),
    )
    doubtful = replace(
        base.measurement,
        float_ops=left,
        float_share=FloatShare(0.42, 0.422),
        preprocessing=PreprocessingCheck(64, (norm,), 10, 64, trials),
    )
    options = (
        "--data",
        "photos",
        "--preset",
        "imagenet-stats",
        "--crop",
        "224",
        "--mean",
        "0.5",
        "--scheme",
        "tf-uint8",
    )
    return replace(base, measurement=doubtful, options=options)


def awkward_diagnosis() -> Diagnosis:
    """Infinite, undefined and empty figures in every place where they can occur, and names that need escaping."""
    nan, inf = math.nan, math.inf
    base = awkward_measurement()
    odd = replace(base.records[3], name='a|b<c>&"d"\n`e`é', module_path="")
    base = replace(base, records=(*base.records[:3], odd, *base.records[4:]))
    nothing = Score((), TaskResult(0))
    undefined = Score((OutputRecord("output", (), sums(-inf)), OutputRecord("aux", (2,), sums(inf))), base.task)
    odd_site = FindingSite(odd.name, (0, 3), (Evidence("ratio", inf, "x", 4.0), Evidence("other", nan)))
    findings = (Finding("QD901", (odd_site, FindingSite("gone"))), Finding("QD902", ()), Finding("QD103", (odd_site,)))
    cause = replace(harmed_causes()[0], sites=(), findings=(), trials=())
    endless = Interval(-inf, nan)
    trials = tuple(
        replace(trial, after=undefined, recovery=replace(trial.recovery, recovered_db=inf, db_interval=endless))
        for trial in harmed_causes()[0].trials
        if trial.recovery is not None
    )  # fmt: skip
    unmeasured = replace(
        trials[0],
        layers=(),
        after=nothing,
        recovery=replace(trials[0].recovery, recovered_task=nan, task_interval=UNDEFINED, pairs=None),
    )
    ranking = Ranking(
        harm=Harm(base.task.figures[0].criterion, nan, UNDEFINED, nan, "undecided"),
        before=undefined,
        findings=findings,
        causes=(replace(cause, sites=(odd_site,), findings=findings, trials=(*trials, unmeasured)), cause),
        way_around=unmeasured,
    )
    empty = TensorRange(0, 0, 3, inf, -inf, nan, nan, nan, nan, (), Histogram(0.5, 0, ()))
    weight = WeightFacts((-inf, nan), (inf, nan), nan, inf, 0, 0, nan, inf)
    facts = tuple(LayerFacts(record.name, record.kind) for record in base.records)
    bias = BiasFacts(32, inf, (), nan)
    channels = ChannelRanges(0, (), (), (), (), (), ())
    worst = replace(
        facts[3], clamp=(0.0, inf), weight=weight, bias=bias, measured_range=empty, channels=channels, consumers=("",)
    )
    rows = (SensitivityRow(odd.name, undefined, nothing, inf), SensitivityRow("x"))
    sweep = Sensitivity(base.model, base.data, base.scheme, "weights", rows, nothing)
    audit = replace(batchnorms(), records=(replace(batchnorms().records[0], gain=(nan, -inf), variance=(inf, 0.0)),))
    return Diagnosis(
        base, (*facts[:3], worst, *facts[4:]), ranking, audit, sweep, (BitsPoint(8, nothing), BitsPoint(2, undefined))
    )


def long_diagnosis(layers: int = 300) -> Diagnosis:
    """A deep network; harmless where the planted weak layer is, so that tables and charts have to cope with length."""
    after = score(14.0, 330, 400, simulated_only=9)
    weak = FindingSite(many_records(layers)[layers // 3].name, (0,), (Evidence("range_over_others", 4.6, "x", 4.0),))
    finding = Finding("QD101", (weak,), ("clip_weights",))
    cause = replace(harmed_causes()[1], rank=1, sites=(weak,), findings=(finding,))
    ranking = Ranking(harm(after.task.figures[0], "harmed"), after, (finding,), (cause,), pass_count=2, variant_count=4)
    return _diagnosis(_measured(many_records(layers), after), ranking, batchnorms(), with_sweeps=True)


def with_outcomes(whole: Diagnosis, *, from_end: bool = False) -> Diagnosis:
    """The same with outcomes of single samples; those that the quantized network still gets right at either end."""
    task = whole.measurement.task
    columns, agree = {}, [True] * (task.agreement.counts.both if task.agreement and task.agreement.counts else 0)
    if task.accuracy is not None and task.accuracy.counts is not None:
        c = task.accuracy.counts
        both, lost = [(True, True)] * c.both, [(True, False)] * c.reference_only
        pairs = [
            *(lost + both if from_end else both + lost),
            *[(False, True)] * c.simulated_only,
            *[(False, False)] * c.neither,
        ]
        reference, simulated = (pack_bits(pair[i] for pair in pairs) for i in range(2))
        columns[task.accuracy.criterion.name] = (reference, simulated)
        agree = [*(r and s for r, s in pairs if r or s), *[True] * (len(agree) - c.both)]
    agree += [False] * (task.sample_count - len(agree))
    columns["agreement"] = ("", pack_bits(agree))
    figures = tuple(
        replace(figure, outcomes=SampleOutcomes(task.sample_count, *columns[figure.criterion.name]))
        if figure.criterion.name in columns
        else figure
        for figure in task.figures
    )
    return replace(whole, measurement=replace(whole.measurement, task=replace(task, figures=figures)))


def _measured(records: tuple[OpRecord, ...], whole: Score) -> Measurement:
    base = measurement(records)
    return replace(base, outputs=whole.outputs, task=whole.task)


def _diagnosis(
    base: Measurement, ranking: Ranking, audit: BatchNormAudit | None, *, with_sweeps: bool
) -> Diagnosis:  # fmt: skip
    sensitivity, bits = None, ()
    if with_sweeps:
        rows = tuple(_sensitivity_row(index, record) for index, record in enumerate(base.records) if record.quantizer)
        sensitivity = Sensitivity(base.model, base.data, base.scheme, "both", rows, ranking.before, 0.87)
        worst = ranking.before.output_sqnr_db
        points = ((4, -2.0, 0.02), (6, 0.0, 0.6), (8, worst, 1.0), (16, worst + 45.0, 1.1))
        bits = tuple(
            BitsPoint(b, score(db, min(FLOAT_RIGHT, round(share * 340)), min(SAMPLES, round(share * 430)), 0))
            for b, db, share in points
        )
    return Diagnosis(
        measurement=base,
        facts=tuple(layer_facts(record) for record in base.records),
        ranking=ranking,
        batchnorms=audit,
        sensitivity=sensitivity,
        bits=bits,
        stages=(StageTime("capture", 1.5), StageTime("measure", 16.25), StageTime("rank", 41.0)),
        versions=dict(base.versions),
    )


def _sensitivity_row(index: int, record: OpRecord) -> SensitivityRow:
    alone = max(record.local.sqnr_db - 3.0, 0.5)
    right = round(FLOAT_RIGHT * min(1.0, alone / 14.0))
    agree = min(SAMPLES, round(SAMPLES * min(1.0, alone / 13.0)))
    all_but = score(1.0 + 4.0 / alone, 46, 62, 7)
    return SensitivityRow(record.name, score(alone, right, agree, 0), all_but, 10 ** (-alone / 10) / (index + 1))
