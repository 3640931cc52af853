import io
import math
import shlex
from dataclasses import replace

import pytest
from rich.console import Console

from qdiag.cli.tables.ranking import print_ranking
from qdiag.core.causes.harm import harm_of
from qdiag.core.causes.ranking import Harm, HarmVerdict, RankedCause, Trial, WaterfallStep
from qdiag.core.causes.repair_traits import TRAITS
from qdiag.core.causes.score import FloatCost, Recovery
from qdiag.core.diagnosis import Diagnosis
from qdiag.core.measures.error_sums import ErrorSums
from qdiag.core.measures.float_ops import FloatShare
from qdiag.core.measures.measurement import OutputPart, OutputRecord
from qdiag.core.measures.task import Interval, PairedCounts, TaskResult
from qdiag.core.thresholds import Limit, Thresholds
from qdiag.gate.evidence import GateEvidence
from qdiag.gate.judge import judge
from qdiag.reading.suspects import suspect_rows
from qdiag.reading.told import best_trial
from qdiag.reading.words.causes import (
    cause_line,
    commands,
    diagnosis_state_words,
    headline,
    repair_title,
    state_of,
    way_around_commands,
)
from qdiag.reading.words.commands.repairing import scheme_words
from qdiag.reading.words.gate import harm_line
from qdiag.reading.words.task.choice import PROXY
from qdiag.reading.words.task.harm import measured_harm_words
from qdiag.writers.html.report import html_report
from qdiag.writers.markdown.report import markdown_report
from tests.diagnoses import (
    awkward_diagnosis,
    diagnosis,
    doubtful_diagnosis,
    healthy_diagnosis,
    repaired_diagnosis,
    unlabelled_diagnosis,
)
from tests.diagnosis_parts import score
from tests.figures import top
from tests.measurements import sums
from tests.other_tasks import judged_by_error, judged_by_sqnr


def test_the_headline_names_drop_interval_and_cause() -> None:
    words = headline(diagnosis())
    assert "costs 67.4 pp of top-1 (76.4 % → 9.0 %; 95 %: 62.7 to 71.5)" in words
    assert "Cause: dead BatchNorm channels set the weight range, in 7 layers; repairing it alone recovers 56.4" in words
    assert words == f"{headline(diagnosis().ranking)} Quantizing blocks.0.dw alone costs all of the loss."


@pytest.mark.parametrize(
    ("found", "start"),
    [
        (healthy_diagnosis(), "Nothing to repair: quantization raises top-1 by 0.2 pp"),
        (repaired_diagnosis(), "Too few samples to tell: quantization costs 1.6 pp"),
        (unlabelled_diagnosis(), "Quantization changes the answer of 87.8 % of the samples"),
        (awkward_diagnosis(), "No verdict is possible: what quantization costs is not known"),
    ],
)
def test_the_headline_fits_every_verdict(found: object, start: str) -> None:
    assert headline(found).startswith(start)  # type: ignore[arg-type]


def test_a_network_without_task_is_judged_by_its_output() -> None:
    ranking = diagnosis().ranking
    harm = Harm(None, 34.25, Interval(33.0, 35.5), 20.0, "healthy")
    words = headline(replace(ranking, harm=harm))
    cost, proxy = "leaves 34.2 dB of SQNR at the output (95 %: 33.0 to 35.5)", PROXY
    assert words.endswith(f"{cost}, above the limit of 20.0 dB, {proxy}.")


def lost_part() -> OutputRecord:
    """A whole of 40 dB, in which one branch has 0 dB left."""
    scores = OutputPart("branch scores", ErrorSums(100, 1.0, 1.0))
    boxes = OutputPart("branch boxes", ErrorSums(100, 1e5, 9.0))
    return OutputRecord("maps", (2, 10), ErrorSums(200, 1e5 + 1.0, 10.0), (boxes, scores))


