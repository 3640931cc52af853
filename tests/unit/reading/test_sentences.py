"""Sentences that once said something odd: names that are numbers, losses that are gains, nothing that is infinite."""

import math
from dataclasses import replace

import pytest

from qdiag.core.causes.findings import Evidence
from qdiag.core.causes.ranking import Harm
from qdiag.core.causes.score import FloatCost
from qdiag.core.diagnosis import Diagnosis
from qdiag.core.measures.operations.model_check import ModelCheck
from qdiag.core.measures.records import LayerErrorSums
from qdiag.core.measures.task import TOP_1, Interval, PairedCounts
from qdiag.pipeline.notes import sample_notes
from qdiag.reading.diagnosis import read
from qdiag.reading.layer_names import counted_places, layer_named, layers_named
from qdiag.reading.layers.weakest import drop_words, propagated_words, weakest_words
from qdiag.reading.sequence import sequence_rows
from qdiag.reading.words.causes import cause_line, headline
from qdiag.reading.words.evidence import evidence_words
from qdiag.reading.words.layer_row import layer_rows
from qdiag.reading.words.numbers import recovers_words
from qdiag.reading.words.operations.model_check import work_words
from qdiag.reading.words.task.harm import cost_words
from tests.diagnoses import diagnosis
from tests.figures import top
from tests.measurements import layer, measurement
from tests.unit.reading.test_result_statements import model_check


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["blocks.0.dw", "head"], "blocks.0.dw, head"),
        (["6"], "layer 6"),
        (["0", "3", "6", "9"], "layers 0, 3, 6 and 1 more"),
        (["0.2", "head"], "layers 0.2, head"),
        (["conv1", "conv2", "conv3", "9"], "conv1, conv2, conv3 and 1 more"),
        ([], ""),
    ],
)
def test_numbers_are_said_to_be_layers(names: list[str], words: str) -> None:
    assert layers_named(names) == words


def test_a_name_that_says_what_it_is_stays_alone() -> None:
    assert [layer_named(name) for name in ("6", "a", "0.1", "dw0", "input:x")] == [
        *("layer 6", "layer a", "layer 0.1", "dw0", "input:x")
    ]


def test_inputs_are_counted_apart_from_layers() -> None:
    assert counted_places(["a", "b", "input:x"]) == "2 layers and 1 input"
    assert counted_places(["input:x"]) == "1 input" and counted_places(["a"]) == "1 layer"
    assert counted_places([]) == "0 layers"


def renamed(found: Diagnosis, old: str, new: str) -> Diagnosis:
    cause = found.ranking.causes[0]
    sites = tuple(replace(site, layer=new if site.layer == old else site.layer) for site in cause.sites)
    return replace(found, ranking=replace(found.ranking, causes=(replace(cause, sites=sites),)))


def test_a_cause_at_a_layer_without_a_name_says_that_it_is_a_layer() -> None:
    found = diagnosis()
    first = found.ranking.causes[0].layers[0]
    line = cause_line(renamed(found, first, "6").ranking.causes[0], found.ranking)
    assert "(layers 6, " in line and "(layers" not in cause_line(found.ranking.causes[0], found.ranking)


@pytest.mark.parametrize(
    ("loss", "interval", "words"),
    [
        (67.4, (63.0, 71.3), "the loss of top-1 is 67.4 pp (95 %: 63.0 to 71.3), and harm begins beyond 1.0 pp"),
        (-2.8, (-6.0, 0.4), "top-1 improves by 2.8 pp (95 %: -0.4 to 6.0), and harm begins beyond a loss of 1.0 pp"),
        (-0.04, (-1.0, 0.9), "the loss of top-1 is 0.0 pp (95 %: -1.0 to 0.9), and harm begins beyond 1.0 pp"),
    ],
)
def test_a_gain_is_not_called_a_loss(loss: float, interval: tuple[float, float], words: str) -> None:
    assert cost_words(Harm(TOP_1, loss, Interval(*interval), 1.0, "healthy")) == words


def test_what_too_few_samples_leave_is_not_said_to_be_lost() -> None:
    ranking = diagnosis().ranking
    undecided = replace(ranking, harm=replace(ranking.harm, verdict="undecided"))
    assert sequence_rows(ranking).remainder_sentence.startswith("No repair recovers the remaining")
    said = sequence_rows(undecided).remainder_sentence
    assert said.startswith("After these repairs the loss is ") and said.endswith("too few to tell it from none.")


def test_a_float_network_that_a_repair_makes_better_is_a_reservation() -> None:
    """12 points more in float by the first repair; a point that may be noise, and a checkpoint of its own, are none."""
    found = diagnosis()
    first, *others = found.ranking.waterfall

    def with_cost(cost: FloatCost) -> Diagnosis:
        steps = (replace(first, float_cost=cost), *(replace(step, float_cost=None) for step in others))
        return replace(found, ranking=replace(found.ranking, waterfall=steps))

    cost = FloatCost(0.5, -12.0, "pp", 1.0)
    words = headline(with_cost(cost))
    assert "With a reservation: the float network itself becomes 12.0 pp of top-1 better by the repair (" in words
    assert words.endswith("it has a fault that quantization does not cause.")
    assert read(with_cost(cost)).headline == words
    for other in (replace(cost, loss=-1.0), replace(cost, loss=0.5), replace(cost, is_of_checkpoint=True)):
        assert "reservation" not in headline(with_cost(other))


