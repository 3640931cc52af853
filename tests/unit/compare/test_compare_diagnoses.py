"""What is refused, what got better or worse, which causes came and went."""

import math
from dataclasses import replace

import pytest

from qdiag.compare.diagnoses import compare_diagnoses, judge_change
from qdiag.core.causes.findings import FindingSite
from qdiag.core.diagnosis import Diagnosis
from qdiag.core.measures.branches import BlockLayers
from qdiag.core.measures.measurement import OutputRecord
from qdiag.core.measures.task_change import Change
from qdiag.errors import ConfigError
from qdiag.reading.words.comparison.sentences import matching_words
from qdiag.writers.plots.two_errors import compared_errors_figure
from tests import diagnoses
from tests.figures import metric, with_metrics
from tests.measurements import sums


def changed(whole: Diagnosis, **parts: object) -> Diagnosis:
    return replace(whole, measurement=replace(whole.measurement, **parts))  # type: ignore[arg-type]


def renamed(whole: Diagnosis, prefix: str) -> Diagnosis:
    records = tuple(replace(record, name=prefix + record.name) for record in whole.measurement.records)
    causes = tuple(
        replace(cause, sites=tuple(FindingSite(prefix + site.layer, site.channels) for site in cause.sites))
        for cause in whole.ranking.causes
    )
    return replace(changed(whole, records=records), ranking=replace(whole.ranking, causes=causes))


def test_a_repair_makes_layers_better_and_causes_go() -> None:
    result = compare_diagnoses(diagnoses.diagnosis(), diagnoses.repaired_diagnosis())
    assert result.count("worse") == 0
    assert {cause.code for cause in result.causes_with("gone")} == {"QD301", "QD101"}
    assert not result.causes_with("appeared")
    gone = result.causes_with("gone")[0]
    assert (gone.verdict_before, gone.verdict_after, gone.layers_after) == ("cause", None, ())
    assert gone.recovered_before == pytest.approx(56.4)
    assert math.isnan(gone.recovered_after)
    local = [layer.name for layer in result.layers if layer.local == "better"]
    assert set(local) == {f"blocks.{i}.dw" for i in (0, 1, 2, 5, 10, 11, 12)}
    assert {layer.name for layer in result.changed[:7]} == set(local)
    assert {difference.name for difference in result.differences} == {"model.source", "model.digest"}


def test_the_other_way_round_causes_appear() -> None:
    result = compare_diagnoses(diagnoses.repaired_diagnosis(), diagnoses.diagnosis())
    assert [cause.code for cause in result.causes_with("appeared")] == ["QD301", "QD101"]
    assert result.count("better") == 0
    assert result.count("worse") > 7


def test_a_diagnosis_compared_with_itself_changes_nothing() -> None:
    whole = diagnoses.diagnosis()
    result = compare_diagnoses(whole, whole)
    assert result.changed == ()
    assert result.count("same") == len(whole.measurement.records)
    assert {cause.status for cause in result.causes} == {"remains", "suspect"}
    assert result.differences == result.missing == result.new == ()


def test_causes_of_renamed_layers_remain() -> None:
    result = compare_diagnoses(diagnoses.diagnosis(), renamed(diagnoses.diagnosis(), "net."))
    assert [cause.code for cause in result.causes_with("remains")] == ["QD301", "QD101"]
    assert {layer.certainty for layer in result.layers} == {"likely"}
    assert result.causes[0].layers_after[0] == "net.blocks.0.dw"


def test_the_same_code_elsewhere_is_another_cause() -> None:
    whole = diagnoses.diagnosis()
    first, second, *rest = whole.ranking.causes
    moved = replace(second, sites=(FindingSite("blocks.3.dw"),))
    after = replace(whole, ranking=replace(whole.ranking, causes=(first, moved, *rest)))
    result = compare_diagnoses(whole, after)
    assert [(c.code, c.layers_after) for c in result.causes_with("appeared")] == [("QD101", ("blocks.3.dw",))]
    assert [(c.code, c.layers_before) for c in result.causes_with("gone")] == [("QD101", ("blocks.12.dw",))]
    assert [c.code for c in result.causes_with("remains")] == ["QD301"]


def test_a_cause_that_is_no_longer_claimed_is_gone_and_says_what_became_of_it() -> None:
    whole = diagnoses.diagnosis()
    first, *rest = whole.ranking.causes
    after = replace(whole, ranking=replace(whole.ranking, causes=(replace(first, verdict="harmless"), *rest)))
    (gone,) = compare_diagnoses(whole, after).causes_with("gone")
    assert (gone.code, gone.verdict_after) == ("QD301", "harmless")
    (appeared,) = compare_diagnoses(after, whole).causes_with("appeared")
    assert appeared.verdict_before == "harmless"