@pytest.mark.parametrize(("verdict", "db"), [("healthy", 34.25), ("harmed", 0.0)])
def test_a_limit_on_sqnr_is_called_a_proxy_and_the_part_is_named(verdict: HarmVerdict, db: float) -> None:
    ranking = healthy_diagnosis().ranking
    nan = Interval(math.nan, math.nan)
    before = replace(ranking.before, outputs=(lost_part(),), task=TaskResult(100))
    words = headline(replace(ranking, before=before, harm=Harm(None, db, nan, 20.0, verdict), causes=()))
    assert f"leaves {db:.1f} dB of SQNR at branch scores of the output, " in words
    assert f"the limit of 20.0 dB, {PROXY}" in words
    assert words.startswith("Nothing to repair") == (verdict == "healthy")
    two = replace(before, outputs=(lost_part(), *ranking.before.outputs))
    words = headline(replace(ranking, before=two, harm=Harm(None, db, nan, 20.0, verdict), causes=()))
    assert "at branch scores of output maps, " in words


def test_nothing_is_not_to_be_repaired_while_another_output_is_lost() -> None:
    ranking = healthy_diagnosis().ranking
    before = replace(ranking.before, outputs=(*ranking.before.outputs, lost_part()))
    words = headline(replace(ranking, before=before))
    assert "Nothing to repair" not in words
    assert (
        "within the limit of 1.0 pp. But branch scores of output maps has 0.0 dB of SQNR left, below 20.0 dB" in words
    )
    sound = replace(lost_part(), parts=lost_part().parts[:1])
    assert "Nothing to repair" in headline(
        replace(ranking, before=replace(before, outputs=(*ranking.before.outputs, sound)))
    )


def test_nothing_found_in_a_network_that_stays_in_float_is_said_with_a_reservation() -> None:
    healthy = healthy_diagnosis()
    measured = replace(healthy.measurement, float_share=FloatShare(0.94, 0.9))
    found = replace(healthy, measurement=measured)
    assert headline(healthy).startswith("Nothing to repair: ")
    start = (
        "No harm measured, with a reservation: 94 % of the weights and 90 % of the multiplications stayed in float. "
    )
    assert headline(found).startswith(f"{start}Quantization raises top-1 by 0.2 pp")
    assert diagnosis_state_words(found) == "no harm measured, with a reservation"
    assert (state_of(healthy), state_of(found)) == ("healthy", "unsure")
    page = html_report(found)
    assert '<span class="pill unsure">no harm measured, with a reservation</span>' in page
    assert '<span class="pill healthy">healthy</span>' in html_report(healthy)
    for surface in (page, markdown_report(found), terminal(found)):
        assert "Nothing to repair" not in surface
        assert "No harm measured, with a reservation: 94 %" in " ".join(surface.split())
    assert measured_harm_words(measured).startswith("No harm measured, with a reservation (94 % of the weights and")
    result = judge(GateEvidence("r.json", measured, healthy.ranking), Thresholds(max_drop_pp=Limit(fail=1.0)))
    assert harm_line(result).startswith("no harm measured, with a reservation: top-1 improves by 0.2 pp")
    assert any("94 % of the weights" in note for note in result.notes)
    few = replace(
        found, ranking=replace(found.ranking, harm=replace(healthy.ranking.harm, interval=Interval(-3.0, 3.0)))
    )
    assert "stayed in float, and the samples are too few to be sure. Quant" in headline(few)


def terminal(found: Diagnosis) -> str:
    """What `qdiag diagnose` prints."""
    console = Console(file=io.StringIO(), width=120)
    print_ranking(console, found)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_inputs_that_seem_to_be_prepared_otherwise_are_a_reservation_too() -> None:
    doubtful = doubtful_diagnosis().measurement.preprocessing
    found = replace(healthy_diagnosis(), measurement=replace(healthy_diagnosis().measurement, preprocessing=doubtful))
    start = "No harm measured, with a reservation: the inputs do not seem to be prepared as in training. "
    assert headline(found).startswith(start)