def test_a_repaired_network_that_beats_the_float_one_is_a_reservation() -> None:
    """300 answers more are right than wrong ones; two more are noise."""
    found = diagnosis()
    *steps, last = found.ranking.waterfall

    def repaired(won: int) -> Diagnosis:
        task = replace(last.after.task, figures=(top(1, PairedCounts(100, 1, won, 399 - won)),))
        after = replace(last.after, task=task)
        return replace(
            found, ranking=replace(found.ranking, waterfall=(*steps, replace(last, after=after, float_cost=None)))
        )

    assert "the repaired network is 59.8 pp of top-1 better than the float network" in headline(repaired(300))
    assert "reservation" not in headline(repaired(3))


def test_harm_of_a_network_that_may_be_guessing_has_a_reservation() -> None:
    found = diagnosis()
    figure = top(1, PairedCounts(10, 40, 0, 450))
    outputs = tuple(replace(output, shape=(10,)) for output in found.measurement.outputs)
    measured = replace(found.measurement, outputs=outputs, task=replace(found.measurement.task, figures=(figure,)))
    words = headline(replace(found, measurement=measured))
    assert "With a reservation: the float network is right on 50 of 500 samples, and guessing among 10 classes" in words


def test_the_samples_of_a_placebo_are_told_with_the_repair_that_it_belongs_to() -> None:
    ranking = diagnosis().ranking
    cause = ranking.causes[0]
    trial = next(trial for trial in cause.trials if trial.placebo is not None)
    assert trial.placebo is not None
    short = replace(trial, placebo=replace(trial.placebo, sample_count=32))
    others = tuple(replace(one, placebo=None) for one in cause.trials if one is not trial)
    causes = (replace(cause, trials=(short, *others)),)
    notes = sample_notes(replace(ranking, causes=causes, ways_around=()), ())
    where = f"that of {trial.repair} of {cause.code}"
    assert notes == (f"1 placebo was measured on 32 of 500 samples, which leave no doubt: {where}",)


@pytest.mark.parametrize(
    ("evidence", "words"),
    [
        (Evidence("lost_by_function", math.inf, "dB", 10.0), "the function loses the whole signal"),
        (Evidence("lost_by_function", 24.0, "dB", 10.0), "the function loses 24 dB of SQNR (limit 10)"),
        (
            Evidence("function_sqnr", -math.inf, "dB", 20.0),
            "with its inputs alone quantized, the function gives values that are NaN or infinite",
        ),
    ],
)
def test_no_finding_speaks_of_infinitely_many_decibels(evidence: Evidence, words: str) -> None:
    assert evidence_words(evidence) == words


def test_a_layer_behind_an_exact_input_is_not_set_against_it_in_decibels() -> None:
    exact, close = (
        (
            layer(0, "stem", ("conv2d",), (), local_db=db, propagated_db=db),
            layer(1, "6", ("conv2d",), ("stem",), local_db=8.0, propagated_db=9.0),
        )
        for db in (140.0, 40.0)
    )
    said = [propagated_words(measurement(records), layer_rows(records)) for records in (exact, close)]
    start = "Propagated SQNR first falls below 20 dB at layer 6: 9.0 dB, "
    assert said == [f"{start}although what feeds it is exact.", f"{start}31.0 dB below what feeds it."]
    below = f"{start}31.0 dB below what feeds it"
    first, second = close
    few = replace(second, on_fewer=LayerErrorSums(second.local, second.propagated))
    some = replace(measurement((first, few)), layer_sample_count=64)
    assert propagated_words(some, layer_rows(some.records)) == f"{below} on the 64 samples on which both were measured."
    told = "The drop at layer 6 is that on the 64 samples on which the layers that feed it were measured."
    assert drop_words(some, layer_rows(some.records)) == told
    assert drop_words(measurement(close), layer_rows(close)) == ""
    assert weakest_words(layer_rows(close)).startswith("The lowest local SQNR is 8.0 dB, at layer 6")


def test_what_makes_a_network_worse_is_not_said_to_recover_less_than_nothing() -> None:
    assert recovers_words("67.4 pp") == "recovers 67.4 pp" and recovers_words("0.0 pp") == "recovers 0.0 pp"
    assert recovers_words("-3.1 pp") == "loses 3.1 pp more"
    found = diagnosis()
    cause = found.ranking.causes[0]
    trials = tuple(
        replace(one, placebo=replace(one.placebo, recovery=replace(one.placebo.recovery, recovered_task=-2.0)))
        if one.placebo is not None
        else one
        for one in cause.trials
    )
    assert cause_line(replace(cause, trials=trials), found.ranking).endswith("its placebo loses 2.0 pp more")


def test_the_work_of_small_networks_is_told_in_thousands() -> None:
    def said(count: int) -> str:
        check: ModelCheck = replace(model_check(), mac_count=count)
        return work_words(check)

    assert said(77_100) == "77.1 thousand multiplications for one sample"
    assert said(568_740_352) == "569 million multiplications for one sample"
    assert said(4_089_000_000) == "4.09 thousand million multiplications for one sample"
    assert said(12) == "12 multiplications for one sample"