def test_a_way_around_is_named_only_where_nothing_else_helped() -> None:
    whole = diagnoses.diagnosis()
    first, *rest = whole.ranking.causes
    *keeping, around = first.trials
    assert around.recovery is not None
    useless = tuple(replace(trial, recovery=rest[2].trials[0].recovery) for trial in keeping)
    after = replace(whole, ranking=replace(whole.ranking, causes=(replace(first, trials=(*useless, around)), *rest)))
    change = compare_diagnoses(whole, after).causes_with("remains")[0]
    assert change.code == "QD301"
    assert change.recovered_before == pytest.approx(56.4)
    assert change.recovered_after == pytest.approx(around.recovery.recovered_task) == pytest.approx(67.2)


@pytest.mark.parametrize(
    ("before", "after", "limit", "change"),
    [
        (30.0, 30.9, 1.0, "same"),
        (30.0, 31.0, 1.0, "better"),
        (30.0, 28.5, 1.0, "worse"),
        (30.0, 28.5, 2.0, "same"),
        (30.0, 30.0, 0.0, "same"),
        (30.0, 30.1, 0.0, "better"),
        (math.inf, math.inf, 1.0, "same"),
        (-math.inf, -math.inf, 1.0, "same"),
        (math.inf, 40.0, 1.0, "worse"),
        (-math.inf, 3.0, 1.0, "better"),
        (-math.inf, math.inf, 1.0, "better"),
        (math.nan, 3.0, 1.0, "unknown"),
        (math.nan, math.nan, 1.0, "unknown"),
    ],
)
def test_the_rule_of_better_and_worse(before: float, after: float, limit: float, change: Change) -> None:
    assert judge_change(before, after, limit) == change


def test_noise_that_arrives_is_told_from_noise_that_is_made() -> None:
    whole = diagnoses.healthy_diagnosis()
    records = list(whole.measurement.records)
    records[4] = replace(records[4], local=sums(5.0), propagated=sums(4.0))
    records[5] = replace(records[5], propagated=sums(4.0))
    result = compare_diagnoses(whole, changed(whole, records=tuple(records)))
    made, arrived = result.changed
    assert (made.name, made.local, made.verdict) == (records[4].name, "worse", "worse")
    assert (arrived.name, arrived.local, arrived.propagated, arrived.verdict) == (
        records[5].name, "same", "worse", "worse",
    )  # fmt: skip


def other_data(whole: Diagnosis) -> Diagnosis:
    return changed(whole, data=replace(whole.measurement.data, digest="cd" * 32, source="other/"))


def other_metric(whole: Diagnosis) -> Diagnosis:
    return changed(whole, task=with_metrics(whole.measurement.task, metric("f1", 0.9, 0.8)))


def other_output(whole: Diagnosis) -> Diagnosis:
    """Judged at the first of two outputs."""
    task = replace(whole.measurement.task, choice=replace(whole.measurement.task.choice, output="logits"))
    return changed(whole, task=task, outputs=(*whole.measurement.outputs, OutputRecord("logits", (10,), sums(20.0))))


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        (other_data(diagnoses.repaired_diagnosis()), "500 samples of photos/ .* before, 500 samples of other/"),
        (other_metric(diagnoses.repaired_diagnosis()), "another metric: top-1 before, f1 after"),
        (diagnoses.unlabelled_diagnosis(), "another metric: top-1 before, agreement after"),
        (other_output(diagnoses.repaired_diagnosis()), "judged at other outputs: output before, logits after"),
    ],
)
def test_what_cannot_be_compared_is_refused_unless_forced(after: Diagnosis, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason) as caught:
        compare_diagnoses(diagnoses.diagnosis(), after, source_before="a.json", source_after="b.json")
    assert caught.value.at == "a.json and b.json"
    assert "`force`" in (caught.value.hint or "")
    forced = compare_diagnoses(diagnoses.diagnosis(), after, force=True)
    assert len(forced.forced) == 1
    assert forced.task.judged is not None
    assert forced.task.judged.quantized.paired_by == "counts"


def test_inputs_drawn_from_two_networks_are_told_apart() -> None:
    def drawn(whole: Diagnosis, digest: str) -> Diagnosis:
        return changed(whole, data=replace(whole.measurement.data, is_data_free=True, digest=digest * 32))

    with pytest.raises(ConfigError, match="inputs drawn from its own network's statistics"):
        compare_diagnoses(drawn(diagnoses.diagnosis(), "01"), drawn(diagnoses.repaired_diagnosis(), "02"))