def test_a_float_network_that_may_be_guessing_has_nothing_to_lose() -> None:
    """10 classes: chance may give 220 of 2000 right answers, and not 300."""
    healthy = healthy_diagnosis()

    def right(count: int, outputs: tuple[OutputRecord, ...] = ()) -> Diagnosis:
        task = replace(healthy.measurement.task, figures=(top(1, PairedCounts(count, 0, 0, 2000 - count)),))
        outputs = outputs or (replace(healthy.measurement.outputs[0], shape=(10,)),)
        return replace(healthy, measurement=replace(healthy.measurement, task=task, outputs=outputs))

    guessing = right(220)
    why = "the float network is right on 220 of 2000 samples, and guessing among 10 classes may be right as often"
    assert headline(guessing).startswith(f"No harm measured, with a reservation: {why}. ")
    assert (state_of(right(300)), state_of(guessing)) == ("healthy", "unsure")
    assert measured_harm_words(guessing.measurement).startswith(f"No harm measured, with a reservation ({why})")
    result = judge(
        GateEvidence("r.json", guessing.measurement, healthy.ranking), Thresholds(max_drop_pp=Limit(fail=1.0))
    )
    assert any(f"{why}: check the labels and their order" in note for note in result.notes)
    per_pixel = replace(healthy.measurement.outputs[0], shape=(10, 8, 8))
    assert state_of(right(220, (per_pixel,))) == "healthy", "how many classes there are is not known"


def test_several_layers_that_each_cost_most_are_not_called_one() -> None:
    cause = diagnosis().ranking.causes[0]
    several = replace(cause, code="QD407", trials=tuple(t for t in cause.trials if not t.keeps_scheme))
    words = headline(replace(diagnosis().ranking, causes=(several,), waterfall=()))
    assert "Cause: layers that alone cost half of the loss or more, in 7 layers; only a change of scheme" in words


def test_harm_without_a_claimed_cause_says_whether_anything_was_tried() -> None:
    ranking = diagnosis().ranking
    unclaimed = replace(
        ranking, causes=tuple(replace(cause, verdict="harmless") for cause in ranking.causes), waterfall=()
    )
    helping = next(trial for trial in ranking.causes[0].trials if trial.helps)
    assert headline(replace(unclaimed, ways_around=())).endswith("recovers a part of it beyond noise.")
    assert "beyond noise; another scheme below does" in headline(replace(unclaimed, ways_around=(helping,)))
    assert headline(replace(ranking, causes=(), waterfall=())).endswith("No cause was found.")
    assert "No fault is proved to be the cause; the repairs below" in headline(replace(ranking, causes=()))


def test_lines_of_causes_give_the_gain_or_the_reason() -> None:
    ranking = diagnosis().ranking
    lines = [cause_line(cause, ranking) for cause in ranking.causes]
    assert "recovers 56.4 pp (95 %: 51.6 to 60.7); its placebo recovers 0.2 pp" in lines[0]
    assert lines[2].endswith("undecided, its interval includes zero")
    first = ranking.causes[0]
    (placebo,) = (trial.placebo for trial in first.trials[:1])
    assert placebo is not None
    few = replace(first.trials[0], placebo=replace(placebo, sample_count=32))
    cause = replace(first, trials=(few, *first.trials[1:]))
    on_few = replace(ranking, causes=(cause, *ranking.causes[1:]))
    assert cause_line(cause, on_few).endswith("); on 32 of 500 samples its placebo recovers 0.2 pp")
    assert suspect_rows(on_few)[0].placebo.endswith("; on 32 of 500 samples")
    assert lines[4].endswith("not tested, its repair was refused")


def test_a_repair_that_keeps_the_scheme_comes_before_a_better_way_around() -> None:
    cause: RankedCause = diagnosis().ranking.causes[0]
    turned = replace(cause, trials=(cause.trials[2], *cause.trials[:2]))
    assert turned.trials[0].repair == "per_channel_weights"
    best = best_trial(turned)
    assert best is not None
    assert best.repair == "reset_variance_mean"
    assert best_trial(replace(cause, trials=(Trial("equalize", (), refused="no pair"),))) is None


def test_each_command_works_on_what_the_one_before_wrote() -> None:
    first, second = commands(diagnosis())
    rest = "--arch 'zoo:mobilenet_v1?width=0.75' --data photos/ --scheme tf-uint8"
    assert first == f"qdiag fix-bn net.safetensors -o net.fixed.safetensors {rest}"
    assert second == f"qdiag sqnr net.fixed.safetensors {rest} --set 'weights.calibrator=\"mse\"'"


def test_commands_repeat_the_options_of_the_run() -> None:
    found = replace(diagnosis(), options=("--data", "my photos", "--preset", "tf"))
    assert commands(found)[0].endswith("net.fixed.safetensors --data 'my photos' --preset tf")
    assert commands(found, "w/net.pt2", ["--trust"])[0] == ("qdiag fix-bn w/net.pt2 -o w/net.fixed.pt2 --trust")


def test_a_network_that_code_builds_is_repaired_into_a_state_dict() -> None:
    ranking = diagnosis().ranking
    step = replace(ranking.waterfall[0], repair="equalize")
    lines = commands(replace(ranking, waterfall=(ranking.waterfall[0], step)), "./net.py:make")
    assert lines == (
        "qdiag fix-bn ./net.py:make -o fixed.pt",
        "qdiag repair fixed.pt --with equalize -o fixed2.pt --arch ./net.py:make",
    )


def test_a_fused_network_becomes_a_program_that_needs_no_code() -> None:
    ranking = diagnosis().ranking
    fuse, equalize = (replace(ranking.waterfall[0], repair=name) for name in ("fuse_branches", "equalize"))
    given = ["--arch", "zoo:repvgg_a0", "--trust"]
    assert commands(replace(ranking, waterfall=(fuse, equalize)), "net.pth", given) == (
        "qdiag repair net.pth --with fuse_branches -o net.fixed.pt2 --arch zoo:repvgg_a0 --trust",
        "qdiag repair net.fixed.pt2 --with equalize -o net.fixed2.pt2 --trust",
    )


def test_a_hidden_cause_is_not_told_by_what_it_gave_alone() -> None:
    cause = diagnosis().ranking.causes[0]
    pairs = PairedCounts(100, 6, 4, 390)
    nothing = Recovery(0.1, Interval(-0.1, 0.3), pairs.drop_pp, pairs.drop_interval_pp, pairs)
    trials = tuple(replace(trial, recovery=nothing) for trial in cause.trials[:1])
    line = cause_line(replace(cause, trials=trials, reason="hidden behind another cause"), diagnosis().ranking)
    assert line.endswith(": hidden behind another cause") and "recovers" not in line


def bias_step(loss: float = 0.3, moved: float = 0.012) -> WaterfallStep:
    """A bias correction, and what its checkpoint loses in float."""
    cost = FloatCost(moved, loss, "pp", 1.0, is_of_checkpoint=True)
    first = diagnosis().ranking.waterfall[0]
    return replace(first, repair="correct_bias", code="QD106", layers=("a[0]", "b"), float_cost=cost)


def test_a_bias_correction_comes_last_and_once() -> None:
    ranking, one = diagnosis().ranking, bias_step()
    other = replace(bias_step(0.4), code="QD101", layers=("c", "b"))
    lines = commands(replace(ranking, waterfall=(one, ranking.waterfall[0], other)), "net.pt2")
    assert lines == (
        "qdiag fix-bn net.pt2 -o net.fixed.pt2",
        "# net.fixed2.pt2 is made for this scheme; its float network has a top-1 of 76.0 % instead of 76.4 %",
        "qdiag repair net.fixed.pt2 --with correct_bias --float-bound 1 -o net.fixed2.pt2"
        " --layers 'a[[]0]' --layers b --layers c",
    )
    everywhere = replace(one, code="", layers=("a[0]", "b", "c"))
    assert "--layers" not in commands(replace(ranking, waterfall=(one, everywhere)), "net.pt2")[-1]


def test_a_checkpoint_that_spoils_the_float_network_is_said_to_be_for_the_quantized_one_alone() -> None:
    ranking = diagnosis().ranking
    clip = ranking.waterfall[1]
    comment, line = commands(replace(ranking, waterfall=(clip, bias_step(39.0, 0.7))), "net.pt2")
    assert comment == (
        "# net.fixed.pt2 is made for the quantized network alone: "
        "its float network has a top-1 of 37.4 % instead of 76.4 %"
    )
    assert "--float-bound 2 " in line  # of its largest value the output moves by 0.7: with room for rounding
    assert line.endswith(" ".join(f"--set {shlex.quote(value)}" for value in clip.settings))
    without_tensors = replace(bias_step(), float_cost=None)
    (only,) = commands(replace(ranking, waterfall=(without_tensors,)), "net.pt2")
    assert only.startswith(
        "# no command can write this: bias corrected for the mean shift of rounding: no layer has a bias of its own"
    )