def test_schemes_are_compared_field_by_field() -> None:
    whole = diagnoses.diagnosis()
    scheme = whole.measurement.scheme
    finer = replace(scheme, name="mine", weights=replace(scheme.weights, granularity="per_channel"))
    result = compare_diagnoses(whole, changed(whole, scheme=finer))
    assert [(d.name, d.before, d.after) for d in result.differences] == [
        ("scheme.name", "tf-uint8", "mine"),
        ("scheme.weights.granularity", "per_tensor", "per_channel"),
    ]


@pytest.mark.parametrize("other", [diagnoses.diagnosis, diagnoses.long_diagnosis, diagnoses.awkward_diagnosis])
def test_awkward_and_unlike_networks_are_compared(other: object) -> None:
    assert callable(other)
    whole: Diagnosis = other()
    for pair in ((diagnoses.awkward_diagnosis(), whole), (whole, diagnoses.awkward_diagnosis())):
        result = compare_diagnoses(*pair, force=True)
        count = len(result.layers) + len(result.new)
        assert count == len(pair[1].measurement.records)
        assert len(result.layers) + len(result.missing) == len(pair[0].measurement.records)


def test_layers_of_one_name_and_another_shape_are_noted() -> None:
    whole = diagnoses.healthy_diagnosis()
    first, *rest = whole.measurement.records
    result = compare_diagnoses(whole, changed(whole, records=(replace(first, output_shape=(1,)), *rest)))
    assert result.notes == ("1 layer has the same name and another kind or shape, first input:x",)


def test_other_calibration_samples_are_noted() -> None:
    whole = diagnoses.diagnosis()
    fewer = changed(whole, data=replace(whole.measurement.data, calibration_count=10))
    (note,) = compare_diagnoses(whole, fewer).notes
    assert note.startswith("they were calibrated on other samples")


@pytest.mark.parametrize("limit", [-0.1, math.nan])
def test_a_limit_that_makes_no_sense_is_refused(limit: float) -> None:
    with pytest.raises(ConfigError, match="a change of"):
        compare_diagnoses(diagnoses.diagnosis(), diagnoses.diagnosis(), min_change_db=limit)


def with_branches(fused: Diagnosis, name: str) -> Diagnosis:
    """The network before this convolution was fused: two branches and their sum, and causes at one of the branches."""
    end = fused.measurement.record(name)
    inside = [replace(end, name=f"{name}.{branch}", local=sums(30.0, 0.5)) for branch in ("dense", "point")]
    end = replace(end, name=f"{name}.add", kind="add", weight=None, local=sums(50.0), propagated=sums(9.0))
    records = [row for one in fused.measurement.records for row in ((*inside, end) if one.name == name else (one,))]
    assert fused.measurement.record(name).weight is not None
    block = BlockLayers(name, end.name, tuple(one.name for one in inside), name, (128, 64, 1, 1))
    causes = tuple(
        replace(cause, sites=tuple(replace(s, layer=inside[0].name) if s.layer == name else s for s in cause.sites))
        for cause in fused.ranking.causes
    )
    ranking = replace(fused.ranking, causes=causes)
    return replace(changed(fused, records=tuple(records)), ranking=ranking, blocks=(block,))


def test_a_block_is_compared_with_its_fused_convolution() -> None:
    fused = diagnoses.diagnosis()
    name = fused.ranking.causes[0].sites[0].layer
    for way in (1, -1):
        result = compare_diagnoses(*(with_branches(fused, name), fused)[::way])
        (block,) = [layer for layer in result.layers if layer.matched_by == "fused block"]
        assert {block.name, block.name_before} == {name, f"{name}.add"}
        assert block.local == "unknown"
        decibels = (9.0, fused.measurement.record(name).propagated.sqnr_db)[::way]
        assert block.propagated == block.verdict == judge_change(*decibels, 1.0)
        assert [layer.block for layer in (*result.missing, *result.new)] == [name, name]
        assert {cause.status for cause in result.causes} <= {"remains", "suspect"}, "the cause lies inside the block"
        assert not result.notes


def test_what_became_of_the_layers_of_a_block_is_said_and_drawn() -> None:
    fused = diagnoses.diagnosis()
    name = fused.ranking.causes[0].sites[0].layer
    before = with_branches(fused, name)
    result = compare_diagnoses(before, fused)
    first, judged, gone = matching_words(result)
    assert first == (
        f"1 block of parallel branches is one convolution in the other network, and compared with it; first {name}.add "
        f"→ {name}"
    )
    assert judged.startswith("a block is judged by its propagated SQNR")
    assert gone == f"2 layers gone that lie inside these blocks: {name}.dense, {name}.point"
    axes = compared_errors_figure(result, before.measurement, fused.measurement).axes[0]
    place = [layer.name for layer in result.layers].index(name)
    drawn = [line.get_ydata()[place] for line in axes.lines[:2]]
    ends = before.measurement.record(f"{name}.add"), fused.measurement.record(name)
    assert drawn == [record.propagated.mse for record in ends]