def test_each_repair_is_made_under_the_settings_of_the_steps_before() -> None:
    ranking = diagnosis().ranking
    fold = replace(ranking.waterfall[0], repair="fold_batchnorm", settings=("fold_batchnorm=true",))
    moved = replace(ranking.waterfall[0], repair="equalize", float_cost=FloatCost(0.0034, 0.0, "pp", 1.0))
    raised = replace(fold, repair="raise_weight_scale", settings=(), layers=("a", "b\nrm"))
    lines = commands(replace(ranking, waterfall=(fold, moved, raised)), "net.pt2")
    assert lines == (
        "# net.fixed.pt2: its float network has a top-1 of 76.4 %, as before",
        "qdiag repair net.pt2 --with equalize --float-bound 0.007 -o net.fixed.pt2 --set fold_batchnorm=true",
        "# no command can write this: weight scale raised until the bias fits (a, $'b\\nrm'): no setting of a scheme "
        "makes this change; whatever quantizes the network has to make it",
        "qdiag sqnr net.fixed.pt2 --set fold_batchnorm=true",
    )


def test_a_repair_of_the_code_is_said_and_not_run() -> None:
    ranking = diagnosis().ranking
    step = replace(ranking.waterfall[0], repair="replace_relu6")
    first, second = commands(replace(ranking, waterfall=(step, ranking.waterfall[0])), "net.pt2")
    assert first.startswith("# no command can write this: replace nn.ReLU6 by nn.ReLU")
    assert second == "qdiag fix-bn net.pt2 -o net.fixed.pt2"


@pytest.mark.parametrize("name", TRAITS)
def test_every_line_writes_or_says_why_none_can(name: str) -> None:
    ranking = diagnosis().ranking
    step = replace(ranking.waterfall[0], repair=name, settings=("weights.bits=7",) if _is_setting(name) else ())
    *comments, last = commands(replace(ranking, waterfall=(step,)), "net.pt2")
    if last.startswith("qdiag sqnr "):
        assert not comments and last.endswith("--set weights.bits=7")
    elif last.startswith("#"):
        assert last.startswith("# no command can write this: ") and not comments
    else:
        assert " -o net.fixed.pt2" in last


def _is_setting(name: str) -> bool:
    return TRAITS[name].writes == "plan" and name not in ("bound_mask", "raise_weight_scale")


@pytest.mark.parametrize("found", [healthy_diagnosis(), repaired_diagnosis()])
def test_without_harm_there_is_nothing_to_run(found: object) -> None:
    assert commands(found) == ()  # type: ignore[arg-type]


def test_a_way_around_is_measured_by_its_settings() -> None:
    found = diagnosis()
    around = found.ranking.way_around
    assert around is not None
    (line,) = way_around_commands(found, around)
    assert line.endswith("--set 'weights.granularity=\"per_channel\"'")
    assert way_around_commands(found, replace(around, settings=())) == ()


def test_names_of_a_newer_version_are_shown_as_they_are() -> None:
    assert repair_title("anneal") == "anneal"
    ranking = diagnosis().ranking
    assert "QD999 QD999" in cause_line(replace(ranking.causes[2], code="QD999"), ranking)


def test_a_figure_that_should_fall_is_said_to_rise() -> None:
    words = headline(judged_by_error(diagnosis()))
    assert words.startswith("Quantization raises depth error by 0.674 m (0.236 m → 0.91 m; 95 %: 0.6274 to 0.7153).")
    assert "repairing it alone recovers 0.564 m" in words
    better = headline(judged_by_error(healthy_diagnosis()))
    assert better.startswith(
        "Nothing to repair: quantization lowers depth error by 0.002 m (0.236 m → 0.234 m; 95 %: -0.004768 to "
    )


def test_a_network_judged_by_its_outputs_hears_that_the_limit_is_a_proxy() -> None:
    words = headline(judged_by_sqnr(diagnosis()))
    assert words.startswith(
        "Quantization leaves 1.1 dB of SQNR at the output, below the limit of 20.0 dB, a proxy: how answers change was "
        "not counted. Cause: "
    )
    assert "repairing it alone recovers 8.6 dB" in words


def test_the_weakest_part_of_an_output_is_named() -> None:
    ranking = judged_by_sqnr(diagnosis()).ranking
    (whole,) = ranking.before.outputs
    parts = (OutputPart("channel 0", sums(30.0)), OutputPart("channel 3", sums(1.1)))
    outputs = (replace(whole, name="boxes", error=sums(29.0), parts=parts), replace(whole, name="x", error=sums(40.0)))
    words = headline(replace(ranking, before=replace(ranking.before, outputs=outputs)))
    assert "leaves 1.1 dB of SQNR at channel 3 of output boxes, below" in words


@pytest.mark.parametrize(
    ("counts", "state", "words"),
    [
        (PairedCounts(382, 0, 0, 118), "healthy", "Nothing to repair: "),
        (PairedCounts(380, 2, 0, 118), "unsure", "No harm was measured, but the samples are too few to be sure: "),
        (PairedCounts(76, 0, 0, 24), "unsure", "No harm was measured, but the samples are too few to be sure: "),
        (PairedCounts(370, 12, 4, 114), "unsure", "Too few samples to tell: "),
        (PairedCounts(300, 82, 4, 114), "harmed", "Quantization costs "),
    ],
)
def test_nothing_found_on_too_few_samples_is_a_state_of_its_own(counts: PairedCounts, state: str, words: str) -> None:
    figure = top(1, counts)
    ranking = healthy_diagnosis().ranking
    task = replace(ranking.before.task, figures=(figure,))
    judged = replace(
        ranking, before=replace(ranking.before, task=task), harm=harm_of(replace(ranking.before, task=task))
    )
    assert judged.harm.state == state
    assert headline(judged).startswith(words)


def test_a_cause_that_only_a_change_of_scheme_proves_is_told_by_that_change() -> None:
    found = diagnosis()
    cause = found.ranking.causes[0]
    mean, _, around = cause.trials
    assert mean.recovery is not None
    worse = replace(mean.recovery, recovered_task=-1.6, task_interval=Interval(-3.0, -0.2))
    only = replace(cause, trials=(replace(mean, recovery=worse), around))
    ranking = replace(found.ranking, causes=(only,), waterfall=())
    words = headline(ranking)
    assert "only a change of scheme repairs it, one weight scale per channel, which recovers 67.2 pp." in words
    assert "-1.6" not in words
    assert commands(ranking) == (), "nothing that was measured as harmful is proposed"
    assert cause_line(only, ranking).endswith(
        "one weight scale per channel, which recovers 67.2 pp (95 %: 62.7 to 71.2)"
    )


def test_causes_that_hide_one_another_are_told_by_what_their_repairs_give_together() -> None:
    ranking = diagnosis().ranking
    nothing = Recovery(0.1, Interval(-0.1, 0.3), 0.2, Interval(-0.4, 0.8))
    hidden = tuple(
        replace(cause, trials=tuple(replace(trial, recovery=nothing) for trial in cause.trials[:1]))
        for cause in ranking.causes[:2]
    )
    words = headline(replace(ranking, causes=hidden))
    assert (
        "repairing it alone recovers nothing beyond noise; the repairs below together recover 65.8 pp. "
        "1 more cause is listed below." in words
    )


def test_a_sequence_that_gives_nothing_back_is_not_proposed() -> None:
    ranking = diagnosis().ranking
    worse = replace(ranking.waterfall[-1], after=score(2.0, 44, 60))
    assert commands(ranking) and not commands(replace(ranking, causes=(), waterfall=(worse,)))
    assert "recover" not in headline(replace(ranking, causes=(), waterfall=(worse,)))


def test_what_settings_change_is_said_not_to_be_written() -> None:
    lines = commands(diagnosis())
    assert scheme_words(lines).startswith("The values of --set change the scheme. No command writes that")
    assert scheme_words(lines[:1]) == "" == scheme_words(())
    console = Console(file=io.StringIO(), width=200, highlight=False)
    print_ranking(console, diagnosis())
    assert isinstance(console.file, io.StringIO)
    for surface in (console.file.getvalue(), markdown_report(diagnosis()), html_report(diagnosis())):
        assert "whatever quantizes it has to be told." in surface
